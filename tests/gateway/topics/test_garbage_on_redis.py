"""Test that no content of Redis ends a gateway or is shown by it.

And it follows again once good data come.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from monitor.handover import fact_codec
from monitor.persistence import command_record
from monitor.shared import api_keys, command_messages, process_status
from monitor.shared import codec as wire
from monitor.shared.changes import Change
from monitor.shared.codec import Heartbeat, Malformed
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
from monitor.statistics import checkpoint_format
from tests.bus import RealBus, until
from tests.gateway.replication.test_follower import KEYS, following, writing

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5)
    ),
    max_leaves=12,
)
GARBAGE = (
    st.binary()
    | _VALUES.map(wire.to_msgpack)
    | st.lists(_VALUES, max_size=9).map(lambda inner: wire.to_msgpack(["change", *inner]))
)
"""Bytes of any kind, well-made messages of other shapes, and those that begin as ours do."""


@pytest.mark.parametrize(
    ("decode", "kinds"),
    [
        (wire.decode_announcement, (Change, Heartbeat, object)),
        (wire.decode_change, (Change,)),
        (command_messages.decode_request, (command_messages.Request,)),
        (command_messages.decode_outcome, (command_messages.Outcome,)),
        (
            command_messages.decode_ring,
            (
                command_messages.Claimed,
                command_messages.Completed,
                command_messages.PositionReached,
            ),
        ),
        (command_messages.decode_reach, (command_messages.PositionQuery,)),
        (api_keys.decode_key, (api_keys.StoredKey,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@given(data=GARBAGE)
def test_any_bytes_are_a_message_or_malformed(
    decode: Callable[[bytes], Any], kinds: tuple[type, ...], data: bytes
) -> None:
    with suppress(Malformed):
        assert isinstance(decode(data), kinds)


@given(data=GARBAGE, topic=st.sampled_from([*TOPICS, *BOOK_TOPICS]))
def test_any_bytes_are_an_entity_or_malformed(data: bytes, topic: str) -> None:
    with suppress(Malformed):
        assert type(wire.decode_entity(topic, data)) is (TOPICS | BOOK_TOPICS)[topic]


_AT = "2026-03-04T03:15:00.000Z"
_EPOCH = "001700000000000-a"
_DEEP = b"\x91" * 20_000 + b"\xc0"


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (wire.decode_announcement, ["position", _EPOCH, 1, _AT]),
        (wire.decode_change, ["change", _EPOCH, 1, _AT, [], "", 0.0]),
        (lambda data: wire.decode_entity("contacts", data), {"id": 1, "name": "Anna"}),
        (
            command_messages.decode_request,
            ["id", "g", "ext.update", {"num": "100"}, "wall", "192.0.2.7", None, "", False, False],
        ),
        (command_messages.decode_outcome, ["id", {}, None, None, None, None]),
        (command_messages.decode_ring, ["done", "id"]),
        (command_messages.decode_reach, ["id", "g", None, None]),
        (
            api_keys.decode_key,
            {"name": "wall", "digest": "a" * 64, "scopes": ["read"], "changed_at": 1.0},
        ),
        (
            process_status.decode_process,
            {
                "program": "gateway",
                "name": "a",
                "pid": 1,
                "version": "1",
                "started": _AT,
                "pbxs": {},
            },
        ),
        (
            command_record.decode_record,
            ["id", "pbx", 1.0, "g", "wall", "", "ext.update", "", "", 0, None, "", None],
        ),
        (checkpoint_format.decode, {"version": 1}),
        (fact_codec.decode, {"version": fact_codec.VERSION, "directory": None, "logins": None}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_newer_version_adds_is_passed_over_unless_it_is_nested_without_end(
    decode: Callable[[bytes], Any], data: Any
) -> None:
    more = [*data, "new"] if isinstance(data, list) else data | {"more": "new"}
    added = wire.to_msgpack(more)
    decode(added)
    deep = sys.version_info >= (3, 14)  # which reads as deep as its stack allows
    with suppress(Malformed) if deep else pytest.raises(Malformed):
        decode(added.replace(b"\xa3new", _DEEP))


_UNREADABLE = (
    b"\x94\xa8position\xa1\xff\x01\xa1a",
    b"\x95\xa6change\xa1e\x01\xa1a\x91\x94\xa5calls\xa11" + _DEEP + b"\xc0",
)
"""Messages that begin as ours do: one holds no UTF-8, one is nested without end."""


@pytest.mark.parametrize("place", ["channel", "log", "state", "position", "a key of another kind"])
async def test_garbage_on_redis_is_passed_over(valkey: RealBus, place: str) -> None:
    with capture_logs() as logged:
        await _pass_over_garbage(valkey, place, logged)


async def _pass_over_garbage(valkey: RealBus, place: str, logged: list[EventDict]) -> None:
    redis, dice = valkey.client(), random.Random(place)
    async with writing(valkey) as writer, following(valkey) as it:
        await it.at(await writer.start())
        for _ in range(20):
            data = dice.choice((dice.randbytes(dice.randrange(60)), *_UNREADABLE))
            match place:
                case "channel":
                    await redis.publish(KEYS.channel, data)
                case "log":
                    await redis.xadd(KEYS.log, {"change": data})
                    await redis.publish(KEYS.channel, data)
                case "state":
                    await redis.hset(KEYS.state("ivrs"), "x", data)
                    await redis.publish(KEYS.channel, data)
                case "position":
                    await redis.hset(KEYS.position, mapping={"epoch": data, "seq": data})
                    await redis.publish(KEYS.channel, data)
                case _:
                    await redis.delete(KEYS.position)
                    await redis.rpush(KEYS.position, data)
                    await redis.publish(KEYS.channel, data)
        # What stands at the position is read at every look: it is met for certain, not only if
        # there is time.
        told = (
            "redis_value_rejected"
            if "position" in place or "key" in place
            else "follower_connection_lost"
        )
        await until(lambda: any(line["event"] == told for line in logged))
        assert it.replica.state["ivrs"] == {}
        await redis.delete(KEYS.log, KEYS.position, KEYS.state("ivrs"))
        await it.at(await writer.start())
        written = await writer.publish("good")
        await it.at(written)
        assert it.replica.state["ivrs"] == writer.state["ivrs"]
