"""Limit what all connections of one key use together, however many they are.

- Messages: a number at once, and a number a second in the long run.
- Filters, with the fields that go with them: bytes of all different ones. Equal ones are held once
  and counted once. Answers that are watched are limited likewise.
- Subscriptions with an id: as many as the key may have connections.
- Work: the time in which the gateway makes something for one client alone. Examples are a
  snapshot of a view that nobody else has, or the change from a very old position. A key may have
  some work at once, and a share of the time in the long run. A key that is over its share waits,
  and is told the newest then. One such piece of work is made at a time, for whichever key, and
  everything else has its turn before the next.
- Messages that were made and are not sent yet: bytes of all different ones, as a slow client holds
  its snapshot until it has taken it, and of each client's copy of the one that is on its way. A key
  that holds too many gets no more until some are taken. All keys together are bounded too.
- Parts of snapshots: between two looks at what others have sent, only a few are made and sent. The
  same holds for changes that clients take one by one, as they could not take them with the others.
- Requests: between two looks at what others have sent, only a few requests of a key are begun or
  go on after a long poll. The rest waits in line. So a thousand requests of one key do not delay
  another key's.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.errors import AnswersTooLarge, FiltersTooLarge, TooManySubscriptions
from gateway.fanout.field_selection import Selection
from gateway.fanout.frames import PART_BYTES, Messages, SnapshotParts, TakenSnapshot
from gateway.token_bucket import LogBudget, TokenBucket

MOST_FILTER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a key's filters at one gateway: a hundred of the largest filters that there may be."""
MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the answers that a key's connections watch, at their first size. Each encoding takes
as much again."""
MOST_UNSENT_BYTES: Final = 64 * 1024 * 1024
"""Bytes in memory of a key's messages that are made and not sent yet; one client's next ones come
on top."""
MOST_UNSENT_BYTES_IN_ALL: Final = 96 * 1024 * 1024
"""The same for all keys together. Above it, a key gets no more unless it holds little."""
LITTLE_UNSENT_BYTES: Final = 2 * 1024 * 1024
"""Unsent bytes that a key may always hold, however many the others hold."""
WORK_AT_ONCE_S: Final = 2.0
"""Seconds of work for a key without a break: a few hundred snapshots."""
WORK_SHARE: Final = 0.25
"""Seconds of work for a key in each second, in the long run."""
_PIECE_S: Final = 0.001
"""Seconds of work; less is not counted: a frame that many get is made once for all of them."""
_TURN_S: Final = 0.005
"""Seconds of work after which everything else has its turn."""

REQUESTS_A_TURN: Final = 4
"""Requests of one key that are begun in one turn; they take a few milliseconds."""
CHANGES_A_TURN: Final = 8
"""Clients whose changes are made and sent in one turn, for all keys together, apart from those to
which one frame is written as it is."""
PARTS_A_TURN: Final = 16
"""Subscriptions that are entered, and parts of snapshots that are made and sent, in one turn, for
all clients together."""


class RequestTurns:
    """Start each key's requests in order, a few at a time, and those of all keys side by side.

    In place of a key's digest it may be an address. ``at_once``: how many of a key are begun in
    one turn. ``most``: how many of all keys; the keys are served in rotation then.
    """

    def __init__(self, at_once: int = REQUESTS_A_TURN, most: int = sys.maxsize) -> None:
        self._at_once = at_once
        self._most = self._left = most
        self._taken: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Callable[[], bool]]] = OrderedDict()
        self._renewing = False

    async def turn(self, digest: str) -> None:
        """Wait until a request of the key with this digest has its turn.

        It does not wait unless many came together.
        """
        if self._take(digest):
            return
        turn = asyncio.get_running_loop().create_future()
        self._wait(digest, partial(_wake, turn))
        await turn

    def begin(self, digest: str, work: Callable[[], bool]) -> bool:
        """Call ``work`` when a request of the key with this digest has its turn.

        ``work`` returns whether it used the turn: not if its client is gone. Returns whether it
        was called at once, as not many came together.
        """
        if self._take(digest):
            work()
            return True
        self._wait(digest, work)
        return False

    def _take(self, digest: str) -> bool:
        self._renew_soon()
        if digest in self._waiting or self._taken[digest] >= self._at_once or not self._left:
            return False
        self._taken[digest] += 1
        self._left -= 1
        return True

    def _wait(self, digest: str, work: Callable[[], bool]) -> None:
        self._waiting.setdefault(digest, deque()).append(work)

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(
                self._renew
            )  # the event loop polls its sockets first

    def _renew(self) -> None:
        self._renewing = False
        self._taken.clear()
        self._left = self._most
        had_theirs: dict[str, deque[Callable[[], bool]]] = {}
        try:
            while self._waiting and self._left:
                digest, waiting = next(iter(self._waiting.items()))
                self._waiting.move_to_end(digest)
                if _begin_next(waiting):
                    self._taken[digest] += 1
                    self._left -= 1
                if not waiting:
                    del self._waiting[digest]
                elif self._taken[digest] >= self._at_once:
                    had_theirs[digest] = self._waiting.pop(digest)
        finally:  # also if a piece of work fails: the others are still in line
            self._waiting.update(had_theirs)
            if self._taken or self._waiting:
                self._renew_soon()


def _wake(turn: asyncio.Future[None]) -> bool:
    if turn.done():  # its client is gone
        return False
    turn.set_result(None)
    return True


def _begin_next(waiting: deque[Callable[[], bool]]) -> bool:
    while waiting:
        if waiting.popleft()():
            return True
    return False


class WorkTurns:
    """Let everything else run between two pieces of work, for whichever key they are."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._worked = 0.0
        self._parts = RequestTurns(PARTS_A_TURN)
        self._changes = RequestTurns(CHANGES_A_TURN)

    async def turn(self) -> None:
        """Wait until a piece of work may be made, in the order of the calls."""
        async with self._lock:
            if self._worked >= _TURN_S:
                await asyncio.sleep(0)
                self._worked = 0.0

    async def part_turn(self) -> None:
        """Wait until one more subscription or part of a snapshot has its turn, in order.

        So thousands of clients that come at once hold nobody else up, however fast they read.
        """
        await self._parts.turn("")

    async def change_turn(self) -> None:
        """Wait until one more client's change has its turn, in order."""
        await self._changes.turn("")

    def worked(self, seconds: float) -> None:
        """Count a piece of work of so many seconds."""
        self._worked += seconds


