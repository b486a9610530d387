"""Hold the lease of a PBX, which decides which monitor should write.

A wrong writer is harmless not because of the lease but because every publish is a compare-and-set;
see :mod:`monitor.publishing.state_publisher`. The lease's value is its holder's name, which must be
unique among all processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from redis.asyncio import Redis

from monitor.shared.redis.connection import GuardedTransaction, rejected, text, translated
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

_LONGEST_S: Final = 600.0
"""Longest time in seconds that a lease may have left: ten times what the settings allow."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


Contest: TypeAlias = Literal["ours", "another's", "left"]
"""Result of a contest. ``left``: the lease is free, but Redis is empty, and the lease was left
to the monitor that led before."""


def uptime() -> float:
    """Return seconds on a clock that nobody sets.

    On Linux it also runs while the machine is suspended.
    """
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class Lease:
    """Contend for the lease of a PBX.

    ``ttl``: seconds for which Redis holds a granted or renewed lease.
    """

    def __init__(
        self,
        redis: Redis,
        keys: SpaceKeys,
        name: str,
        ttl: float = 5.0,
        uptime: Callable[[], float] = uptime,
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
        """Return whether no other monitor can have the lease.

        This is so until two thirds of its time are over, by our own clock.
        """
        return self._granted_at is not None and self.uptime() < self._granted_at + self._sure_for

    @property
    def renewal(self) -> RedisCommand:
        """Return the command that takes or renews the lease.

        Use it only in a transaction that watches the lease and has seen that no other monitor holds
        it.
        """
        return ("SET", self._key, self.name, "PX", self._ttl_ms)

    def granted(self, asked_at: float) -> None:
        """Note that Redis granted or renewed the lease, here or in a publisher's transaction.

        ``asked_at``: uptime in seconds before asking.
        """
        self._granted_at = asked_at

    def lost(self) -> None:
        """Note that another monitor has the lease, or that it was released."""
        self._granted_at = None

    async def acquire(self) -> bool:
        """Take the lease if it is free, renew it if it is ours, and return whether it is ours now.

        Raises BusUnreachable.
        """
        return await self.contest() == "ours"

    async def contest(self, *, patient: bool = False) -> Contest:
        """Take the lease if it is free, renew it if it is ours.

        ``patient``: leave a free lease alone while no position is stored on Redis. Raises
        BusUnreachable.
        """
        while True:
            asked_at = self.uptime()
            async with await GuardedTransaction.watch(
                self._redis, self._key, self._position
            ) as guard:
                holder = await guard.get(self._key)
                if holder not in (None, self.name) and not await self._is_nobodys(guard):
                    self.lost()
                    return "another's"
                if (
                    patient
                    and holder is None
                    and await guard.fields(self._position, "epoch") == [None]
                ):
                    return "left"
                if await guard.commit([self.renewal]):
                    self.granted(asked_at)
                    return "ours"

    async def _is_nobodys(self, guard: GuardedTransaction) -> bool:
        """Return whether the lease would last forever, or much too long.

        No monitor wrote such a lease, and with it no monitor would ever lead.
        """
        seconds = await guard.expiry(self._key)
        if 0 <= seconds <= _LONGEST_S:
            return False
        if await guard.get(self._key) is not None:  # else it has just expired
            rejected(self._key, "a lease that does not expire; it is taken over")
        return True

    async def release(self) -> None:
        """Release the lease if it is ours, so that a standby takes over at once.

        Raises BusUnreachable.
        """
        self.lost()
        while True:
            async with await GuardedTransaction.watch(self._redis, self._key) as guard:
                if await guard.get(self._key) != self.name:
                    return
                if await guard.commit([("DEL", self._key)]):
                    return

    async def holder(self) -> str | None:
        """Return the holder's name, or None. Raises BusUnreachable."""
        with translated():
            return text(await self._redis.get(self._key))
