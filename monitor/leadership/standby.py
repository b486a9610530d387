"""What a monitor does while another one leads: it takes into its own file all that must outlive Redis and the leader.

Rules:

- Keys and their revocations every second, the figures and the calls that ended every five. Commands' records go by a
  log of their own, which every monitor reads; see :mod:`monitor.commands.record_replication`.
- What is lost when Redis and the leader's host go at the same moment is what the standby had not read yet: a quarter
  of a second of commands, a second of keys, ten seconds of figures and ended calls (five to Redis, five from there).
- Everything is merged, nothing is replaced: a Redis that was emptied or rolled back takes nothing away here.
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
"""Between two readings of the keys."""
REST_EVERY: Final = 5
"""Readings of the keys to one of the rest."""

_log = structlog.get_logger(__name__)


class Standby:
    """One PBX's. ``keyring``: None if no API keys are kept."""

    def __init__(
        self, pbx: str, keyring: ApiKeySync | None, keeping: StatisticsCheckpoint, ended: EndedCallStore
    ) -> None:
        self._keyring = keyring
        self._keeping = keeping
        self._ended = ended
        self.level = False
        """Whether the last reading of each was merged."""
        self._log = _log.bind(pbx=pbx)

    async def run(self) -> None:
        """Mirror until cancelled, which is when this monitor leads."""
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
                        self._log.warning("not_mirrored", reason=str(error))
                    self.level = False
                except Exception:  # whatever it is, the next reading may do better, and a standby must not stop
                    self._log.exception("mirror_failed")
                    self.level = False
                raise_if_cancelled()  # a turn later the take-over would have waited a second
                await asyncio.sleep(KEYS_EVERY_S)
        finally:
            await self._keeping.shelve()

    async def _mirror(self, *, rest: bool) -> None:
        if self._keyring is not None:
            await self._keyring.mirror()
        if rest:
            await self._keeping.mirror()
            await self._ended.mirror()