class UnsentBytes:
    """Count the bytes that all keys together hold of messages that are not sent yet."""

    def __init__(self) -> None:
        self.bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Return whether all keys together hold too much."""
        return self.bytes > MOST_UNSENT_BYTES_IN_ALL

    def add(self, size: int) -> None:
        """Count so many bytes more; less, if ``size`` is below 0."""
        self.bytes += size
        if self.full:
            self._room.clear()
        else:
            self._room.set()

    async def room(self) -> None:
        """Wait until all keys together hold little enough."""
        await self._room.wait()


class KeyShare:
    """Hold what one key uses. ``clock``: seconds, from a monotonic clock.

    ``at_once`` and ``per_second``: messages of all its connections together. ``pace``: the turns
    that all keys share. ``everyone``: what all keys have not sent yet; None: this one is alone.
    ``subscriptions``: how many with an id all its connections may have together.
    """

    def __init__(
        self,
        at_once: int,
        per_second: float,
        pace: WorkTurns,
        clock: Callable[[], float],
        everyone: UnsentBytes | None = None,
        subscriptions: int = sys.maxsize,
    ) -> None:
        self._everyone = UnsentBytes() if everyone is None else everyone
        self.allowance = TokenBucket(at_once, per_second, clock())
        self.log_budget = LogBudget(clock())
        self.subscriptions = 0
        self._most_subscriptions = subscriptions
        self.filter_bytes = 0
        self.answer_bytes = 0
        self._answers: dict[object, tuple[int, int]] = {}
        """Watched answers: what is watched → its bytes, and how many subscriptions watch it."""
        self.unsent_bytes = 0
        self._unsent: dict[int, int] = {}
        self._snapshots: dict[int, tuple[SnapshotParts, int, int]] = {}
        """Snapshots that are taken: id → the parts, how many clients take it, bytes counted."""
        self._may_hold = asyncio.Event()
        self._may_hold.set()
        self._filters: dict[Selection, tuple[Selection, int]] = {}
        self._pace = pace
        self._clock = clock
        self._work = WORK_AT_ONCE_S
        self._work_at = clock()
        self._parts_s = 0.0

    def hold_subscription(self) -> None:
        """Count in a subscription with an id.

        Raises TooManySubscriptions if there are too many; then nothing is counted.
        """
        if self.subscriptions >= self._most_subscriptions:
            raise TooManySubscriptions(
                f"This key has {self._most_subscriptions} subscriptions with an id on all its "
                "connections together; no more are possible."
            )
        self.subscriptions += 1

    def let_subscription_go(self) -> None:
        """Count out a subscription with an id."""
        self.subscriptions -= 1

    def hold(self, wanted: Selection) -> Selection:
        """Count a filter in, with its fields. Return the copy that all who have the same share.

        Raises FiltersTooLarge if the key's filters take too much memory; then nothing is
        counted.
        """
        held, holders = self._filters.get(wanted, (wanted, 0))
        if not holders:
            size = wanted.size
            if self.filter_bytes + size > MOST_FILTER_BYTES:
                raise FiltersTooLarge(
                    f"The filters of this key's subscriptions hold more than {MOST_FILTER_BYTES} "
                    f"bytes together; "
                    "use shorter filters, fewer fields or fewer connections."
                )
            self.filter_bytes += size
        self._filters[held] = (held, holders + 1)
        return held

    def let_go(self, wanted: Selection) -> None:
        """Count the filter out, as one subscription needs it no more."""
        held, holders = self._filters[wanted]
        if holders > 1:
            self._filters[held] = (held, holders - 1)
            return
        del self._filters[held]
        self.filter_bytes -= held.size

    def hold_answer(self, watched: object, size: int) -> None:
        """Count in an answer of ``size`` bytes; once, however many subscriptions watch it.

        Raises AnswersTooLarge if the key's answers take too much memory; then nothing is
        counted.
        """
        size, holders = self._answers.get(watched, (size, 0))
        if not holders:
            if self.answer_bytes + size > MOST_ANSWER_BYTES:
                raise AnswersTooLarge(
                    f"The answers that this key's subscriptions watch hold more than "
                    f"{MOST_ANSWER_BYTES} bytes together; "
                    "watch fewer queries."
                )
            self.answer_bytes += size
        self._answers[watched] = size, holders + 1

    def let_answer_go(self, watched: object) -> None:
        """Count out an answer, as one subscription watches it no more."""
        size, holders = self._answers.pop(watched)
        if holders > 1:
            self._answers[watched] = size, holders - 1
        else:
            self.answer_bytes -= size

    def hold_unsent(self, messages: Messages) -> None:
        """Count in messages that a connection is about to send.

        Equal objects are counted once, a snapshot with the size that is expected of it. Besides,
        the connection's transport holds a copy of the one that is being sent: the largest is
        counted for each connection.
        """
        before = self.unsent_bytes
        if isinstance(messages, TakenSnapshot):
            parts = messages.parts
            _, holders, counted = self._snapshots.get(id(parts), (parts, 0, 0))
            self._snapshots[id(parts)] = (parts, holders + 1, counted)
            self.unsent_bytes += PART_BYTES
            self._recount(parts)
        else:
            for message in messages:
                holders = self._unsent.get(id(message), 0)  # no other has this id while it is held
                self._unsent[id(message)] = holders + 1
                if not holders:
                    self.unsent_bytes += sys.getsizeof(message)
            self.unsent_bytes += max(map(sys.getsizeof, messages), default=0)
        self._count_for_all(before)

    def _recount(self, parts: SnapshotParts) -> None:
        """Count a taken snapshot with the size that is expected now that more of it is made."""
        _, holders, counted = self._snapshots[id(parts)]
        size = parts.expected_size
        self._snapshots[id(parts)] = (parts, holders, size)
        self.unsent_bytes += size - counted

    def _count_for_all(self, before: int) -> None:
        self._everyone.add(self.unsent_bytes - before)
        if self.unsent_bytes > MOST_UNSENT_BYTES:
            self._may_hold.clear()
        else:
            self._may_hold.set()

    def let_unsent_go(self, messages: Messages) -> None:
        """Count out messages that were sent, or will not be."""
        before = self.unsent_bytes
        if isinstance(messages, TakenSnapshot):
            parts, holders, counted = self._snapshots.pop(id(messages.parts))
            self.unsent_bytes -= PART_BYTES
            if holders > 1:
                self._snapshots[id(parts)] = (parts, holders - 1, counted)
            else:
                self.unsent_bytes -= counted
        else:
            for message in messages:
                self._unsent[id(message)] -= 1
                if not self._unsent[id(message)]:
                    del self._unsent[id(message)]
                    self.unsent_bytes -= sys.getsizeof(message)
            self.unsent_bytes -= max(map(sys.getsizeof, messages), default=0)
        self._count_for_all(before)

    async def turn_to_send(self) -> None:
        """Wait until messages may be made for this key: work may be done, and few are unsent."""
        while True:
            await self._may_hold.wait()
            if self.unsent_bytes > LITTLE_UNSENT_BYTES:
                await self._everyone.room()
            await self.turn()
            await self._pace.change_turn()
            if self._may_hold.is_set() and not (
                self._everyone.full and self.unsent_bytes > LITTLE_UNSENT_BYTES
            ):
                return

    async def turn(self) -> None:
        """Wait until work may be done for this key."""
        while True:
            if (owed := self.owed) > 0:
                await asyncio.sleep(owed)
            await self._pace.turn()
            if self.owed <= 0:
                return

    def worked(self, seconds: float) -> None:
        """Count so many seconds of work for this key."""
        if seconds >= _PIECE_S:
            self._earn()
            self._work -= seconds
            self._pace.worked(seconds)

    async def part_turn(self) -> None:
        """Wait until one more subscription or part of a snapshot has its turn among all keys'."""
        await self._pace.part_turn()

    def worked_on_part(self, seconds: float, messages: Messages) -> None:
        """Count so many seconds of making a part of a snapshot, together with those before.

        ``messages``: those that were counted in, which the part is of.
        """
        if isinstance(messages, TakenSnapshot):
            before = self.unsent_bytes
            self._recount(messages.parts)
            self._count_for_all(before)
        self._parts_s += seconds
        if self._parts_s >= _PIECE_S:
            seconds, self._parts_s = self._parts_s, 0.0
            self.worked(seconds)

    @property
    def owed(self) -> float:
        """Return for how many seconds the key must wait."""
        self._earn()
        return -self._work / WORK_SHARE if self._work < -_PIECE_S else 0.0

    def _earn(self) -> None:
        now = self._clock()
        self._work = min(WORK_AT_ONCE_S, self._work + (now - self._work_at) * WORK_SHARE)
        self._work_at = now
