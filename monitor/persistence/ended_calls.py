"""Keep the ended calls in every monitor's file.

They are also on Redis, as entities like others. Rules:

- The leader's file holds exactly the calls that the leader shows, a quarter of a second later.
- A standby adds what Redis shows and removes nothing, because Redis may have been emptied. Surplus
  calls go when it leads and shows its own.
- A monitor that led last and finds another one leading sets the calls of its file aside. Redis may
  have been emptied meanwhile, so that nobody else knows the newest of them. It offers the leader
  those that Redis does not show. The leader takes those whose end it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.persistence.sqlite_store import Store
from monitor.shared.codec import Malformed, check_entity, decode_entity, encode_entity
from monitor.shared.entities.topics import EndedCall, Entity, State, table
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.connection import (
    is_wrong_type,
    raise_if_cancelled,
    read_turn,
    rejected,
    text,
    translated,
)
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.timestamps import from_unix
from monitor.statistics.call_account import is_same_life
from monitor.statistics.durations import unix_ms

EVERY_S: Final = 0.25
"""Seconds between two writes to the file."""
_FOUND_EVERY_S: Final = 5.0
_FOUND_KEPT_S: Final = 3_600
_CLOCK_TOLERANCE_S: Final = 60.0
_OFFERS: Final = 3
"""Times that a call is offered, as Redis may be emptied before the leader has read it."""
_MOST_FOUND: Final = 20_000
"""Calls on offer at most; no monitors have more."""
_MOST_LIVES: Final = 100
"""Calls with one id that another is compared with: a PBX begins anew with its ids at a restart."""
_TOPIC: Final = "ended"
_AT_ONCE: Final = 200

_log = structlog.get_logger(__name__)


class EndedCallStore:
    """Keep the ended calls of one PBX in the file."""

    def __init__(self, redis: Redis, pbx: str, store: Store) -> None:
        self._redis = redis
        self._pbx = pbx
        keys = SpaceKeys(pbx, "live")
        self._key, self._found = keys.state(_TOPIC), keys.found
        self._store = store
        self._held: set[str] = set()
        self._aside: dict[str, EndedCall] = {}
        self._offers = 0
        self._wrong: set[str] = set()
        """Ids of calls that could not be read. They are read again, and told once."""

    async def read(self) -> dict[str, EndedCall]:
        """Return the calls in the file by id, or nothing if it cannot be read."""
        try:
            found = await self._store.ended(self._pbx)
        except StoreFailed as error:
            _log.warning("ended_calls_read_failure", pbx=self._pbx, reason=str(error))
            return {}
        return _readable(found)

    async def set_aside(self) -> None:
        """Set the calls in the file aside, to offer them while mirroring.

        Call it when another monitor leads that did not before.
        """
        self._aside, self._offers = await self.read(), 0

    async def mirror(self) -> None:
        """Add the ended calls on Redis to the file, and offer those that it does not show.

        Raises BusUnreachable or StoreFailed.
        """
        with translated():
            try:
                async with read_turn(self._redis):
                    ids: list[Any] = await self._redis.hkeys(self._key)
            except ResponseError as error:
                if not is_wrong_type(error):
                    raise
                rejected(self._key, str(error))
                return  # the leader writes it again
            shown = {text(id_) or "" for id_ in ids}
            await self._offer(shown)
            new = [id_ for id_ in shown if id_ not in self._held]
            wrong: set[str] = set()
            for at in range(0, len(new), _AT_ONCE):
                wrong |= await self._add(new[at : at + _AT_ONCE])
        if wrong:
            reason = f"{len(wrong)} ended calls that cannot be read"
            rejected(self._key, reason, logged=not wrong <= self._wrong)
        self._wrong = wrong
        if len(self._held) > 2 * len(shown) + _AT_ONCE:  # drop ids of earlier days
            self._held = shown

    async def _add(self, ids: list[str]) -> set[str]:
        """Add the ended calls with these ids from Redis to the file.

        Returns the ids of those that cannot be read.
        """
        found = zip(ids, await self._redis.hmget(self._key, ids), strict=True)
        calls = _readable(dict(found))
        await self._store.change_ended(self._pbx, _rows(calls))
        self._held.update(calls)
        return set(ids) - calls.keys()

    async def _offer(self, shown: set[str]) -> None:
        """Offer the calls set aside that Redis does not show, once the last ones were read."""
        for id_ in self._aside.keys() & shown:
            del self._aside[id_]
        if not self._aside:
            return
        try:
            if await self._redis.hlen(self._found):
                return
        except ResponseError as error:
            await self._replace_wrong(error)
        rows = [(id_, encode_entity(call)) for id_, call in self._aside.items()]
        for at in range(0, len(rows), _AT_ONCE):
            await self._redis.hset(self._found, mapping=dict(rows[at : at + _AT_ONCE]))
        await self._redis.expire(self._found, _FOUND_KEPT_S)
        self._offers += 1
        if self._offers == 1:
            _log.info("ended_calls_offered", pbx=self._pbx, calls=len(rows))
        if self._offers == _OFFERS:
            self._aside.clear()

    async def follow_offers(
        self,
        adopt: Callable[[Mapping[str, EndedCall]], Awaitable[None]],
        pbx_time: Callable[[], float | None],
    ) -> None:
        """Read what other monitors offer until cancelled.

        ``adopt(calls)``: returns when Redis shows those that were taken. ``pbx_time()``: POSIX
        seconds on the PBX's clock, None if unknown.
        """
        while True:
            raise_if_cancelled()
            try:
                with translated():
                    await self._read_offers(adopt, pbx_time())
            except BusUnreachable as error:
                _log.debug("ended_calls_offer_failure", pbx=self._pbx, reason=str(error))
            raise_if_cancelled()
            await asyncio.sleep(_FOUND_EVERY_S)

    async def _read_offers(
        self,
        adopt: Callable[[Mapping[str, EndedCall]], Awaitable[None]],
        now: float | None,
    ) -> None:
        try:
            async with read_turn(self._redis):
                size = await self._redis.hlen(self._found)
                if size > _MOST_FOUND:  # its names alone might not come in time
                    rejected(self._found, f"{size} calls are offered")
                    await self._redis.unlink(self._found)
                if not 0 < size <= _MOST_FOUND:
                    return
                ids: list[Any] = (await self._redis.hkeys(self._found))[:_AT_ONCE]
                values = await self._redis.hmget(self._found, ids)
        except ResponseError as error:
            await self._replace_wrong(error)
            return
        found = {text(id_) or "": value for id_, value in zip(ids, values, strict=True)}
        calls = _readable(found)
        if wrong := len(ids) - len(calls):
            rejected(self._found, f"{wrong} ended calls that cannot be read")
        latest = None if now is None else from_unix(now + _CLOCK_TOLERANCE_S)
        past = {id_: call for id_, call in calls.items() if not latest or call.ended_at <= latest}
        if ahead := len(calls) - len(past):  # they would stay the newest
            rejected(self._found, f"{ahead} ended calls that end in the future")
        await adopt(past)
        await self._redis.hdel(self._found, *ids)

    async def _replace_wrong(self, error: ResponseError) -> None:
        """Remove what another program wrote in the place of offers; raise any other error."""
        if not is_wrong_type(error):
            raise error
        rejected(self._found, str(error))
        await self._redis.unlink(self._found)

    async def run(self, state: Callable[[], State]) -> None:
        """Keep the ended calls until cancelled, and once more at the end.

        ``state()``: returns the live topics.
        """
        shown: dict[str, EndedCall] | None = None
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
        self, calls: Mapping[str, EndedCall], before: dict[str, EndedCall] | None
    ) -> dict[str, EndedCall] | None:
        """Write what differs from ``before``, which the file holds, and return what it holds then.

        ``before``: None if that is not known.
        """
        now = dict(calls)
        try:
            if before is None:
                await self._store.replace_ended(self._pbx, _rows(now))
            elif now != before:
                new = {id_: call for id_, call in now.items() if before.get(id_) != call}
                await self._store.change_ended(self._pbx, _rows(new), before.keys() - now.keys())
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
        known, own = lives.setdefault(call.call_id, []), _life(call)
        if not any(is_same_life(*own, *life) for life in known[-_MOST_LIVES:]):
            known.append(own)
            found[call.id] = call
    return found


def _life(call: EndedCall) -> tuple[int, int]:
    return unix_ms(call.started_at), unix_ms(call.ended_at)


def _rows(calls: Mapping[str, EndedCall]) -> dict[str, tuple[str, bytes]]:
    return {id_: (call.ended_at, encode_entity(call)) for id_, call in calls.items()}


def _readable(found: Mapping[str, Any]) -> dict[str, EndedCall]:
    """Return the calls that can be read."""
    calls = ((id_, _decoded(id_, data)) for id_, data in found.items())
    return {id_: call for id_, call in calls if call is not None}


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
