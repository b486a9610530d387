"""Hold the lease of a PBX, which decides which monitor should write.

A wrong writer is harmless not because of the lease but because every publish is a compare-and-set;
see :mod:`monitor.publishing.state_publisher`. The lease's value is its holder's name, which must be
unique among all processes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from redis.asyncio import Redis

from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import (
    GuardedTransaction,
    answers_of,
    raise_if_cancelled,
    rejected,
    text,
    translated,
)
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

_LONGEST_S: Final = 600.0
"""Longest time in seconds that a lease may have left: ten times what the settings allow."""
_TRANSFER_S: Final = 4.0
"""Seconds within which a monitor must take up a lease that was transferred to it."""
_GLANCE_EVERY_S: Final = 0.25
"""Seconds between two looks at all watched leases. A released lease is taken over as quickly."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


Contest: TypeAlias = Literal["ours", "another's", "left", "yielded"]
"""Result of a contest. ``left``: the lease is free, but Redis is empty, and the lease was left
to the monitor that led before. ``yielded``: the lease is free, and was left to the monitor that
should lead."""


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
    def expiring(self) -> bool:
        """Return whether it was ours, and is not known to be ours still."""
        return self._granted_at is not None and not self.sure()

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

    async def contest(self, *, patient: bool = False, yielding: bool = False) -> Contest:
        """Take the lease if it is free, renew it if it is ours.

        ``patient``: leave a free lease alone while no position is stored on Redis. ``yielding``:
        leave any free lease alone. Raises BusUnreachable.
        """
        while True:
            asked_at = self.uptime()
            async with await GuardedTransaction.watch(
                *(self._redis, self._key, self._position), reads=[("GET", self._key)]
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
                if yielding and holder is None:
                    return "yielded"
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
        await self._give(("DEL", self._key))

    async def transfer(self, heir: str) -> bool:
        """Give the lease to the monitor of this name, and return whether it was ours to give.

        The heir takes it up when it looks next. If it does not, the lease is free
        four seconds later. Raises BusUnreachable.
        """
        milliseconds = int(min(self.ttl, _TRANSFER_S) * 1000)
        return await self._give(("SET", self._key, heir, "PX", milliseconds))

    async def _give(self, command: RedisCommand) -> bool:
        self.lost()
        while True:
            async with await GuardedTransaction.watch(
                self._redis, self._key, reads=[("GET", self._key)]
            ) as guard:
                if await guard.get(self._key) != self.name:
                    return False
                if await guard.commit([command]):
                    return True

    async def holder(self) -> str | None:
        """Return the holder's name, or None. Raises BusUnreachable."""
        with translated():
            return text(await self._redis.get(self._key))

    async def epoch(self) -> str | None:
        """Return the epoch of the state on Redis, or None. Raises BusUnreachable."""
        async with await GuardedTransaction.watch(self._redis, self._position) as guard:
            (epoch,) = await guard.fields(self._position, "epoch")
        return epoch

    async def seized(self, watch: LeaseWatch, seconds: float) -> None:
        """Wait until a contest may succeed, but not longer than ``seconds``."""
        await watch.wait(self._redis, self._key, self.name, seconds)


class LeaseWatch:
    """Look at the leases of many PBXs in one round trip, for the monitors that stand by.

    A monitor that stands by for hundreds of PBXs would otherwise spend its time on contests.
    """

    def __init__(self) -> None:
        self._waiting: dict[Redis, dict[str, tuple[str, asyncio.Event]]] = {}

    async def wait(self, redis: Redis, key: str, name: str, seconds: float) -> None:
        """Wait until the lease is free, is ``name``'s or cannot be read, or the time is over."""
        free = asyncio.Event()
        watched = self._waiting.setdefault(redis, {})
        watched[key] = name, free
        try:
            async with asyncio.timeout(seconds):
                await free.wait()
        except TimeoutError:
            return
        finally:
            watched.pop(key, None)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for redis, watched in [*self._waiting.items()]:
                if watched:
                    await self._glance(redis, dict(watched))
            raise_if_cancelled()
            await asyncio.sleep(random.uniform(0.5, 1.0) * _GLANCE_EVERY_S)  # noqa: S311

    async def _glance(self, redis: Redis, watched: Mapping[str, tuple[str, asyncio.Event]]) -> None:
        try:
            with translated():
                found = await answers_of(redis, [("GET", key) for key in watched])
        except BusUnreachable:  # the contests find out why, and tell
            found = [None for _ in watched]
        for (name, free), value in zip(watched.values(), found, strict=True):
            holder = value if isinstance(value, bytes | str) else None
            if holder is None or text(holder) == name:
                free.set()
