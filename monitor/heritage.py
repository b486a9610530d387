"""Reading what an earlier monitor left in the store; what is made of it: :mod:`monitor.memory`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis

from monitor.bus import translated
from monitor.model import entities as e
from monitor.model.instants import moment
from monitor.model.keys import Keys
from monitor.model.wire import Malformed, decode_entity
from monitor.pbx.facts import ContactsRead

MOST_CONTACTS: Final = 50_000
"""A larger address book would hold up the take-over by a second; names come then once the PBX has told it."""
RECENT: Final = 300.0
"""Seconds in which nobody may have looked, and an extension is still taken to be as it was the whole time."""
_TOPICS: Final = ("calls", "ended", "extensions")


async def read(redis: Redis, keys: Keys, now: float) -> e.State:
    """The stored calls, running and ended; the extensions as well if a writer was there not long before ``now``.

    ``now``: POSIX seconds on our clock, as a writer's last sign of life is on his. What cannot be read any more is left
    out. Raises BusUnreachable.
    """
    with translated():
        async with redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("HMGET", keys.position, "at")
            for topic in _TOPICS:
                pipe.execute_command("HGETALL", keys.state(topic))
            (at,), *tables = await pipe.execute()
    state = e.empty_state(keys.topics)
    for topic, table in zip(_TOPICS, tables, strict=True):
        if topic != "extensions" or _is_recent(at, now):
            state[topic] = _entities(topic, table)
    return state


async def read_book(redis: Redis, keys: Keys) -> tuple[ContactsRead, ...]:
    """The stored address book, by which callers are named; nothing if it is empty or large. Raises BusUnreachable."""
    with translated():
        size = await redis.hlen(keys.state("contacts"))
        if not 0 < size <= MOST_CONTACTS:
            return ()
        table = await redis.hgetall(keys.state("contacts"))
    found = _entities("contacts", table).values()
    return (ContactsRead(tuple(contact for contact in found if isinstance(contact, e.Contact))),)


def _is_recent(at: object, now: float) -> bool:
    """Whether the position's ``at``, which every publish and every heartbeat brings forward, is of just now."""
    try:
        return isinstance(at, bytes) and abs(now - moment(at.decode()).timestamp()) < RECENT
    except ValueError:
        return False


def _entities(topic: str, table: Mapping[Any, Any]) -> dict[str, e.Entity]:
    held = {}
    for id_, data in table.items():
        try:
            held[id_.decode()] = decode_entity(topic, data)
        except (Malformed, UnicodeDecodeError):
            continue  # written by another version
    return held
