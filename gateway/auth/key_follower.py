"""Follow one PBX's API keys on Redis into the key table.

These are the keys that were made by command; see :mod:`monitor.persistence.api_key_sync`.

Rules:

- The keys on Redis are read at every pub/sub message about them, and every half second besides,
  because a message may be lost.
- Keys on Redis that are not complete (Redis was emptied) are not followed. The last complete
  ones stay.
- While the keys are not complete, or cannot be read, an unknown key may be a new one: it is not
  called unknown.
- A key ends when a newer change of it says so: it was revoked or replaced. Then ``on_gone`` is
  called, and the streams of the key end. A key that only vanished, or that is found in an older
  version, was lost by Redis and not revoked: it stays valid.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.auth.api_keys import ApiKey, KeyTable, from_stored
from monitor.shared.api_keys import StoredKey, newest, of_table
from monitor.shared.codec import Malformed
from monitor.shared.redis.batched_reads import read_together
from monitor.shared.redis.connection import (
    REDIS_FAILURES,
    accepted,
    is_wrong_type,
    raise_if_cancelled,
    rejected,
)
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.redis.subscriptions import subscribed

EVERY_S = 0.5
"""Seconds between two reads of the keys, at most."""
_LONGEST_READ_S = 1.0
"""Seconds after which a read that goes on is taken for one that fails."""

_log = structlog.get_logger(__name__)


class KeyFollower:
    """Keep this PBX's part of ``table`` up to date.

    ``on_gone``: called with the name of each key that no longer holds.
    """

    def __init__(
        self, redis: Redis, pbx: str, table: KeyTable, on_gone: Callable[[str], None]
    ) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = AccessKeys(pbx)
        self._table = table
        self._on_gone = on_gone
        self._stored: dict[str, StoredKey] = {}
        self._held: dict[str, ApiKey] = {}
        self._failing = False
        self._told = ""
        self._lost = 0
        table.register_pbx(pbx)

    async def run(self) -> None:
        """Follow the keys until cancelled."""
        while True:
            raise_if_cancelled()
            try:
                await self._follow()
            except REDIS_FAILURES as error:
                self._table.doubt(self._pbx)
                if is_wrong_type(error):
                    rejected(self._keys.table, str(error), logged=False)
                if not self._failing:
                    _log.warning(
                        "key_follower_connection_lost",
                        pbx=self._pbx,
                        reason=f"Redis: {explain(error)}",
                    )
                self._failing = True
                await asyncio.sleep(random.uniform(0.5, 1.5) * EVERY_S)  # noqa: S311 - not all PBXs' at the same moment

    async def _follow(self) -> None:
        async with subscribed(self._redis, self._keys.channel) as subscription:
            while True:
                raise_if_cancelled()
                await self._read()
                self._failing = False
                await subscription.get(EVERY_S)

    async def _read(self) -> None:
        late = asyncio.get_running_loop().call_later(_LONGEST_READ_S, self._table.doubt, self._pbx)
        try:
            ready, rows = await read_together(
                self._redis, ("EXISTS", self._keys.ready), ("HGETALL", self._keys.table)
            )
        finally:
            late.cancel()
        if isinstance(rows, ResponseError):
            raise rows
        if not ready:
            self._table.doubt(self._pbx)
            return
        accepted(self._keys.table)  # unless one of its fields is rejected now
        for name, data in rows.items():
            try:
                stored = of_table(name, data)
            except Malformed as error:
                self._tell(str(error))
                continue
            self._stored[stored.name] = newest(stored, self._stored.get(stored.name))
        lost = sum(name.encode() not in rows for name in self._stored)
        if lost > self._lost:
            _log.warning("api_keys_vanished", pbx=self._pbx, keys=lost)
        self._lost = lost
        current = (stored for stored in self._stored.values() if not stored.revoked)
        keys = {stored.name: from_stored(stored, self._pbx) for stored in current}
        before, self._held = self._held, keys
        self._table.set_keys(self._pbx, keys.values())
        for name, key in before.items():
            if keys.get(name) != key:
                self._on_gone(name)

    def _tell(self, reason: str) -> None:
        """Tell the reason; log it once, not at every read."""
        rejected(self._keys.table, reason, logged=reason != self._told)
        self._told = reason
