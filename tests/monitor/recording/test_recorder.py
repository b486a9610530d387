"""What a recording holds of a PBX's answers and events, line by line."""

from __future__ import annotations

import io
import json
from typing import Any

from monitor import myphone_messages
from monitor.myphone_messages import AgentEntry, QueueEntry, QueuesUpdate
from monitor.pbx.traffic_tap import SentRequest
from monitor.recording.file_format import Header
from monitor.recording.masking import Mask
from monitor.recording.recorder import Recorder

CALLS = "/xapi/v1/ActiveCalls"
WEB = "/MyPhone/MPWebService.asmx"


class Tape(io.BytesIO):
    """A file whose lines can be read after its end, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()

    def clock(self) -> float:
        return self.now


def recording(mask: Mask | None = None) -> tuple[Recorder, Tape]:
    tape = Tape()
    return Recorder(tape, Header(1_772_594_100.0), mask, tape.clock), tape


def lines(recorder: Recorder, tape: Tape) -> list[dict[str, Any]]:
    """All but the header and the end."""
    recorder.end()
    header, *rest, end = map(json.loads, tape.kept.splitlines())
    assert header["began"] == 1_772_594_100.0
    assert end["kind"] == "end"
    return rest


def sent(path: str, method: str = "GET", content: bytes | None = None) -> SentRequest:
    return SentRequest(method, path, content, 100.5)


def test_times_are_seconds_from_the_beginning() -> None:
    recorder, tape = recording()
    tape.now = 101.25
    recorder.answered(sent(CALLS), 200, {}, b"{}")
    (line,) = lines(recorder, tape)
    assert (line["asked"], line["t"]) == (0.5, 1.25)


def test_a_token_a_secret_and_a_session_stand_in_no_line() -> None:
    recorder, tape = recording()
    form = b"client_id=callmon&client_secret=s3cret"
    token = b'{"token_type": "Bearer", "expires_in": 60, "access_token": "t0ken"}'
    recorder.answered(sent("/connect/token", "POST", form), 200, {"Set-Cookie": "c00kie"}, token)
    session = b'{"sessionKey": "k3y", "pass": "p4ss"}'
    recorder.answered(sent("/webclient/api/MyPhone/session", "POST"), 200, {}, session)
    first, second = lines(recorder, tape)
    assert first["body"] == {"token_type": "Bearer", "expires_in": 60}
    assert second["body"] == {}
    for secret in (b"s3cret", b"t0ken", b"c00kie", b"k3y", b"p4ss"):
        assert secret not in tape.kept


def test_the_same_answer_to_the_same_request_is_kept_once() -> None:
    recorder, tape = recording()
    for path, body in (
        (CALLS, b"[1]"),
        (CALLS, b"[1]"),
        ("/x", b"[1]"),
        (CALLS, b"[2]"),
        (CALLS, b"[1]"),
    ):
        recorder.answered(sent(path), 200, {}, body)
    assert [line.get("body", "same") for line in lines(recorder, tape)] == [
        [1],
        "same",
        [1],
        [2],
        [1],
    ]


def test_of_what_is_no_json_only_the_length_is_kept() -> None:
    recorder, tape = recording()
    recorder.answered(sent(CALLS), 502, {}, b"<html>Anna</html>")
    recorder.heard("Anna said")
    assert [line["bytes"] for line in lines(recorder, tape)] == [17, 9]
    assert b"Anna" not in tape.kept


def test_numbers_and_names_are_masked_and_open_ones_are_as_they_came() -> None:
    told = json.dumps({"party_caller_name": "Anna", "party_caller_id": "+4915112345678"})
    for mask, shown in ((Mask(b"x" * 16, ()), False), (None, True)):
        recorder, tape = recording(mask)
        recorder.heard(told)
        recorder.closed(1000, "Anna went")
        lines(recorder, tape)
        assert (b"Anna" in tape.kept) is (b"+4915112345678" in tape.kept) is shown


def test_of_the_web_clients_answers_logins_and_words_are_kept() -> None:
    recorder, tape = recording()
    ask = myphone_messages.get_my_info()
    agent = AgentEntry(41, "101", logged_in=True)
    queues = myphone_messages.queues_info(QueuesUpdate((QueueEntry(7, "800", agents=(agent,)),)))
    acknowledged = myphone_messages.acknowledgement(success=True, text="done")
    for body in (queues, acknowledged, b"NOT AUTH", b"\xff\xff"):
        recorder.answered(sent(WEB, "POST", ask), 200, {}, body)
    logins, done, refused, other = lines(recorder, tape)
    assert logins["ask"] == myphone_messages.GET_MY_INFO
    assert logins["logins"] == {"800": {"101": [41, True]}}
    assert (done["said"], refused["said"], other["bytes"]) == (
        "successfully processed",
        "NOT AUTH",
        2,
    )


def test_answers_and_events_are_counted_and_silences_are_not() -> None:
    recorder, tape = recording()
    recorder.answered(sent(CALLS), 200, {}, b"")
    recorder.unanswered(sent(CALLS))
    recorder.refused(None)
    recorder.opened()
    recorder.heard(b"{}")
    assert (recorder.answers, recorder.events) == (1, 1)
    assert [line["kind"] for line in lines(recorder, tape)] == [
        "answer",
        "silence",
        "away",
        "opened",
        "event",
    ]


def test_of_what_is_pushed_only_whole_lists_of_queues_are_kept() -> None:
    recorder, tape = recording()
    agent = AgentEntry(41, "101", logged_in=True)
    whole = QueueEntry(7, "800", "Anna's", agents=(agent,))
    for entries in (
        (whole,),
        (QueueEntry(7, agents=(AgentEntry(41, logged_in=False),)),),
        (QueueEntry(7, figures={"waiting": 1.0}),),
        (),
    ):
        recorder.pushed(myphone_messages.queues_info(QueuesUpdate(entries)))
    recorder.pushed(b"\xff\xff")
    recorder.pushed(myphone_messages.my_info(7, "101", queue_status=True))
    told = lines(recorder, tape)
    assert [(line["kind"], line["logins"]) for line in told] == [
        ("push", {"800": {"101": [41, True]}}),
        ("push", {}),
    ]
    assert b"Anna" not in tape.kept
