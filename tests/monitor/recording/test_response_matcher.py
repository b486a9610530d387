"""Test which answers a recording gives when, with a recording made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.myphone_messages import GET_MY_INFO
from monitor.recording.file_format import Header, RecordedLine, Recording
from monitor.recording.masking_rules import WEB_CLIENT
from monitor.recording.response_matcher import (
    RecordedResponse,
    SocketLife,
    SocketRefused,
    Timeline,
    Wait,
    key_of,
)

CALLS = "/xapi/v1/ActiveCalls?$orderby=Id&$count=true"
PARTICIPANT = "/callcontrol/101/participants/7"


def answer(asked: float, t: float, path: str, body: Any, status: int = 200) -> RecordedLine:
    return RecordedLine(
        t, "answer", {"asked": asked, "method": "GET", "path": path, "status": status, "body": body}
    )


def event(t: float, kind: int = 0, data: Any = None) -> RecordedLine:
    told = {"event_type": kind, "entity": PARTICIPANT, "attached_data": data}
    return RecordedLine(t, "event", {"body": {"sequence": 1, "event": told}})


def timeline(*lines: RecordedLine) -> Timeline:
    return Timeline(Recording(Header(0.0), tuple(sorted(lines, key=lambda line: line.t))))


def body(reply: RecordedResponse | Wait | None) -> Any:
    assert isinstance(reply, RecordedResponse), reply
    return reply.body.get("body")


def test_answers_come_one_after_the_other() -> None:
    played = timeline(
        answer(1.0, 1.1, CALLS, "first"),
        answer(2.0, 2.1, CALLS, "second"),
        answer(9.0, 9.1, CALLS, "third"),
    )
    assert played.reply("GET", CALLS, 0, 0.5) == Wait(1.0)
    assert body(played.reply("GET", CALLS, 0, 1.2)) == "first"
    assert played.reply("GET", CALLS, 0, 1.3) == Wait(2.0)
    assert body(played.reply("GET", CALLS, 0, 2.0)) == "second"
    assert body(played.reply("GET", CALLS, 0, 4.0)) == "second"  # nobody asked for a while then
    assert body(played.reply("GET", CALLS, 0, 60.0)) == "third"
    assert body(played.reply("GET", CALLS, 0, 61.0)) == "third"


def test_who_asks_late_gets_the_newest() -> None:
    played = timeline(*(answer(float(at), at + 0.1, CALLS, at) for at in range(10)))
    assert body(played.reply("GET", CALLS, 0, 5.5)) == 5


def test_same_is_what_was_answered_before() -> None:
    same = RecordedLine(
        2.1, "answer", {"asked": 2.0, "method": "GET", "path": CALLS, "status": 200, "same": True}
    )
    played = timeline(answer(1.0, 1.1, CALLS, "first"), same)
    assert body(played.reply("GET", CALLS, 0, 1.0)) == "first"
    assert body(played.reply("GET", CALLS, 0, 2.0)) == "first"


def test_a_silence_stays_one() -> None:
    played = timeline(RecordedLine(3.0, "silence", {"asked": 1.0, "method": "GET", "path": CALLS}))
    reply = played.reply("GET", CALLS, 0, 1.0)
    assert isinstance(reply, RecordedResponse)
    assert (reply.status, reply.at) == (None, 3.0)


def test_what_was_never_asked_is_not_known() -> None:
    assert timeline(answer(1.0, 1.1, CALLS, "first")).reply("GET", "/xapi/v1/Users", 0, 1.0) is None


def test_a_participant_is_as_it_was_after_the_same_event() -> None:
    played = timeline(
        event(1.0),
        answer(1.01, 1.1, PARTICIPANT, {"id": 7, "status": "Ringing"}),
        event(2.0),
        answer(2.01, 2.1, PARTICIPANT, {"id": 7, "status": "Connected"}),
        event(3.0, kind=1),
    )
    assert body(played.reply("GET", PARTICIPANT, 0, 1.005)) == {"id": 7, "status": "Ringing"}
    assert body(played.reply("GET", PARTICIPANT, 0, 1.9)) == {"id": 7, "status": "Ringing"}
    assert body(played.reply("GET", PARTICIPANT, 0, 2.0)) == {"id": 7, "status": "Connected"}
    gone = played.reply("GET", PARTICIPANT, 0, 3.5)
    assert isinstance(gone, RecordedResponse)
    assert gone.status == 404


def test_the_full_state_is_brought_up_to_date() -> None:
    full = [
        {"dn": "101", "type": "Wextension", "participants": [{"id": 6}]},
        {"dn": "102", "participants": []},
    ]
    played = timeline(
        answer(0.0, 0.1, "/callcontrol", full),
        event(1.0),
        answer(1.01, 1.1, PARTICIPANT, {"id": 7, "status": "Ringing"}),
        event(3.0, kind=1),
    )
    assert body(played.reply("GET", "/callcontrol", 0, 0.0)) == full
    later = body(played.reply("GET", "/callcontrol", 0, 2.0))
    assert later[0]["participants"] == [{"id": 6}, {"id": 7, "status": "Ringing"}]
    assert body(played.reply("GET", "/callcontrol", 0, 4.0))[0]["participants"] == [{"id": 6}]
    assert body(played.reply("GET", "/callcontrol/101/participants/6", 0, 4.0)) == {"id": 6}


def test_the_socket_is_open_when_it_was() -> None:
    played = timeline(
        RecordedLine(1.0, "away", {"status": 401}),
        RecordedLine(5.0, "opened", {}),
        RecordedLine(9.0, "closed", {"code": 1001, "reason": "going"}),
        RecordedLine(20.0, "opened", {}),
    )
    assert played.socket(0.5) == Wait(1.0)
    assert played.socket(1.5) == SocketRefused(1.0, 401)
    assert played.socket(3.0) == Wait(5.0)
    assert played.socket(6.0) == SocketLife(5.0, 9.0, 1001, "going")
    assert played.socket(12.0) == SocketRefused(1.0, 401)
    assert played.socket(500.0) == SocketLife(20.0, None)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("/xapi/v1/Users?$select=Id&$top=100", "/xapi/v1/Users?$select=Id,Number&$top=50", True),
        ("/xapi/v1/Users?$skip=100", "/xapi/v1/Users", False),
        ("/xapi/v1/Users?$skip=0", "/xapi/v1/Users", True),
        ("/callcontrol/101", "/callcontrol/102", False),
    ],
)
def test_how_an_answer_is_to_be_written_makes_no_other_kind(
    first: str, second: str, *, same: bool
) -> None:
    assert (key_of("GET", first) == key_of("GET", second)) is same


def test_queues_that_were_pushed_are_the_answer_to_the_question_for_them() -> None:
    def asked(at: float, **told: Any) -> RecordedLine:
        request = {"asked": at, "method": "POST", "path": WEB_CLIENT, "ask": GET_MY_INFO}
        return RecordedLine(at, "answer", {**request, "status": 200, **told})

    first, second = {"800": {"101": [41, True]}}, {"800": {"101": [41, False]}}
    played = timeline(
        asked(1.0, bytes=40),
        RecordedLine(1.1, "push", {"logins": first}),
        asked(4.0, bytes=40),
        RecordedLine(4.1, "push", {"logins": second}),
        asked(6.0, said="NOT AUTH"),
    )

    def told(now: float) -> Any:
        reply = played.reply("POST", WEB_CLIENT, GET_MY_INFO, now)
        assert isinstance(reply, RecordedResponse), reply
        return reply.body

    assert played.reply("POST", WEB_CLIENT, GET_MY_INFO, 1.0) == Wait(1.1)
    assert told(1.2) == {"logins": first}
    assert told(4.2) == {"logins": second}
    assert told(6.1) == {"said": "NOT AUTH"}
