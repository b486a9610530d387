"""How often a key may ask, counted over all gateways: a budget a minute for each of four kinds of request.

Windows are fixed minutes. Commands, ``makecall`` and ``query`` are counted on Redis each time. Reads are counted there
in batches that a gateway takes in advance, so that a query costs no round trip; what it took and did not use is lost
with the minute, so a key that asks many gateways may get somewhat less than its budget, never more. While Redis is away
each gateway counts for itself: nobody is refused for that, and commands cannot be sent then anyway.

No library: those that there are count on Redis by scripts, which the in-process server of the demo does not run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.auth import ApiKey, Budgets, Kind
from gateway.commands_table import Command
from gateway.errors import TooManyRequests

WINDOW: Final = 60
"""Seconds."""
_BATCHES: Final = 20
"""In so many parts a minute's reads are taken."""
_MOST_REMEMBERED: Final = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget. ``reset``: seconds until it is whole again."""

    kind: Kind
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> Mapping[str, str]:
        """As HTTP says it (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={WINDOW}',
            "RateLimit": f'"{self.kind}";r={self.remaining};t={self.reset}',
        }


@dataclass(slots=True)
class _Batch:
    """Reads taken in advance. ``spent``: how many of the budget all gateways have taken, at the last look."""

    window: int
    left: int
    spent: int


class Spending:
    """Counts. ``budgets``: those of a key without budgets of its own. ``clock``: POSIX seconds."""

    def __init__(self, redis: Redis, budgets: Budgets, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._budgets = budgets
        self._clock = clock
        self._batches: dict[tuple[str, Kind], _Batch] = {}
        self._alone = False

    async def spend(self, key: ApiKey, command: Command | None) -> Left | None:
        """Count one request; what is left then, None without a limit. ``command`` None: the bare address.

        Raises TooManyRequests.
        """
        kind = kind_of(command)
        limit = (key.budgets or self._budgets).of(kind)
        if not limit:
            return None
        now = self._clock()
        window = int(now // WINDOW)
        reset = max(1, math.ceil((window + 1) * WINDOW - now))
        remaining = await self._take(key, kind, limit, window)
        left = Left(kind, limit, max(0, remaining), reset)
        if remaining < 0:
            raise TooManyRequests(
                f"This key may make {limit} requests of this kind ({kind}) a minute; come back in {reset} seconds.",
                {"Retry-After": str(reset), **left.headers},
            )
        return left

    async def _take(self, key: ApiKey, kind: Kind, limit: int, window: int) -> int:
        """What is left of the budget after one more; below 0 if it was used up."""
        batch = self._batches.get((key.digest, kind))
        if batch is None or batch.window != window:
            batch = self._remember((key.digest, kind), _Batch(window, 0, 0))
        if batch.left < 1 and batch.spent < limit:
            size = max(1, limit // _BATCHES) if kind == "reads" else 1
            spent = await self._count(key, kind, window, size, batch)
            batch.left += max(0, size - max(0, spent - limit))
            batch.spent = max(batch.spent, min(spent, limit))
        if batch.left < 1:
            return -1
        batch.left -= 1
        return limit - batch.spent + batch.left

    async def _count(self, key: ApiKey, kind: Kind, window: int, size: int, batch: _Batch) -> int:
        """How many of this window's budget have been taken, these included."""
        name = f"callmon:{{{key.pbx}}}:spent:{key.digest[:32]}:{kind}:{window}"
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.execute_command("INCRBY", name, size)
                pipe.execute_command("EXPIRE", name, 2 * WINDOW)
                spent, _ = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            if not self._alone:
                _log.warning("requests are counted by this gateway alone", reason=f"{type(error).__name__}: {error}")
            self._alone = True
            return batch.spent + size
        self._alone = False
        return int(spent)

    def _remember(self, name: tuple[str, Kind], batch: _Batch) -> _Batch:
        self._batches.pop(name, None)
        while len(self._batches) >= _MOST_REMEMBERED:
            del self._batches[next(iter(self._batches))]
        self._batches[name] = batch
        return batch


def kind_of(command: Command | None) -> Kind:
    """The kind of request that a command is; a composition counts as a command, its parts do not count again."""
    if command is None or command.query is not None:
        return "reads"
    if command.name == "makecall":
        return "makecall"
    return "query" if command.name == "query" else "commands"
