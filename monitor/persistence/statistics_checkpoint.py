"""Keep the day's statistics for the next monitor (in Redis) and for a restart (in the file).

A monitor that begins takes the newest that it can read. A standby takes what Redis holds into its
own memory every few seconds, and into its file: Redis may be lost together with the leader. Only
the leader writes to Redis, in a transaction that its lease guards. A leader that was suspended past
its lease and resumed has counted less than its successor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.persistence.sqlite_store import Store
from monitor.shared.codec import Malformed
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.batched_reads import read_together
from monitor.shared.redis.connection import (
    accepted,
    commit_while,
    is_wrong_type,
    raise_if_cancelled,
    rejected,
    translated,
)
from monitor.shared.redis.key_names import SpaceKeys
from monitor.statistics.checkpoint_format import (
    CheckpointEncoder,
    SavedStatistics,
    counted_until,
    decode,
)

KEEP_EVERY_S = 5.0
"""Seconds between two writes to Redis."""
_TO_FILE = 6
"""Writes to Redis per write to the file. The data grows with the day's calls, and disks wear."""
_AT_THE_END_S = 2.0

_log = structlog.get_logger(__name__)


class _Kept(NamedTuple):
    """Hold kept statistics, and the time until which they were counted."""

    until: int
    data: bytes


class StatisticsCheckpoint:
    """Keep the statistics of one PBX.

    ``writer``: the lease's value while this monitor holds it. ``store``: the file.
    """

    def __init__(self, redis: Redis, pbx: str, writer: str, store: Store) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = SpaceKeys(pbx, "live")
        self._writer = writer
        self._store = store
        self._mirrored: _Kept | None = None
        self._times = 0

    async def read(self) -> SavedStatistics | None:
        """Return the newest kept statistics, or None if there are none that can be read."""
        newest = await self._newest()
        return None if newest is None else newest[1]

    async def _newest(self) -> tuple[bytes, SavedStatistics] | None:
        """Return the newest that can be read, as it is kept and decoded."""
        in_redis = await self._from_redis()
        found = (in_redis, await self._from_file(), self._mirrored)
        for kept in sorted(filter(None, found), key=lambda each: each.until, reverse=True):
            saved = self._decoded(kept.data)
            if saved is not None:
                return kept.data, saved
            if kept is in_redis:
                self._reject()
        return None

    async def mirror(self) -> None:
        """Take over what Redis holds, if that is the newest.

        Only its time is looked at, but for what goes to the file. Raises BusUnreachable or
        StoreFailed.
        """
        found, held = await self._read_redis(), self._mirrored
        if found is None or (held is not None and found.until <= held.until):
            return
        self._mirrored = found
        self._times += 1
        if self._times % _TO_FILE != 1:
            return
        if self._decoded(found.data) is None:  # the file keeps what can be read
            self._mirrored = None
            self._reject()
            return
        kept = await self._from_file()
        if kept is None or kept.until < found.until:
            await self._store.save_statistics(self._pbx, found.data)

    async def shelve(self) -> None:
        """Write the newest statistics to the file, if any were taken over while standing by."""
        newest = await self._newest() if self._mirrored is not None else None
        if newest is not None:
            with suppress(StoreFailed):
                await self._store.save_statistics(self._pbx, newest[0])

    async def run(self, counted: Callable[[], SavedStatistics | None]) -> None:
        """Keep the statistics until cancelled, and once more at the end.

        ``counted()``: returns the present statistics; None if there is nothing to keep.
        """
        times, encoder = 0, CheckpointEncoder()
        try:
            while True:
                await asyncio.sleep(KEEP_EVERY_S)
                times += 1
                await self._keep(encoder, counted(), to_file=times % _TO_FILE == 0)
                raise_if_cancelled()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AT_THE_END_S):
                    await self._keep(encoder, counted(), to_file=True)

    async def _keep(
        self, encoder: CheckpointEncoder, saved: SavedStatistics | None, *, to_file: bool
    ) -> None:
        if saved is None:
            return
        data = encoder.encode(saved)
        try:
            await self._to_redis(data)
        except BusUnreachable as error:
            _log.debug(
                "statistics_checkpoint_write_failure",
                pbx=self._pbx,
                store="redis",
                reason=str(error),
            )
        if to_file:
            try:
                await self._store.save_statistics(self._pbx, data)
            except StoreFailed as error:
                _log.warning(
                    "statistics_checkpoint_write_failure",
                    pbx=self._pbx,
                    store="file",
                    reason=str(error),
                )

    async def _to_redis(self, data: bytes) -> None:
        await commit_while(
            self._redis, self._keys.lease, self._writer, [("SET", self._keys.statistics, data)]
        )

    async def _from_redis(self) -> _Kept | None:
        try:
            return await self._read_redis()
        except BusUnreachable as error:
            _log.warning(
                "statistics_checkpoint_read_failure",
                pbx=self._pbx,
                store="redis",
                reason=str(error),
            )
            return None

    async def _read_redis(self) -> _Kept | None:
        """Return what Redis holds, if its time can be read. Raises BusUnreachable."""
        key = self._keys.statistics
        try:
            with translated():
                (found,) = await read_together(self._redis, ("GET", key))
                if isinstance(found, ResponseError):
                    raise found
        except BusUnreachable as error:
            if is_wrong_type(error.__cause__):
                rejected(key, str(error), logged=False)
            raise
        data = found if isinstance(found, bytes) else None
        kept = self._kept(data)
        if data is not None and kept is None:
            self._reject()
            return None
        accepted(key)
        return kept

    def _reject(self) -> None:
        rejected(self._keys.statistics, "no statistics that can be read", logged=False)

    async def _from_file(self) -> _Kept | None:
        try:
            return self._kept(await self._store.statistics(self._pbx))
        except StoreFailed as error:
            _log.warning(
                "statistics_checkpoint_read_failure", pbx=self._pbx, store="file", reason=str(error)
            )
            return None

    def _kept(self, data: bytes | None) -> _Kept | None:
        """Return kept statistics with their time; None if there are none that can be read."""
        if data is None:
            return None
        try:
            return _Kept(counted_until(data, time.time()), data)
        except Malformed as error:
            self._log_malformed(error)
            return None

    def _decoded(self, data: bytes) -> SavedStatistics | None:
        try:
            return decode(data)
        except Malformed as error:
            self._log_malformed(error)
            return None

    def _log_malformed(self, error: Malformed) -> None:
        _log.warning("statistics_checkpoint_malformed", pbx=self._pbx, reason=str(error))
