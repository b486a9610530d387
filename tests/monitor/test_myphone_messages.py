"""Messages of the web client, byte by byte as they were seen in use."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.myphone_messages import (
    DONE,
    QUEUES_INFO,
    SET_QUEUE_STATUS,
    NotAMessage,
    decode,
    done,
    get_my_info,
    login,
    queues_info,
    set_queue_status,
)

NUMBERS = st.text("0123456789*", min_size=1, max_size=5)


def test_what_is_sent_is_what_was_seen_in_use() -> None:
    """Field 1 is the message's number; the field of that number holds what belongs to it."""
    assert login() == b"\x08\x64" + b"\xa2\x06\x00"
    assert get_my_info() == b"\x08\x66" + b"\xb2\x06\x00"
    inner = b"\x08\x07" + b"\x10\x29" + b"\x18\x01"
    assert set_queue_status(7, 41, logged_in=True) == b"\x08\x84\x01" + b"\xa2\x08\x06" + inner


def test_a_logout_is_said_and_not_left_out() -> None:
    assert set_queue_status(7, 41, logged_in=False).endswith(b"\x18\x00")


def test_what_became_of_a_command_is_its_text() -> None:
    message = decode(done("The command was successfully processed"))
    assert (message.message_id, message.done.text) == (
        DONE,
        "The command was successfully processed",
    )


@given(
    st.dictionaries(
        NUMBERS,
        st.dictionaries(NUMBERS, st.tuples(st.integers(0, 2**31 - 1), st.booleans()), max_size=4),
        max_size=4,
    )
)
def test_queues_and_their_agents_are_read_as_they_were_written(
    queues: dict[str, dict[str, tuple[int, bool]]],
) -> None:
    message = decode(queues_info(queues))
    assert message.message_id == QUEUES_INFO
    assert {
        queue.number: {
            agent.extension: (agent.id, bool(agent.logged_in)) for agent in queue.agents.items
        }
        for queue in message.queues_info.queues
    } == queues


def test_a_pbx_without_queues_says_so() -> None:
    assert decode(queues_info({})).HasField("queues_info")
    assert not decode(login()).HasField("queues_info")


def test_fields_that_a_newer_pbx_adds_are_passed_over() -> None:
    message = decode(set_queue_status(7, 41, logged_in=True) + b"\xf8\x3f\x05")
    assert message.message_id == SET_QUEUE_STATUS
    assert message.set_queue_status.agent_id == 41


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\xff" * 20,
        done("abc")[:-1],
        done("abc").replace(b"abc", b"a\xffc"),
        queues_info({"8xx": {"1": (1, True)}}).replace(b"8xx", b"8\xffx"),
    ],
)
def test_what_is_cut_or_no_text_is_no_message(data: bytes) -> None:
    with pytest.raises(NotAMessage):
        decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    with suppress(NotAMessage):
        decode(data)
