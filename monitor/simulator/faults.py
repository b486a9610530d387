"""Make faults between a PBX and its client, on a test's command.

Every fault stays until it is used up or :meth:`Faults.calm` ends it. ``happened`` counts the faults
that were really made, so that a test can wait for its fault instead of hoping for it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from monitor.simulator.tokens import Tokens

T = TypeVar("T")

Fault: TypeAlias = Literal[
    "lost", "delayed", "swapped", "missing", "answered", "hung", "dropped", "unanswered"
]

_LONGEST_HOLD_S: Final = 0.2
"""Seconds for which an event waits for another one to overtake it."""


@dataclass(slots=True)
class Interception:
    """Represent an HTTP answer given in place of the right one, ``left`` times more.

    ``retry_after``: seconds, for its header.
    """

    status: int
    left: int
    path_prefix: str
    retry_after: int | None = None
    method: str = ""
    body: object = None

    def takes(self, path: str, method: str) -> bool:
        """Return whether it applies to such a request. Its empty ``method`` matches any."""
        return path.startswith(self.path_prefix) and self.method in ("", method)


class Faults:
    """Hold the faults to make. ``refuse`` and ``accept`` close and open the listening socket."""

    def __init__(
        self,
        tokens: Tokens,
        refuse: Callable[[], Awaitable[None]],
        accept: Callable[[], Awaitable[None]],
        seed: int = 0,
    ) -> None:
        self.happened: Counter[Fault] = Counter()
        self.delay = 0.0
        """Seconds by which events are late now."""
        self._tokens = tokens
        self._refuse, self._accept = refuse, accept
        self._rng = random.Random(seed)  # noqa: S311 - chance for tests, nothing secret
        self._lose, self._lose_chance, self._swap, self._missing = 0, 0.0, 0, 0
        self._interceptions: list[Interception] = []
        self._unanswered: list[Interception] = []
        self._hangs: dict[tuple[str, str], asyncio.Event] = {}
        self._news = asyncio.Event()
        self._on_drop: list[Callable[[int | None], None]] = []

    # commands

    def drop_sockets(self, code: int | None = None) -> None:
        """Close every WebSocket with a close frame of this code.

        None: cut the connection without a close frame; a client sees 1006.
        """
        for callback in self._on_drop:
            callback(code)

    def lose_events(self, count: int = 0, probability: float = 0.0) -> None:
        """Lose the next ``count`` events, and the share ``probability`` of all later ones."""
        self._lose, self._lose_chance = count, probability

    def delay_events(self, seconds: float) -> None:
        """Delay events by ``seconds``, in order. 0 ends the delay for new events."""
        self.delay = seconds

    def reorder_events(self, count: int) -> None:
        """Swap the order in each of the next ``count`` pairs of events."""
        self._swap = count

    def missing_reads(self, count: int) -> None:
        """Answer the next ``count`` reads of a single participant with 404, even if it is there."""
        self._missing = count

    def answer_with(
        self,
        status: int,
        count: int = 1,
        path_prefix: str = "/",
        *,
        retry_after: int | None = None,
        method: str = "",
        body: object = None,
    ) -> None:
        """Answer the next ``count`` requests under a path with ``status`` and do nothing for them.

        ``method``: applies to this method only; empty: to any. ``body``: the answer, as JSON.
        ``retry_after``: seconds, for the header of that name.
        """
        self._interceptions.append(
            Interception(status, count, path_prefix, retry_after, method, body)
        )

    def lose_answers(self, count: int = 1, path_prefix: str = "/", *, method: str = "") -> None:
        """Carry out the next ``count`` requests under a path, but cut them off unanswered."""
        self._unanswered.append(Interception(0, count, path_prefix, method=method))

    def hang(self, path_prefix: str = "/", *, method: str = "") -> None:
        """Hold requests under a path until :meth:`release`, which serves those that still wait."""
        self._hangs.setdefault((path_prefix, method), asyncio.Event())

    async def until(self, fault: Fault, times: int = 1) -> None:
        """Wait until a fault has happened ``times`` times in all.

        The fault must be one of ``answered``, ``hung`` and ``unanswered``.
        """
        while self.happened[fault] < times:
            self._news.clear()
            await self._news.wait()

    def release(self) -> None:
        """Let all held requests go on, and hold no more."""
        for event in self._hangs.values():
            event.set()
        self._hangs.clear()

    def expire_tokens(self) -> None:
        """Expire every token: 401 from now on. Sockets close if the switch says so."""
        self._tokens.expire()

    def revoke_tokens(self) -> None:
        """Make every token invalid, as if another process had got new ones. Sockets stay open."""
        self._tokens.revoke()

    async def refuse(self) -> None:
        """Stop listening and cut every connection. Returns when it is done."""
        await self._refuse()

    async def accept(self) -> None:
        """Listen again, on the same port."""
        await self._accept()

    def calm(self) -> None:
        """End every fault that is set. If the PBX does not listen, that stays so."""
        self._lose, self._lose_chance, self._swap, self._missing, self.delay = 0, 0.0, 0, 0, 0.0
        self._interceptions.clear()
        self._unanswered.clear()
        self.release()

    # queries by the simulator

    def loses(self) -> bool:
        """Return whether to lose the present event."""
        if self._lose > 0:
            self._lose -= 1
        elif not self._lose_chance or self._rng.random() >= self._lose_chance:
            return False
        self.happened["lost"] += 1
        return True

    def swaps(self) -> bool:
        """Return whether to let the next event overtake the present one."""
        if self._swap <= 0:
            return False
        self._swap -= 1
        return True

    def misses(self) -> bool:
        """Return whether to answer 404 to the present read of a participant."""
        if self._missing <= 0:
            return False
        self._missing -= 1
        self.happened["missing"] += 1
        return True

    def intercepts(self, path: str, method: str = "") -> Interception | None:
        """Return the answer to give in place of the right one, or None."""
        return self._used(self._interceptions, path, method, "answered")

    def unanswers(self, path: str, method: str) -> bool:
        """Return whether to cut off the right answer."""
        return self._used(self._unanswered, path, method, "unanswered") is not None

    def hangs(self, path: str, method: str = "") -> asyncio.Event | None:
        """Return the event for which a request of this path has to wait, or None."""
        for (prefix, only), event in self._hangs.items():
            if path.startswith(prefix) and only in ("", method):
                self._note("hung")
                return event
        return None

    def _used(
        self, faults: list[Interception], path: str, method: str, fault: Fault
    ) -> Interception | None:
        for interception in faults:
            if interception.takes(path, method):
                interception.left -= 1
                if interception.left <= 0:
                    faults.remove(interception)
                self._note(fault)
                return interception
        return None

    def _note(self, fault: Fault) -> None:
        self.happened[fault] += 1
        self._news.set()

    def on_drop(self, callback: Callable[[int | None], None]) -> None:
        """Register a callable that closes the sockets with a code, or cuts them (None)."""
        self._on_drop.append(callback)


class EventPath(Generic[T]):
    """Carry events to the sockets: lost, late or overtaken as the faults say, else at once.

    It holds as many events as fall into the delay. There is no other bound.
    """

    def __init__(self, faults: Faults, deliver: Callable[[T], None]) -> None:
        self._faults = faults
        self._deliver = deliver
        self._late: deque[tuple[float, T]] = deque()
        self._held: list[T] = []
        self._late_timer: asyncio.TimerHandle | None = None
        self._held_timer: asyncio.TimerHandle | None = None

    def put(self, event: T) -> None:
        """Send an event on its way. This needs a running event loop."""
        if self._faults.loses():
            return
        if not self._faults.delay and not self._late:
            self._arrive(event)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self._faults.delay
        self._late.append((max(due, self._late[-1][0]) if self._late else due, event))
        self._faults.happened["delayed"] += 1
        if self._late_timer is None:
            self._late_timer = loop.call_at(self._late[0][0], self._arrivals)

    def clear(self) -> None:
        """Forget the events that are on their way, as when the PBX stops."""
        self._late.clear()
        self._held.clear()
        for timer in (self._late_timer, self._held_timer):
            if timer is not None:
                timer.cancel()
        self._late_timer = self._held_timer = None

    def _arrivals(self) -> None:
        loop = asyncio.get_running_loop()
        self._late_timer = None
        while self._late and self._late[0][0] <= loop.time():
            self._arrive(self._late.popleft()[1])
        if self._late:
            self._late_timer = loop.call_at(self._late[0][0], self._arrivals)

    def _arrive(self, event: T) -> None:
        if self._held:
            self._deliver(event)
            self._faults.happened["swapped"] += 1
            self._let_go()
        elif self._faults.swaps():
            self._held.append(event)
            self._held_timer = asyncio.get_running_loop().call_later(_LONGEST_HOLD_S, self._let_go)
        else:
            self._deliver(event)

    def _let_go(self) -> None:
        if self._held_timer is not None:
            self._held_timer.cancel()
            self._held_timer = None
        while self._held:
            self._deliver(self._held.pop())
