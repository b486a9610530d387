"""Messages of the web client, byte by byte as they were seen in use."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import myphone_messages
from monitor.myphone_messages import (
    ACKNOWLEDGEMENT,
    MAX_MESSAGE_BYTES,
    QUEUES_INFO,
    SET_QUEUE_STATUS,
    Acknowledgement,
    Action,
    AgentEntry,
    ConnectionEntry,
    NotAMessage,
    QueueEntry,
    QueuesUpdate,
    acknowledged,
    acknowledgement,
    decode,
    drop_call,
    get_my_info,
    login,
    make_call,
    my_info,
    queues_info,
    queues_update,
    set_queue_status,
)

IDS = st.integers(1, 2**31 - 1)
NUMBERS = st.text("0123456789*", min_size=1, max_size=5)
ACTIONS = st.sampled_from(list(Action))
NAMES = ("waiting", "ringing", "offered", "answered", "abandoned", "average_wait", "longest_wait")
ENTRIES = st.builds(
    QueueEntry,
    IDS,
    st.just("") | NUMBERS,
    st.text(max_size=5),
    st.none()
    | st.lists(
        st.builds(AgentEntry, IDS, st.just("") | NUMBERS, st.none() | st.booleans(), ACTIONS),
        max_size=4,
    ).map(tuple),
    st.none()
    | st.dictionaries(
        st.sampled_from(NAMES), st.integers(0, 10**9 - 1).map(float), min_size=1, max_size=7
    ),
    ACTIONS,
)


def test_what_is_sent_is_what_was_seen_in_use() -> None:
    """Field 1 is the message's number; the field of that number holds what belongs to it."""
    assert login() == b"\x08\x64" + b"\xa2\x06\x00"
    assert get_my_info() == b"\x08\x66" + b"\xb2\x06\x00"
    inner = b"\x08\x07" + b"\x10\x29" + b"\x18\x01"
    assert set_queue_status(7, 41, logged_in=True) == b"\x08\x84\x01" + b"\xa2\x08\x06" + inner


def test_a_logout_is_said_and_not_left_out() -> None:
    assert set_queue_status(7, 41, logged_in=False).endswith(b"\x18\x00")


def test_an_acknowledgement_is_read_as_it_was_captured() -> None:
    """Of build 20.0.9.995; field 6 is not known here."""
    text = "Request has been successfully processed"
    captured = bytes.fromhex("08cf01fa0c2d08011a27") + text.encode() + bytes.fromhex("3000")
    message = decode(captured)
    assert message.message_id == ACKNOWLEDGEMENT
    assert acknowledged(message) == Acknowledgement(True, 0, text)


@given(st.booleans(), st.integers(-(2**31), 2**31 - 1), st.text(max_size=20))
def test_what_became_of_a_command_is_read_as_it_was_written(
    success: bool, code: int, text: str
) -> None:
    message = decode(acknowledgement(success=success, text=text, code=code))
    assert acknowledged(message) == Acknowledgement(success, code, text)


def test_an_acknowledgement_that_does_not_say_whether_it_was_done_is_none() -> None:
    assert acknowledged(decode(b"\x08\xcf\x01\xfa\x0c\x02\x10\x09")) is None
    assert acknowledged(decode(login())) is None


def test_an_exception_at_the_pbx_is_its_text_if_there_is_no_other() -> None:
    inner = b"\x08\x00" + b"\x2a\x04Boom"
    said = acknowledged(decode(b"\x08\xcf\x01\xfa\x0c" + bytes((len(inner),)) + inner))
    assert said == Acknowledgement(False, 0, "Boom")


