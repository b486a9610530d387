"""Mirror into this monitor's file what must outlive Redis and the leader, while another one leads.

Rules:

- Keys, their revocations and the ended calls are read every second, the statistics every five
  seconds. Command records have a log of their own, which every monitor reads; see
  :mod:`monitor.commands.record_replication`.
- If Redis and the leader's host fail at the same moment, what the standby had not read yet is lost:
  a quarter of a second of commands, a second of keys and ended calls, ten seconds of statistics
  (five to Redis, five from there). The next leader counts the ended calls that the statistics lack.
  When the leader's host returns, it offers the ended calls of that second; see
  :mod:`monitor.persistence.ended_calls`.
- Everything is merged, nothing is replaced. A Redis that was emptied or rolled back removes nothing
  here.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.ended_calls import EndedCallStore
from monitor.persistence.statistics_checkpoint import StatisticsCheckpoint
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.connection import raise_if_cancelled

KEYS_EVERY_S: Final = 1.0
"""Seconds between two readings of the keys and the ended calls."""
REST_EVERY: Final = 5
"""Readings of these per reading of the statistics."""

_log = structlog.get_logger(__name__)


class StandbyMirror:
    """Mirror the data of one PBX."""

    def __init__(
        self,
        pbx: str,
        key_sync: ApiKeySync,
        checkpoint: StatisticsCheckpoint,
        ended: EndedCallStore,
    ) -> None:
        self._key_sync = key_sync
        self._checkpoint = checkpoint
        self._ended = ended
        self.level = False
        """True while the last reading of each kind was merged."""
        self._log = _log.bind(pbx=pbx)

    async def run(self) -> None:
        """Mirror until cancelled, which happens when this monitor takes the lead."""
        times = 0
        try:
            while True:
                raise_if_cancelled()
                try:
                    await self._mirror(rest=times % REST_EVERY == 0)
                    self.level = True
                    times += 1
                except (BusUnreachable, StoreFailed) as error:
                    if self.level:
                        self._log.warning("standby_mirror_lost", reason=str(error))
                    self.level = False
                except Exception:  # any other error: the next reading may succeed, so go on
                    self._log.exception("standby_mirror_failure")
                    self.level = False
                raise_if_cancelled()  # without this the take-over would wait a second
                await asyncio.sleep(KEYS_EVERY_S)
        finally:
            await self._checkpoint.shelve()

    async def _mirror(self, *, rest: bool) -> None:
        await self._key_sync.mirror()
        await self._ended.mirror()
        if rest:
            await self._checkpoint.mirror()
