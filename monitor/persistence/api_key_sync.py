"""Keep the API keys of one PBX in every monitor's file and mirror them on Redis for the gateways.

Rules:

- ``callmon key`` makes a change on Redis and announces it. Each monitor takes it into its file. If
  a file is newer than Redis (Redis was emptied or rolled back), its monitor puts the keys there
  again, whether it leads or not. The newest change of a key wins in both directions. A revocation
  is a change too.
- What a full disk does not take is held in memory until it does. So an emptied Redis brings no
  revoked key back while any of the monitors that saw the revocation runs.
- ``kept`` shows which changes stand in the leader's file.
- ``ready`` says that the table is whole. Gateways do not follow a table that is not. Only the
  leader says so, and only if it can know: its file was level with a whole table before, or no other
  monitor ever led, or the table has been filled. A monitor that came after another and never had
  the keys does not call an empty table whole.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

import structlog
from redis.asyncio import Redis

from monitor.persistence.sqlite_store import Store
from monitor.shared.api_keys import StoredKey, encode_key, newest, of_table
from monitor.shared.codec import Malformed
from monitor.shared.errors import BusError, BusUnreachable, StoreFailed
from monitor.shared.redis.batched_reads import read_together
from monitor.shared.redis.connection import (
    GuardedTransaction,
    accepted,
    is_wrong_type,
    raise_if_cancelled,
    rejected,
    text,
    translated,
)
from monitor.shared.redis.key_names import AccessKeys, RedisCommand
from monitor.shared.redis.subscriptions import subscribed

EVERY_S = 1.0
"""Seconds between two comparisons, at most."""
_NOTE = "keys"
_WHOLE = "whole"
"""The note in the file that it was once level with a whole table."""

_MOST_TOLD = 1_000
_MOST_UNREADABLE = 1_000
"""Number of fields that are not keys above which the table is written again from the start. Fewer
stay, because a newer version may have written them."""

_log = structlog.get_logger(__name__)


class ApiKeySync:
    """Keep the API keys in the file and on Redis equal.

    Run it only while leading; a standby calls :meth:`mirror`. ``others()``: True if another monitor
    is known to have led before this one.
    """

    def __init__(
        self, redis: Redis, pbx: str, store: Store, others: Callable[[], bool] = lambda: False
    ) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = AccessKeys(pbx)
        self._store = store
        self._others = others
        self._unsure = self._noted = False
        self._log = _log.bind(pbx=pbx)
        self._unsaved: dict[str, StoredKey] = {}
        """Changes that the file has not taken yet, by the key's name."""
        self._wrong: set[str] = set()
        """Names of our tables that hold another type on Redis."""
        self._told: set[str] = set()
        self._reads: tuple[RedisCommand, ...] = (
            ("EXISTS", self._keys.ready),
            ("HGETALL", self._keys.table),
            ("HGETALL", self._keys.kept),
        )
        self._settled: tuple[object, ...] | None = None
        """The role, and what file and Redis held when there was nothing to do."""
        self._tables: dict[str, dict[bytes, bytes]] = {}
        self._odd = False
        """True if the last transaction found something to tell."""
        self._crowded = False
        """True while the table holds more unreadable fields than another version may have
        written."""

    async def run(self) -> None:
        """Follow changes of keys until cancelled."""
        while True:
            raise_if_cancelled()
            try:
                await self._follow()
            except (BusError, StoreFailed) as error:
                self._log.warning("api_key_sync_failure", reason=str(error))
                await asyncio.sleep(random.uniform(0.5, 1.5) * EVERY_S)  # noqa: S311 - not all PBXs' at the same moment

    async def _follow(self) -> None:
        with translated():
            async with subscribed(self._redis, self._keys.channel) as subscription:
                while True:
                    raise_if_cancelled()
                    await self.reconcile()
                    raise_if_cancelled()
                    await subscription.get(EVERY_S)

    async def reconcile(self) -> None:
        """Make file and Redis equal once, as the leader. Raises BusUnreachable or StoreFailed."""
        if await self._is_settled("leading"):
            return
        async with await self._watched() as guard:
            mine, theirs, ready = await self._taken(guard)
            kept = await self._hash(guard, self._keys.kept)
            newer = [key for name, key in mine.items() if self._crowded or theirs.get(name) != key]
            saved = {name: key for name, key in mine.items() if name not in self._unsaved}
            marks = {name: repr(key.changed_at) for name, key in saved.items()}
            if len(kept) > len(marks) + _MOST_UNREADABLE:
                self._wrong.add(self._keys.kept)
            held = {text(name): text(mark) for name, mark in kept.items()}
            marked = all(held.get(name) == mark for name, mark in marks.items())
            whole = await self._may_call_whole(ready=ready, filled=bool(theirs))
            if ready == whole and not newer and marked and not (self._wrong or self._crowded):
                await self._note(whole)
                self._settle("leading", ready=ready)
                return
            wrong = self._wrong | {self._keys.table} if self._crowded else self._wrong
            commands = self._putting(newer, wrong)
            commands += [("HSET", self._keys.kept, name, mark) for name, mark in marks.items()]
            if whole:
                commands.append(("SET", self._keys.ready, "1"))
            await guard.commit([*commands, ("PUBLISH", self._keys.channel, "kept")])
        await self._note(whole)

    async def mirror(self) -> None:
        """Make file and Redis equal once, as a standby. Raises BusUnreachable or StoreFailed."""
        if await self._is_settled("standing by"):
            return
        async with await self._watched() as guard:
            mine, theirs, ready = await self._taken(guard)
            await self._hash(guard, self._keys.kept)
            await self._note(ready)
            newer = [key for name, key in mine.items() if theirs.get(name) != key]
            if newer:
                commands = self._putting(newer, self._wrong & {self._keys.table})
                await guard.commit([*commands, ("PUBLISH", self._keys.channel, "changed")])
            else:
                self._settle("standing by", ready=ready)

    async def _is_settled(self, role: str) -> bool:
        """Return whether Redis and the file hold what they held when there was nothing to do.

        ``role``: what this monitor does now. Raises BusUnreachable.
        """
        with translated():
            read = await read_together(self._redis, *self._reads)
        if (role, self._store.key_writes, *read) == self._settled:
            return True
        self._settled, self._odd, self._tables = None, False, {}
        return False

    def _settle(self, role: str, *, ready: bool) -> None:
        """Note what the transaction found, as there was nothing to do, and nothing to tell."""
        if not (self._odd or self._unsaved):
            tables = (self._tables.get(name) for name in (self._keys.table, self._keys.kept))
            self._settled = (role, self._store.key_writes, int(ready), *tables)

    async def _watched(self) -> GuardedTransaction:
        return await GuardedTransaction.watch(self._redis, self._keys.table, reads=self._reads)

    async def _taken(
        self, guard: GuardedTransaction
    ) -> tuple[dict[str, StoredKey], dict[str, StoredKey], bool]:
        """Take newer keys from Redis into the file.

        Returns the keys in the file by name, those on Redis by name, and whether that table is
        whole.
        """
        mine = await self._store.stored_keys(self._pbx)
        theirs = self._read(await self._hash(guard, self._keys.table))
        ready = bool(await guard.ask("EXISTS", self._keys.ready))
        before, unsaved = self._unsaved, dict[str, StoredKey]()
        for key in (*before.values(), *theirs.values()):
            if newest(key, mine.get(key.name)) != mine.get(key.name):
                mine[key.name] = unsaved[key.name] = key
        self._unsaved = unsaved  # before they are written, which may be cancelled
        for key in [*unsaved.values()]:
            try:
                await self._store.keep_key(self._pbx, key)
                del unsaved[key.name]
            except StoreFailed as error:
                if before.get(key.name) != key:
                    self._log.warning("api_key_sync_failure", reason=str(error), key=key.name)
        return mine, theirs, ready

    async def _may_call_whole(self, *, ready: bool, filled: bool) -> bool:
        whole = (
            ready
            or filled
            or not self._others()
            or await self._store.note(self._pbx, _NOTE) == _WHOLE
        )
        if not whole and not self._unsure:
            self._log.error(
                "api_keys_unknown",
                reason="Redis was emptied and this monitor never held the keys",
                hint="Start the other monitor, or make new keys.",
            )
        self._unsure = not whole
        return whole

    async def _note(self, whole: bool) -> None:
        """Note once that the file is level with a whole table, if it is."""
        if whole and not self._noted:
            await self._store.keep_note(self._pbx, _NOTE, _WHOLE)
            self._noted = True

    def _putting(self, keys: Iterable[StoredKey], wrong: Iterable[str]) -> list[RedisCommand]:
        """Return the commands that put keys into the table.

        ``wrong``: names of tables to remove first, because they hold another type or too much that
        cannot be read.
        """
        commands: list[RedisCommand] = [("UNLINK", table) for table in sorted(wrong)]
        return commands + [("HSET", self._keys.table, key.name, encode_key(key)) for key in keys]

    def _read(self, table: dict[bytes, bytes]) -> dict[str, StoredKey]:
        keys: dict[str, StoredKey] = {}
        unreadable = 0
        for name, data in table.items():
            try:
                key = of_table(name, data)
            except Malformed as error:
                unreadable += 1
                if unreadable <= _MOST_UNREADABLE:
                    self._tell(self._keys.table, f"{text(name)!r}: {error}")
            else:
                keys[key.name] = key
        self._crowded = unreadable > _MOST_UNREADABLE
        return keys

    async def _hash(self, guard: GuardedTransaction, name: str) -> dict[bytes, bytes]:
        """Return a hash, or an empty one if the key holds another type.

        A key of another type is overwritten later.
        """
        self._wrong.discard(name)
        try:
            found = dict(await guard.ask("HGETALL", name))
        except BusUnreachable as error:
            if not is_wrong_type(error.__cause__):
                raise
            self._wrong.add(name)
            self._tell(name, str(error.__cause__))
            return {}
        accepted(name)
        self._tables[name] = found
        return found

    def _tell(self, table: str, reason: str) -> None:
        """Tell each wrong thing, and log it once."""
        self._odd = True
        rejected(table, reason, logged=reason not in self._told)
        if reason not in self._told and len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.add(reason)
