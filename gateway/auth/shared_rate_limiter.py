"""Count requests on Redis, for all gateways together; see :mod:`gateway.auth.quotas`.

Commands, ``makecall`` and ``query`` are counted each time, in one round trip. Without Redis they
are refused, because the way to the monitor leads over Redis too. Reads are leased in the
background.

No library is used: the existing ones count on Redis by scripts, and the in-process server of the
demo does not run scripts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.auth.api_keys import ApiKey
from gateway.auth.quotas import WINDOW_S, ReadLease, RemainingQuota, kind_of
from gateway.errors import BusAway, TooManyRequests
from gateway.operations.operation_table import Command
from monitor.shared.api_keys import Budgets, Kind
from monitor.shared.redis.connection import REDIS_FAILURES, raise_if_cancelled, rejected
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import AccessKeys

PATIENCE_S = 0.25
"""Seconds that a read waits for the next lease when the last one is used up."""
_MOST_REMEMBERED = 10_000
_WINDOW_MS = WINDOW_S * 1000
_NO_COUNTER = ("WRONGTYPE", "not an integer", "would overflow")
"""Parts of Redis' errors when the value of a counter is not one."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Lease:
    """Hold a key's leased reads.

    ``pbx``: the key's PBX. ``name``: the name of the counter on that PBX's Redis.
    """

    pbx: str
    name: str
    reads: ReadLease
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class RateLimiter:
    """Count requests and refuse those beyond a key's budget. ``clients``: the Redis of each PBX.

    ``budgets``: for keys without budgets of their own; 0 or None: no limit. ``clock``: seconds
    on a clock that nobody sets. Reads are leased while :meth:`run` runs.
    """

    def __init__(
        self,
        clients: Mapping[str, Redis],
        budgets: Budgets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._budgets = budgets
        self._clock = clock
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._asking: dict[_Lease, int] = {}
        self._asked = asyncio.Event()
        self._away = False
        self.refused: Counter[Kind] = Counter()
        """Refused requests by their kind."""

    def limit(self, budgets: Budgets) -> None:
        """Replace the budgets of keys without budgets of their own. What was spent stays spent."""
        self._budgets = budgets

    async def spend(self, key: ApiKey, command: Command | None) -> RemainingQuota | None:
        """Count one request, and return what is left; None if there is no limit.

        ``command``: None for the bare address. Raises TooManyRequests. Raises BusAway for a
        command while Redis does not answer.
        """
        kind = kind_of(command)
        own = key.budgets.of(kind)
        limit = self._budgets.of(kind) if own is None else own
        if not limit:
            return None
        if kind == "reads":
            passed, left = await self._read(key, limit)
        else:
            passed, left = await self._counted(key, kind, limit)
        if not passed:
            self.refused[kind] += 1
            raise TooManyRequests(
                f"This key may make {limit} requests of this kind ({kind}) a minute; try again in "
                f"{left.reset} s.",
                {"Retry-After": str(left.reset), **left.headers},
            )
        return left

    def read_at_once(self, key: ApiKey) -> tuple[tuple[bytes, bytes], ...] | None:
        """Count one read without waiting, and return the rate limit headers.

        They are empty if there is no limit. Returns None if :meth:`spend` must be used instead.
        """
        limit = self._budgets.reads if key.budgets.reads is None else key.budgets.reads
        if not limit:
            return ()
        reads = (lease := self._lease_of(key, limit)).reads
        now = self._clock()
        if reads.take(now) != "taken":
            return None
        self._ask(lease)
        policy = b'"reads";q=%d;w=%d' % (limit, WINDOW_S)
        left = b'"reads";r=%d;t=%d' % (reads.remaining(), _whole(reads.ends - now))
        return (b"ratelimit-policy", policy), (b"ratelimit", left)

    async def run(self) -> None:
        """Lease reads as they are needed, until cancelled."""
        while True:
            raise_if_cancelled()
            await self._asked.wait()
            self._asked.clear()
            asking, self._asking = self._asking, {}
            await asyncio.gather(
                *(
                    self._lease(
                        redis,
                        {lease: wanted for lease, wanted in asking.items() if lease.pbx == pbx},
                    )
                    for pbx, redis in self._clients.items()
                )
            )

    async def _counted(self, key: ApiKey, kind: Kind, limit: int) -> tuple[bool, RemainingQuota]:
        try:
            spent = AccessKeys(key.pbx).spent(kind, key.digest)
            ((counted, seconds),) = await self._count(self._clients[key.pbx], [(spent, 1)])
        except REDIS_FAILURES as error:
            raise BusAway("Redis cannot be reached; nothing was done for this request.") from error
        return counted <= limit, RemainingQuota(
            kind, limit, max(0, limit - counted), _whole(seconds)
        )

    async def _read(self, key: ApiKey, limit: int) -> tuple[bool, RemainingQuota]:
        lease = self._lease_of(key, limit)
        reads = lease.reads
        while (verdict := reads.take(self._clock())) == "wait":
            self._ask(lease)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await lease.answered.wait()
            except TimeoutError:
                reads.continue_offline()
        self._ask(lease)
        return verdict == "taken", RemainingQuota(
            "reads", limit, reads.remaining(), _whole(reads.ends - self._clock())
        )

    def _lease_of(self, key: ApiKey, limit: int) -> _Lease:
        at = (key.pbx, key.digest)
        lease = self._leases.get(at)
        if lease is None or lease.reads.limit != limit:
            self._forget_some()
            lease = _Lease(
                key.pbx, AccessKeys(key.pbx).spent("reads", key.digest), ReadLease(limit)
            )
            self._leases[at] = lease
        return lease

    def _forget_some(self) -> None:
        """Forget leases whose window has ended, if there are too many.

        This module is not told of revoked keys.
        """
        if len(self._leases) >= _MOST_REMEMBERED:
            now = self._clock()
            self._leases = {
                at: lease for at, lease in self._leases.items() if lease.reads.ends > now
            }

    def _ask(self, lease: _Lease) -> None:
        wanted = lease.reads.ask(self._clock())
        if wanted:
            lease.answered.clear()
            self._asking[lease] = wanted
            self._asked.set()

    async def _lease(self, redis: Redis, asking: dict[_Lease, int]) -> None:
        if not asking:
            return
        answers: list[tuple[int | None, float]] = [(None, 0.0)] * len(asking)
        try:
            answers = [
                *await self._count(
                    redis, ((lease.name, wanted) for lease, wanted in asking.items())
                )
            ]
            self._away = False
        except REDIS_FAILURES as error:
            if not self._away:
                _log.warning("shared_rate_limiter_lost", reason=f"Redis: {explain(error)}")
            self._away = True
        finally:
            now = self._clock()
            for lease, (counted, seconds) in zip(asking, answers, strict=True):
                lease.reads.answered(counted, seconds, now)
                lease.answered.set()

    async def _count(
        self, redis: Redis, more: Iterable[tuple[str, int]]
    ) -> list[tuple[int, float]]:
        """Add to counters; return each counter's new value and the seconds until it expires.

        Each counter lives for one window.
        """
        names: list[str] = []
        async with redis.pipeline(transaction=False) as pipe:
            for name, number in more:
                names.append(name)
                pipe.execute_command("SET", name, 0, "PX", _WINDOW_MS, "NX")
                pipe.execute_command("INCRBY", name, number)
                pipe.execute_command("PTTL", name)
            replies = await pipe.execute(raise_on_error=False)
            counts = [
                _Count.of(*found) for found in zip(names, replies[1::3], replies[2::3], strict=True)
            ]
            for count in counts:
                if (
                    count.wrong
                ):  # not written by callmon: counting starts again with the next request
                    rejected(count.name, count.wrong)
                    pipe.execute_command("UNLINK", count.name)
                elif (
                    not 0 <= count.ms <= _WINDOW_MS
                ):  # it expired between SET and INCRBY, or would never expire
                    pipe.execute_command("PEXPIRE", count.name, _WINDOW_MS)
            if pipe.command_stack:
                await pipe.execute()
        return [
            (count.counted, count.ms / 1000 if 0 <= count.ms <= _WINDOW_MS else float(WINDOW_S))
            for count in counts
        ]


@dataclass(frozen=True, slots=True)
class _Count:
    """Hold a counter as it was found on Redis.

    ``wrong``: why it cannot be a counter of callmon; then nothing is counted.
    """

    name: str
    counted: int
    ms: int
    wrong: str = ""

    @classmethod
    def of(cls, name: str, counted: Any, ms: Any) -> _Count:
        """Judge the answer of Redis. Raises every error except that of a wrong value."""
        for error in (counted, ms):
            if isinstance(error, ResponseError) and any(sign in str(error) for sign in _NO_COUNTER):
                return cls(name, 0, _WINDOW_MS, str(error))
            if isinstance(error, Exception):
                raise error
        if counted < 0:
            return cls(name, 0, _WINDOW_MS, f"it is at {counted}")
        return cls(name, counted, ms)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
