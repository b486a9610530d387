"""The lease of a PBX: it decides which monitor should write.

What makes a wrong writer harmless is not the lease but that every publish is a compare-and-set; see
:mod:`monitor.publishing.state_publisher`. The lease's value is its holder's name, which must be unlike any other
process's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from redis.asyncio import Redis

from monitor.shared.redis.connection import GuardedTransaction, rejected, text, translated
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

_LONGEST_S: Final = 600.0
"""Ten times what the settings allow."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


Contest: TypeAlias = Literal["ours", "another's", "left"]
"""What came of a contest. ``left``: it is free, but Redis is empty, and it was left to who led before."""


def uptime() -> float:
    """Seconds on a clock that no one sets and that, on Linux, also runs while the machine is suspended."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class Lease:
    """One contender for the lease. ``ttl``: seconds that a granted or renewed lease holds on Redis."""

    def __init__(
        self, redis: Redis, keys: SpaceKeys, name: str, ttl: float = 5.0, uptime: Callable[[], float] = uptime
    ) -> None:
        self.name = name
        self.uptime = uptime
        self._redis = redis
        self._key = keys.lease
        self._position = keys.position
        self.ttl = ttl
        self._ttl_ms = int(ttl * 1000)
        self._sure_for = ttl * 2 / 3
        self._granted_at: float | None = None

    def sure(self) -> bool:
        """Whether nobody else can have it: two thirds of its time are not over yet, by our own clock."""
        return self._granted_at is not None and self.uptime() < self._granted_at + self._sure_for

    @property
    def renewal(self) -> RedisCommand:
        """The command that takes or renews it; only for a transaction that watches it and has seen nobody else's."""
        return ("SET", self._key, self.name, "PX", self._ttl_ms)

    def granted(self, asked_at: float) -> None:
        """Redis granted or renewed it, here or in a publisher's transaction. ``asked_at``: uptime before asking."""
        self._granted_at = asked_at

    def lost(self) -> None:
        """Somebody else has it, or it was given back."""
        self._granted_at = None

    async def acquire(self) -> bool:
        """Take it if it is free, renew it if it is ours; whether we have it now. Raises BusUnreachable."""
        return await self.contest() == "ours"

    async def contest(self, *, patient: bool = False) -> Contest:
        """Take it if it is free, renew it if it is ours. ``patient``: leave it while nothing is written on Redis.

        Raises BusUnreachable.
        """
        while True:
            asked_at = self.uptime()
            guard = await GuardedTransaction.watch(self._redis, self._key, self._position)
            try:
                holder = await guard.get(self._key)
                if holder not in (None, self.name) and not await self._is_nobodys(guard):
                    self.lost()
                    return "another's"
                if patient and holder is None and await guard.fields(self._position, "epoch") == [None]:
                    return "left"
                if await guard.commit([self.renewal]):
                    self.granted(asked_at)
                    return "ours"
            finally:
                await guard.release()

    async def _is_nobodys(self, guard: GuardedTransaction) -> bool:
        """Whether the lease would hold for ever, or as good as: no monitor wrote that, and nobody would ever lead."""
        seconds = await guard.expiry(self._key)
        if 0 <= seconds <= _LONGEST_S:
            return False
        if await guard.get(self._key) is not None:  # else it was over just now
            rejected(self._key, "a lease that does not expire; it is taken over")
        return True

    async def release(self) -> None:
        """Give it back if it is ours, so that a standby takes over at once. Raises BusUnreachable."""
        self.lost()
        while True:
            guard = await GuardedTransaction.watch(self._redis, self._key)
            try:
                if await guard.get(self._key) != self.name:
                    return
                if await guard.commit([("DEL", self._key)]):
                    return
            finally:
                await guard.release()

    async def holder(self) -> str | None:
        """Who has it. Raises BusUnreachable."""
        with translated():
            return text(await self._redis.get(self._key))
