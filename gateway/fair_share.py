"""What all connections of one key have together, whatever their number.

- Messages: so many at once, and so many a second in the long run.
- Filters: bytes of all that differ. Equal ones are held once, and counted once. Likewise answers that are watched.
- Work: the time in which the gateway makes something for one client alone, such as a snapshot of a view that nobody
  else has, or the change from a position of long ago. A key may have some of it at once, and a share of the time in the
  long run; who is over waits, and is told the newest then. Whoever it is for, one such piece is made at a time, and
  everything else has its turn before the next.
- Requests: so many of a key are begun, or go on after a long poll, between two looks at what others have sent. The rest
  waits in line, so that a thousand of one key hold up nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from gateway.errors import AnswersTooLarge, FiltersTooLarge
from gateway.fanout.filters import EntityFilter
from gateway.token_bucket import TokenBucket

MOST_FILTER_BYTES: Final = 16 * 1024 * 1024
"""Of a key's filters, at a gateway: a hundred of the largest that there may be."""
MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Of the answers that a key's connections watch, as large as they were at first; each encoding takes as much again."""
WORK_AT_ONCE_S: Final = 2.0
"""Seconds of work for a key without a break: a few hundred snapshots."""
WORK_SHARE: Final = 0.25
"""Seconds of work a second, for a key, in the long run."""
_PIECE_S: Final = 0.001
"""Work that takes less is not counted: a frame that many get is made once for all of them."""
_TURN_S: Final = 0.005
"""Seconds of work after which everything else has its turn."""

REQUESTS_A_TURN: Final = 4
"""Of one key; so many take a few milliseconds."""


class RequestTurns:
    """Has the requests of each key begun in their order, a few at a time, and those of all keys side by side."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._renewing = False

    async def turn(self, digest: str) -> None:
        """Wait until a request of the key with this digest has its turn: none, unless many came together."""
        self._renew_soon()
        if digest not in self._waiting and self._taken[digest] < REQUESTS_A_TURN:
            self._taken[digest] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, deque()).append(turn)
        await turn

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)  # the event loop looks at its sockets before

    def _renew(self) -> None:
        self._renewing = False
        self._taken.clear()
        for digest, waiting in list(self._waiting.items()):
            while waiting and self._taken[digest] < REQUESTS_A_TURN:
                turn = waiting.popleft()
                if not turn.done():  # else its client is gone
                    turn.set_result(None)
                    self._taken[digest] += 1
            if not waiting:
                del self._waiting[digest]
        if self._taken:
            self._renew_soon()


class WorkTurns:
    """Has everything else done between two pieces of work, whoever they are for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._worked = 0.0

    async def turn(self) -> None:
        """Wait until a piece may be made, in the order in which it is asked for."""
        async with self._lock:
            if self._worked >= _TURN_S:
                await asyncio.sleep(0)
                self._worked = 0.0

    def worked(self, seconds: float) -> None:
        """A piece was made."""
        self._worked += seconds


class KeyShare:
    """One key's. ``clock``: seconds, one that nobody sets."""

    def __init__(self, at_once: int, per_second: float, pace: WorkTurns, clock: Callable[[], float]) -> None:
        self.allowance = TokenBucket(at_once, per_second, clock())
        self.filter_bytes = 0
        self.answer_bytes = 0
        self._filters: dict[EntityFilter, tuple[EntityFilter, int]] = {}
        self._pace = pace
        self._clock = clock
        self._work = WORK_AT_ONCE_S
        self._work_at = clock()

    def hold(self, wanted: EntityFilter) -> EntityFilter:
        """Count a filter in; the one that is held for all who want the same. Raises FiltersTooLarge: it was not."""
        held, holders = self._filters.get(wanted, (wanted, 0))
        if not holders:
            size = wanted.size
            if self.filter_bytes + size > MOST_FILTER_BYTES:
                raise FiltersTooLarge(
                    f"The filters of this key's subscriptions hold more than {MOST_FILTER_BYTES} bytes together; "
                    "shorter ones, or fewer connections, are needed."
                )
            self.filter_bytes += size
        self._filters[held] = (held, holders + 1)
        return held

    def let_go(self, wanted: EntityFilter) -> None:
        """It is not needed any more."""
        held, holders = self._filters[wanted]
        if holders > 1:
            self._filters[held] = (held, holders - 1)
            return
        del self._filters[held]
        self.filter_bytes -= held.size

    def hold_answer(self, size: int) -> None:
        """Count in an answer that only this key's connection watches. Raises AnswersTooLarge: it was not."""
        if self.answer_bytes + size > MOST_ANSWER_BYTES:
            raise AnswersTooLarge(
                f"The answers that this key's subscriptions watch hold more than {MOST_ANSWER_BYTES} bytes together; "
                "fewer of them are needed."
            )
        self.answer_bytes += size

    def let_answer_go(self, size: int) -> None:
        """It is watched no more."""
        self.answer_bytes -= size

    async def turn(self) -> None:
        """Wait until work may be done for this key."""
        while True:
            if (owed := self.owed) > 0:
                await asyncio.sleep(owed)
            await self._pace.turn()
            if self.owed <= 0:
                return

    def worked(self, seconds: float) -> None:
        """So much was done for it."""
        if seconds >= _PIECE_S:
            self._earn()
            self._work -= seconds
            self._pace.worked(seconds)

    @property
    def owed(self) -> float:
        """For how many seconds it must wait."""
        self._earn()
        return -self._work / WORK_SHARE if self._work < -_PIECE_S else 0.0

    def _earn(self) -> None:
        now = self._clock()
        self._work = min(WORK_AT_ONCE_S, self._work + (now - self._work_at) * WORK_SHARE)
        self._work_at = now
