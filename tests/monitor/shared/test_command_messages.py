"""Commands on their way from a gateway to the monitor and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.shared.changes import Position
from monitor.shared.codec import Malformed, from_msgpack, to_msgpack
from monitor.shared.command_messages import (
    MAX_TEXT,
    Busy,
    Claimed,
    CommandFailure,
    Completed,
    IdempotencyKey,
    Outcome,
    PositionQuery,
    PositionReached,
    Request,
    decode_outcome,
    decode_reach,
    decode_request,
    decode_ring,
    encode,
)

REQUEST = Request(
    "id",
    "gateway-1",
    "ext.update",
    {"num": "100", "name": "Ж"},
    "wall",
    "192.0.2.7",
    IdempotencyKey("digest", "print"),
    "trace",
    takes_body=True,
)
MESSAGES: list[tuple[Any, Callable[[bytes], Any]]] = [
    (REQUEST, decode_request),
    (Outcome("id", {"callid": 7, "list": [None, "x"]}, live=Position("e", 3)), decode_outcome),
    (Outcome("id", None, CommandFailure("too late", "late", "It is.")), decode_outcome),
    (Outcome("id", None, body=b'{"count":0,"rows":[]}'), decode_outcome),
    (Claimed("id"), decode_ring),
    (Completed("id"), decode_ring),
    (Busy("id"), decode_ring),
    (PositionReached("id"), decode_ring),
    (PositionQuery("id", "gateway-1", Position("e", 3), None), decode_reach),
]


@pytest.mark.parametrize(("message", "decode"), MESSAGES, ids=lambda value: type(value).__name__)
def test_a_message_is_read_as_it_was_written(
    message: Any, decode: Callable[[bytes], object]
) -> None:
    found = decode(encode(message))
    assert found == message
    assert type(found) is type(message)


def test_a_request_of_an_older_gateway_has_no_trace_and_one_of_a_newer_has_more() -> None:
    fields = from_msgpack(encode(REQUEST))
    older = decode_request(to_msgpack(fields[:6]))
    assert (older.arguments, older.once, older.trace) == (REQUEST.arguments, None, "")
    assert not older.takes_body
    assert decode_request(to_msgpack([*fields, "later"])) == REQUEST


def test_an_outcome_of_an_older_monitor_has_its_reply_and_no_body() -> None:
    outcome = decode_outcome(to_msgpack(["id", {"count": 0}, None, None, None]))
    assert outcome == Outcome("id", {"count": 0})


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["id"],
        ["id", "g", "ext.update", {"num": 100}, "wall", "192.0.2.7"],
        ["id", "g", "ext.update", [], "wall", "192.0.2.7"],
        {"id": "id"},
    ],
)
def test_a_request_of_another_form_is_malformed(wrong: object) -> None:
    with pytest.raises(Malformed, match="not a request's message"):
        decode_request(to_msgpack(wrong))


@pytest.mark.parametrize(
    ("message", "decode", "field"),
    [
        *((REQUEST, decode_request, name) for name in ("id", "gateway", "command", "client")),
        *((REQUEST, decode_request, name) for name in ("trace", "digest", "fingerprint")),
        *((PositionQuery("id", "g", None, None), decode_reach, name) for name in ("id", "gateway")),
    ],
)
def test_a_text_that_logs_repeat_is_no_longer_than_a_line(
    message: Any, decode: Callable[[bytes], object], field: str
) -> None:
    def with_characters(number: int) -> bytes:
        if field in IdempotencyKey.__struct_fields__:
            return encode(replace(message, once=replace(message.once, **{field: "x" * number})))
        return encode(replace(message, **{field: "x" * number}))

    decode(with_characters(MAX_TEXT))
    with pytest.raises(Malformed):
        decode(with_characters(MAX_TEXT + 1))


def test_a_word_for_a_failure_that_nobody_knows_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode_outcome(to_msgpack(["id", None, ["perhaps", "code", "text"]]))
    decode_outcome(to_msgpack(["id", None, ["unknown", "code", "text"]]))


@pytest.mark.parametrize("data", [b"", b"\x92\xa4done\xa1\xff", to_msgpack(["rung", "id"])])
def test_a_ring_that_is_none_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_ring(data)
