"""Test that whatever a client sends is read as a message or refused in either encoding."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.fanout.field_selection import names_of
from gateway.fanout.filters import FIELDS
from gateway.fanout.frames import Encoding, ErrorFrame, Pong, Unsubscribed, encode
from gateway.operations.operation_table import COMMANDS
from gateway.stream.client_messages import (
    BadMessage,
    Ping,
    Rights,
    from_address,
    parse,
)
from gateway.transport.subscription_id import IdHead, SubscriptionId
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
from tests.gateway.histories import decoded

ENCODINGS: tuple[Encoding, ...] = ("json", "msgpack")
RIGHTS = Rights((*TOPICS, *BOOK_TOPICS), {"read", "contacts", "control"})
WORDS = st.sampled_from(
    [
        *(
            "subscribe",
            "unsubscribe",
            "ping",
            "type",
            "id",
            "topics",
            "filter",
            "since",
            "merge",
            "fields",
            "query",
            "params",
            "at",
            "epoch",
            "seq",
        ),
        *("num", "min_len", "true", *TOPICS, *FIELDS, *COMMANDS),
    ]
)
_SCALARS = (
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=15,
)
MESSAGES = _ANY | st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | _ANY},
    optional={
        "id": st.text(max_size=70) | st.integers(-(2**63), 2**64 - 1) | _ANY,
        "topics": st.lists(_SCALARS, max_size=3) | _ANY,
        "filter": st.dictionaries(st.sampled_from(FIELDS), st.lists(_SCALARS, max_size=3)) | _ANY,
        "since": st.fixed_dictionaries({"epoch": _SCALARS, "seq": _SCALARS}) | _ANY,
        "merge": _ANY,
        "patch": st.booleans() | _ANY,
        "fields": st.lists(st.sampled_from(names_of("calls")) | _SCALARS, max_size=3) | _ANY,
        "query": st.sampled_from(list(COMMANDS)) | _ANY,
        "params": st.dictionaries(WORDS, _SCALARS, max_size=3) | _ANY,
        "at": _ANY,
    },
)


def heeded(data: str | bytes) -> None:
    """It is understood, or refused in words that can be sent."""
    try:
        message = parse(data, RIGHTS)
    except BadMessage as error:
        refused(error)
        return
    if isinstance(message, Ping):
        both(Pong(message.at, ""))
        return
    hash(message)
    named(message.id, Unsubscribed())


def refused(error: BadMessage) -> None:
    assert error.code
    assert len(str(error)) < 1_000
    both(ErrorFrame(error.code, str(error)))
    named(error.id, ErrorFrame(error.code, str(error)))


def named(id_: SubscriptionId | None, frame: ErrorFrame | Unsubscribed) -> None:
    """The answer can be sent with the id, and says the same."""
    if id_ is not None:
        for encoding in ENCODINGS:
            message = encode(frame, encoding)
            assert decoded(IdHead(id_).whole(message)) == {"id": id_, **decoded(message)}


def both(frame: ErrorFrame | Pong) -> None:
    encode(frame, "json")
    encode(frame, "msgpack")


@given(MESSAGES)
def test_any_json_is_a_message_or_refused(value: Any) -> None:
    heeded(json.dumps(value))


@given(MESSAGES)
def test_any_msgpack_is_a_message_or_refused(value: Any) -> None:
    heeded(msgpack.packb(value))


@given(st.binary(max_size=60) | st.text(max_size=60))
@example(b"\x81\xa4type" + b"\x91" * 1_000 + b"\xc0")
def test_any_bytes_and_any_text_are_a_message_or_refused(data: str | bytes) -> None:
    heeded(data)


@pytest.mark.parametrize(
    "place",
    ["type", "topics", "filter", "since", "query", "params", "at", "merge", "id", "fields", "x"],
)
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_message_of_any_depth_is_refused(place: str, encoding: str) -> None:
    kind = "ping" if place == "at" else "subscribe"
    for deep in (1, 40, *range(985, 1_030), 60_000):
        if encoding == "json":
            rest = "" if place == "type" else f',"type":"{kind}"'
            data: str | bytes = f'{{"{place}":{"[" * deep}{"]" * deep}{rest}}}'
        else:
            rest_of_it = b"" if place == "type" else b"\xa4type" + msgpack.packb(kind)
            head = b"\x81" if place == "type" else b"\x82"
            data = head + msgpack.packb(place) + b"\x91" * deep + b"\xc0" + rest_of_it
        with pytest.raises(BadMessage) as refusal:
            parse(data, RIGHTS)
        refused(refusal.value)


@given(st.lists(st.tuples(WORDS | st.text(max_size=5), st.text(max_size=12) | WORDS), max_size=4))
def test_any_address_is_a_subscription_or_refused(given_: list[tuple[str, str]]) -> None:
    try:
        wanted = from_address(given_, RIGHTS)
    except BadMessage as error:
        refused(error)
    else:
        assert (wanted is None) == (not given_)


@pytest.mark.parametrize("more", [("topics", "calls"), ("query", "pbx.calls.get")])
def test_an_address_of_more_parameters_than_any_needs_is_refused_before_they_are_compared(
    more: tuple[str, str],
) -> None:
    given = [(f"a{number}", "") for number in range(64)]
    with pytest.raises(BadMessage, match="more than 64"):
        from_address([*given, more], Rights(("calls",), ("read",)))
