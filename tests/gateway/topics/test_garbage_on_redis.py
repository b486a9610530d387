"""Test that no content of Redis ends a gateway or is shown by it.

And it follows again once good data come.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from monitor.shared import api_keys, command_messages
from monitor.shared import codec as wire
from monitor.shared.changes import Change
from monitor.shared.codec import Heartbeat, Malformed
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
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


@pytest.mark.parametrize("place", ["channel", "log", "state", "position", "a key of another kind"])
async def test_garbage_on_redis_is_passed_over(valkey: RealBus, place: str) -> None:
    with capture_logs() as logged:
        await _pass_over_garbage(valkey, place, logged)


async def _pass_over_garbage(valkey: RealBus, place: str, logged: list[EventDict]) -> None:
    redis, dice = valkey.client(), random.Random(place)
    async with writing(valkey) as writer, following(valkey) as it:
        await it.at(await writer.start())
        for _ in range(20):
            data = dice.randbytes(dice.randrange(60))
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