@given(st.lists(ENTRIES, max_size=4).map(tuple), ACTIONS)
def test_queues_and_their_agents_are_read_as_they_were_written(
    entries: tuple[QueueEntry, ...], action: Action
) -> None:
    message = decode(queues_info(QueuesUpdate(entries, action)))
    assert message.message_id == QUEUES_INFO
    assert queues_update(message) == QueuesUpdate(entries, action)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("3", 3.0),
        (" 3 ", 3.0),
        ("2.5", 2.5),
        ("", None),
        ("-1", None),
        ("1e9", None),
        ("nan", None),
        ("0x10", None),
        ("00:00:12", None),
        ("9" * 10, None),
        ("٣", None),
    ],
)
def test_a_figure_is_a_decimal_number_or_not_told(told: str, read: float | None) -> None:
    message = decode(queues_info(QueuesUpdate((QueueEntry(7, "800", figures={"offered": 1.0}),))))
    message.queues_info.queues[0].figures.waiting = told
    update = queues_update(message)
    assert update is not None
    figures = update.queues[0].figures
    assert figures is not None
    assert figures.get("waiting") == read
    assert figures["offered"] == 1.0


def test_a_pbx_without_queues_says_so() -> None:
    assert queues_update(decode(queues_info(QueuesUpdate(())))) == QueuesUpdate(())
    assert queues_update(decode(login())) is None


def test_too_many_queues_or_agents_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = tuple(AgentEntry(number) for number in range(1, 4))
    message = queues_info(QueuesUpdate((QueueEntry(7, agents=agents), QueueEntry(8))))
    for limit, most in (("MAX_QUEUES", 2), ("MAX_AGENTS", 3)):
        monkeypatch.setattr(myphone_messages, limit, most)
        assert queues_update(decode(message)) is not None
        monkeypatch.setattr(myphone_messages, limit, most - 1)
        with pytest.raises(NotAMessage, match="more than"):
            decode(message)
        monkeypatch.undo()
    calls = [ConnectionEntry(number, 3, "102", False) for number in range(3)]
    own = my_info(41, "101", queue_status=True, connections=calls)
    monkeypatch.setattr(myphone_messages, "MAX_AGENTS", 2)
    with pytest.raises(NotAMessage, match="more than"):
        decode(own)


def test_a_message_beyond_all_measure_is_none() -> None:
    with pytest.raises(NotAMessage, match="larger"):
        decode(b"\x08\x01" * (MAX_MESSAGE_BYTES // 2) + b"\x08")


def test_messages_nested_without_end_are_none() -> None:
    with pytest.raises(NotAMessage):
        decode(b"\xfb\x7d" * 100_000)  # groups of an unknown field, never closed


def test_calls_are_asked_for_and_told() -> None:
    """The fields are those of the web client."""
    inner = b"\x0a\x03101" + b"\x1a\x05sip:1" + b"\x20\x01"
    assert make_call("101", "sip:1") == b"\x08\x77" + b"\xba\x07" + bytes((len(inner),)) + inner
    assert drop_call(5) == b"\x08\x73" + b"\x9a\x07\x02\x08\x05"
    told = decode(
        my_info(41, "101", queue_status=True, connections=[ConnectionEntry(5, 3, "102", False)])
    ).my_info
    assert (told.id, told.number, told.queue_status) == (41, "101", True)
    [call] = told.connections.items
    assert (call.id, call.state, call.party, call.incoming) == (5, 3, "102", False)


def test_fields_that_a_newer_pbx_adds_are_passed_over() -> None:
    message = decode(set_queue_status(7, 41, logged_in=True) + b"\xf8\x3f\x05")
    assert message.message_id == SET_QUEUE_STATUS
    assert message.set_queue_status.agent_id == 41


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\xff" * 20,
        acknowledgement(success=True, text="abc")[:-1],
        acknowledgement(success=True, text="abc").replace(b"abc", b"a\xffc"),
        queues_info(QueuesUpdate((QueueEntry(7, "8xx"),))).replace(b"8xx", b"8\xffx"),
    ],
)
def test_what_is_cut_or_no_text_is_no_message(data: bytes) -> None:
    with pytest.raises(NotAMessage):
        decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    with suppress(NotAMessage):
        message = decode(data)
        queues_update(message)
        acknowledged(message)
