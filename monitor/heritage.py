"""Reading what an earlier monitor left in the store; what is made of it: :mod:`monitor.memory`."""

from __future__ import annotations

from redis.asyncio import Redis

from monitor.bus import translated
from monitor.model import entities as e
from monitor.model.keys import Keys
from monitor.model.wire import Malformed, decode_entity

_TOPICS = ("calls", "ended")


async def read(redis: Redis, keys: Keys) -> e.State:
    """The stored calls, running and ended; what cannot be read any more is left out. Raises BusUnreachable."""
    with translated():
        async with redis.pipeline(transaction=True) as pipe:
            for topic in _TOPICS:
                pipe.execute_command("HGETALL", keys.state(topic))
            tables = await pipe.execute()
    state = e.empty_state(keys.topics)
    for topic, table in zip(_TOPICS, tables, strict=True):
        for id_, data in table.items():
            try:
                state[topic][id_.decode()] = decode_entity(topic, data)
            except (Malformed, UnicodeDecodeError):
                continue  # written by another version
    return state
