"""Read what an earlier monitor left in the store.

:mod:`monitor.tracking.call_recovery` decides how it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.pbx.facts import ContactsRead
from monitor.shared.codec import Malformed, check_entity, decode_entity
from monitor.shared.entities import topics as e
from monitor.shared.redis.connection import read_turn, rejected, translated, unless_rejected
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.timestamps import moment

MOST_CONTACTS: Final = 50_000
"""Largest address book that is read. A larger one would delay the take-over by a second; its
names appear once the PBX has sent it."""
RECENT_S: Final = 300.0
"""Seconds for which the PBX may have been unwatched while an extension is still taken to be
unchanged."""
_TOPICS: Final = ("calls", "ended", "extensions")


async def read(redis: Redis, keys: SpaceKeys, now: float) -> e.State:
    """Return the stored calls, running and ended, and the extensions if they are recent.

    Extensions are recent if a monitor wrote not long before ``now``. ``now``: POSIX seconds on our
    clock, compared with the last sign of life on the writer's clock. Entities that can no longer be
    read are left out. Raises BusUnreachable.
    """
    with translated():
        async with read_turn(redis), redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("HMGET", keys.position, "at")
            for topic in _TOPICS:
                pipe.execute_command("HGETALL", keys.state(topic))
            read, *tables = await pipe.execute(raise_on_error=False)
        at = unless_rejected(keys.position, read, [None])[0]
        found = {
            topic: unless_rejected(keys.state(topic), table, {})
            for topic, table in zip(_TOPICS, tables, strict=True)
            if topic != "extensions" or _is_recent(at, now)
        }
    return e.empty_state(keys.topics) | {
        topic: _entities(keys, topic, table) for topic, table in found.items()
    }


async def read_book(redis: Redis, keys: SpaceKeys) -> tuple[ContactsRead, ...]:
    """Return the stored address book, from which callers get their names.

    Returns nothing if it is empty or larger than ``MOST_CONTACTS``. Raises BusUnreachable.
    """
    with translated():
        try:
            async with read_turn(redis):
                size = await redis.hlen(keys.state("contacts"))
                if not 0 < size <= MOST_CONTACTS:
                    return ()
                table = await redis.hgetall(keys.state("contacts"))
        except ResponseError as error:
            unless_rejected(keys.state("contacts"), error, None)
            return ()
    found = _entities(keys, "contacts", table).values()
    return (ContactsRead(tuple(contact for contact in found if isinstance(contact, e.Contact))),)


def _is_recent(at: object, now: float) -> bool:
    """Return whether the position's ``at`` is less than ``RECENT_S`` seconds from ``now``.

    Every publish and every heartbeat updates ``at``.
    """
    try:
        return isinstance(at, bytes) and abs(now - moment(at.decode()).timestamp()) < RECENT_S
    except ValueError:
        return False


def _entities(keys: SpaceKeys, topic: str, table: Mapping[Any, Any]) -> dict[str, e.Entity]:
    held, left_out = {}, 0
    for id_, data in table.items():
        try:
            entity = decode_entity(topic, data)
            check_entity(id_.decode(), entity)
            held[id_.decode()] = entity
        except (Malformed, UnicodeDecodeError):
            left_out += 1
    if left_out:  # written by another version or another program
        rejected(keys.state(topic), f"{left_out} entities that cannot be read")
    return held
