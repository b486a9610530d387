"""Reading what an earlier monitor left in the store; what is made of it: :mod:`monitor.memory`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis

from monitor.bus import translated
from monitor.model import entities as e
from monitor.model.keys import Keys
from monitor.model.wire import Malformed, decode_entity
from monitor.pbx.facts import ContactsRead

MOST_CONTACTS: Final = 50_000
"""A larger address book would hold up the take-over by a second; names come then once the PBX has told it."""
_CALLS: Final = ("calls", "ended")


async def read(redis: Redis, keys: Keys, *, recent: bool) -> e.State:
    """The stored calls, running and ended; if they are ``recent`` the extensions as well, as they were.

    What cannot be read any more is left out. Raises BusUnreachable.
    """
    topics = (*_CALLS, "extensions") if recent else _CALLS
    with translated():
        async with redis.pipeline(transaction=True) as pipe:
            for topic in topics:
                pipe.execute_command("HGETALL", keys.state(topic))
            tables = await pipe.execute()
    state = e.empty_state(keys.topics)
    for topic, table in zip(topics, tables, strict=True):
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


def _entities(topic: str, table: Mapping[Any, Any]) -> dict[str, e.Entity]:
    held = {}
    for id_, data in table.items():
        try:
            held[id_.decode()] = decode_entity(topic, data)
        except (Malformed, UnicodeDecodeError):
            continue  # written by another version
    return held
