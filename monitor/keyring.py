"""The API keys of one PBX: kept in the leading monitor's file, mirrored on Redis for the gateways.

A change is made on Redis, by ``callmon key``, and rung for; the leader takes it into its file. What its file knows
better (Redis was emptied, or rolled back) it puts there again. The newest change of a key wins in both directions.
``kept`` tells who looks which changes stand in the file, and ``ready`` that the table on Redis is whole: gateways judge
nobody by one that is not.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError, WatchError

from monitor.bus import heed_cancellation, is_wrong_type, rejected, text, translated
from monitor.errors import BusUnreachable, StoreFailed
from monitor.model.apikeys import StoredKey, encode_key, of_table
from monitor.model.keys import AccessKeys
from monitor.model.wire import Malformed

EVERY = 1.0
"""Seconds between two comparisons, at most."""

_MOST_TOLD = 1_000

_log = structlog.get_logger(__name__)


class KeyStore(Protocol):
    """Where keys are kept; see :mod:`monitor.store`. Both raise StoreFailed."""

    async def stored_keys(self, pbx: str) -> dict[str, StoredKey]:
        """All keys by name, revoked ones included."""
        ...

    async def keep_key(self, pbx: str, key: StoredKey) -> None:
        """Keep a key, unless a newer change of it is kept."""
        ...


class Keyring:
    """Run it only while leading."""

    def __init__(self, redis: Redis, pbx: str, store: KeyStore) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = AccessKeys(pbx)
        self._store = store
        self._log = _log.bind(pbx=pbx)
        self._wrong: set[str] = set()
        """Of our tables those that are none."""
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            heed_cancellation()
            try:
                await self._follow()
            except (BusUnreachable, StoreFailed) as error:
                self._log.warning("keys are not followed", reason=str(error))
                await asyncio.sleep(random.uniform(0.5, 1.5) * EVERY)  # noqa: S311 - not all PBXs' at the same moment

    async def _follow(self) -> None:
        with translated():
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(self._keys.channel)
                while True:
                    heed_cancellation()
                    await self.compare()
                    await pubsub.get_message(timeout=EVERY)

    async def compare(self) -> None:
        """Bring file and Redis to the same, once. Raises BusUnreachable, StoreFailed."""
        mine = await self._store.stored_keys(self._pbx)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(self._keys.table)
                theirs = self._read(await self._table(pipe, self._keys.table))
                kept = await self._table(pipe, self._keys.kept)
                ready = await pipe.exists(self._keys.ready)
                for name, key in theirs.items():
                    if name not in mine or key.changed_at > mine[name].changed_at:
                        await self._store.keep_key(self._pbx, key)
                        mine[name] = key
                newer = [key for name, key in mine.items() if theirs.get(name) != key]
                marks = {name: repr(key.changed_at) for name, key in mine.items()}
                if ready and not newer and marks == {text(k): text(v) for k, v in kept.items()}:
                    return
                pipe.multi()  # type: ignore[no-untyped-call]  # as redis-py has it
                for table in [name for name in self._wrong if name in (self._keys.table, self._keys.kept)]:
                    pipe.execute_command("UNLINK", table)
                for key in newer:
                    pipe.execute_command("HSET", self._keys.table, key.name, encode_key(key))
                for name, mark in marks.items():
                    pipe.execute_command("HSET", self._keys.kept, name, mark)
                pipe.execute_command("SET", self._keys.ready, "1")
                pipe.execute_command("PUBLISH", self._keys.channel, "kept")
                try:
                    await pipe.execute()
                except WatchError:
                    return  # it was changed meanwhile, and rung for again

    def _read(self, table: dict[bytes, bytes]) -> dict[str, StoredKey]:
        keys: dict[str, StoredKey] = {}
        for name, data in table.items():
            try:
                key = of_table(name, data)
            except Malformed as error:
                self._tell(f"{text(name)!r}: {error}")
            else:
                keys[key.name] = key
        return keys

    async def _table(self, pipe: Any, name: str) -> dict[bytes, bytes]:
        """A hash; nothing where there is something of another kind, which is then overwritten."""
        self._wrong.discard(name)
        try:
            return dict(await pipe.hgetall(name))
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            self._wrong.add(name)
            self._tell(str(error))
            return {}

    def _tell(self, reason: str) -> None:
        """Once of each thing that is wrong."""
        if reason not in self._told:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(reason)
            rejected(self._keys.table, reason)
