"""Keep the ended calls in every monitor's file.

They are also on Redis, as entities like others. The leader's file holds exactly the calls that the
leader shows. A standby adds what Redis shows and removes nothing, because Redis may have been
emptied. Surplus calls go when it leads and shows its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.persistence.sqlite_store import Store
from monitor.shared.codec import Malformed, check_entity, decode_entity, encode_entity
from monitor.shared.entities.topics import EndedCall, Entity, State, table
from monitor.shared.errors import StoreFailed
from monitor.shared.redis.connection import (
    is_wrong_type,
    raise_if_cancelled,
    read_turn,
    rejected,
    text,
    translated,
)
from monitor.shared.redis.key_names import SpaceKeys
from monitor.statistics.call_account import is_same_life
from monitor.statistics.durations import unix_ms

EVERY_S: Final = 5.0
"""Seconds between two writes to the file."""
_TOPIC: Final = "ended"
_AT_ONCE: Final = 200

_log = structlog.get_logger(__name__)


class EndedCallStore:
    """Keep the ended calls of one PBX in the file."""

    def __init__(self, redis: Redis, pbx: str, store: Store) -> None:
        self._redis = redis
        self._pbx = pbx
        self._key = SpaceKeys(pbx, "live").state(_TOPIC)
        self._store = store
        self._held: set[str] = set()
        self._wrong: set[str] = set()
        """Ids of calls that could not be read. They are read again, and told once."""

    async def read(self) -> dict[str, Entity]:
        """Return the calls in the file by id, or nothing if it cannot be read."""
        try:
            found = await self._store.ended(self._pbx)
        except StoreFailed as error:
            _log.warning("ended_calls_read_failure", pbx=self._pbx, reason=str(error))
            return {}
        calls: dict[str, Entity] = {}
        for id_, data in found.items():
            if (call := _decoded(id_, data)) is not None:
                calls[id_] = call
        return calls

    async def mirror(self) -> None:
        """Add the ended calls on Redis to the file. Raises BusUnreachable or StoreFailed."""
        with translated():
            try:
                async with read_turn(self._redis):
                    ids: list[Any] = await self._redis.hkeys(self._key)
            except ResponseError as error:
                if not is_wrong_type(error):
                    raise
                rejected(self._key, str(error))
                return  # the leader writes it again
            new = [id_ for id_ in ids if (text(id_) or "") not in self._held]
            wrong: set[str] = set()
            for at in range(0, len(new), _AT_ONCE):
                wrong |= await self._add(new[at : at + _AT_ONCE])
        if wrong:
            reason = f"{len(wrong)} ended calls that cannot be read"
            rejected(self._key, reason, logged=not wrong <= self._wrong)
        self._wrong = wrong
        if len(self._held) > 2 * len(ids) + _AT_ONCE:  # drop ids of earlier days
            self._held = {text(id_) or "" for id_ in ids}

    async def _add(self, ids: list[Any]) -> set[str]:
        """Add the ended calls with these ids from Redis to the file.

        Returns the ids of those that cannot be read.
        """
        names = [text(id_) or "" for id_ in ids]
        found = zip(names, await self._redis.hmget(self._key, ids), strict=True)
        calls = {id_: call for id_, data in found if (call := _decoded(id_, data)) is not None}
        await self._store.keep_ended(self._pbx, _rows(calls), only=False)
        self._held.update(calls)
        return set(names) - calls.keys()

    async def run(self, state: Callable[[], State]) -> None:
        """Keep the ended calls until cancelled, and once more at the end.

        ``state()``: returns the live topics.
        """
        shown: dict[str, EndedCall] = {}
        try:
            while True:
                raise_if_cancelled()
                # At once, too: what was taken over is on Redis alone, and may be lost with it.
                shown = await self._keep(table(state(), _TOPIC, EndedCall), shown)
                raise_if_cancelled()
                await asyncio.sleep(EVERY_S)
        finally:
            self._held.clear()
            await self._keep(table(state(), _TOPIC, EndedCall), shown)

    async def _keep(
        self, calls: Mapping[str, EndedCall], before: dict[str, EndedCall]
    ) -> dict[str, EndedCall]:
        """Write the calls if they differ from ``before``; return those that the file holds now."""
        now = dict(calls)
        if now == before:
            return before
        try:
            await self._store.keep_ended(self._pbx, _rows(now), only=True)
        except StoreFailed as error:
            _log.warning("ended_calls_write_failure", pbx=self._pbx, reason=str(error))
            return before
        return now


def joined(kept: Mapping[str, Entity], shown: Mapping[str, Entity]) -> dict[str, Entity]:
    """Return the calls of the file and the calls shown, each call once.

    Two monitors may give different starts for one call. A call shown goes before one of the file;
    there, a call that was seen goes before one that nobody saw.
    """
    found = dict(shown)
    lives: dict[int, list[tuple[int, int]]] = {}
    for call in found.values():
        if isinstance(call, EndedCall):
            lives.setdefault(call.call_id, []).append(_life(call))
    calls = [call for id_, call in kept.items() if id_ not in found and isinstance(call, EndedCall)]
    for call in sorted(calls, key=lambda call: call.outcome == "unknown"):
        known = lives.setdefault(call.call_id, [])
        if not any(is_same_life(*_life(call), *life) for life in known):
            known.append(_life(call))
            found[call.id] = call
    return found


def _life(call: EndedCall) -> tuple[int, int]:
    return unix_ms(call.started_at), unix_ms(call.ended_at)


def _rows(calls: Mapping[str, EndedCall]) -> dict[str, tuple[str, bytes]]:
    return {id_: (call.ended_at, encode_entity(call)) for id_, call in calls.items()}


def _decoded(id_: str, data: Any) -> EndedCall | None:
    """Return the call; None if it cannot be read, has another id, or is gone."""
    try:
        call = decode_entity(_TOPIC, data) if isinstance(data, bytes) else None
        if not isinstance(call, EndedCall):
            return None
        check_entity(id_, call)
    except (Malformed, UnicodeDecodeError):
        return None
    return call
