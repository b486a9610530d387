"""Write one space to Redis while the lease is ours: decide what is due, and handle failures.

- No epoch yet: start one with the whole state once the tracker has it. Until then the state of
  another writer stays in the store, and its followers call it stale. Into an empty store even an
  incomplete state is written at once.
- Edits waiting: they are published as one change. Edits that come meanwhile gather for the next
  change. Very many edits are published as a new epoch.
- A heartbeat every second, even if other things are written.
- While no edits wait: now and then remove fields that no monitor wrote from our hashes.
- Redis unreachable: keep the state and retry with full-jitter back-off. What was under way is
  settled first.
- History lost: start a new epoch. Fenced: contest the lease once more. Start a new epoch if it is
  ours, else step down.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from monitor.counters import PublishCounters
from monitor.lease import Lease
from monitor.publishing.pending_edits import PendingEdits
from monitor.publishing.state_publisher import StatePublisher
from monitor.publishing.stray_fields import EVERY_S as CLEAN_EVERY_S
from monitor.shared.backoff import Backoff
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import State
from monitor.shared.errors import BusUnreachable, Fenced, HistoryLost
from monitor.shared.redis.connection import raise_if_cancelled

HEARTBEAT_S = 1.0
"""Seconds between two heartbeats."""
MANY_EDITS = 2_000
"""Edits above which the whole state is written: followers would rather read it than such a
change."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Hold what gathers for one change.

    ``trace``: the change's trace. ``heard``: when its first edit was heard of, in POSIX seconds; 0
    if that is not known.
    """

    trace: str
    heard: float
    edits: int


@dataclass(frozen=True, slots=True)
class _Sent:
    """Represent a publish that is under way. ``began``: seconds on the loop's clock."""

    gathered: _Gathered
    edits: int
    began: float


class PublishLoop:
    """Keep the store equal to ``state()``.

    ``ready()``: True if that is the whole state. :meth:`changed` must be called with the edits in
    the same synchronous step that changed the state.
    """

    def __init__(
        self,
        publisher: StatePublisher,
        lease: Lease,
        state: Callable[[], State],
        ready: Callable[[], bool],
        heartbeat: float = HEARTBEAT_S,
        counters: PublishCounters | None = None,
    ) -> None:
        self._publisher = publisher
        self._lease = lease
        self._state = state
        self._ready = ready
        self._heartbeat = heartbeat
        self._counters = PublishCounters() if counters is None else counters
        self._pending = PendingEdits()
        self._gathered: _Gathered | None = None
        self._sent: _Sent | None = None
        self._log = _log.bind(pbx=publisher.keys.pbx, space=publisher.keys.space)
        self._wake = asyncio.Event()
        self._beat_at = self._clean_at = 0.0
        self._backoff = Backoff(shortest=0.2, longest=2.0)
        self._waiting: list[asyncio.Future[Position]] = []

    @property
    def position(self) -> Position | None:
        """Return the last written position, or None before an epoch is started."""
        return self._publisher.position

    @property
    def writing(self) -> bool:
        """Return whether what is known is written: it is whole, or an epoch is started.

        A whole state has no epoch for a moment when the store was found empty.
        """
        return self.position is not None or self._ready()

    async def written(self) -> Position:
        """Wait until everything passed to :meth:`changed` so far is in the store.

        Returns a position that contains it.
        """
        waiting: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._wake.set()
        try:
            return await waiting
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def changed(self, edits: Iterable[Edit], heard: float = 0.0) -> str:
        """Note that ``edits`` changed the state; without edits it may have become ready.

        ``heard``: when the change was heard of, in POSIX seconds; 0 if that is not known. Returns
        the trace of the change in which the edits will be published, or an empty string without
        edits.
        """
        edits = tuple(edits)
        self._wake.set()
        if not edits:
            return ""
        self._pending.add(edits)
        before = self._gathered
        if before is None:
            self._gathered = _Gathered(secrets.token_hex(4), heard, len(edits))
        else:  # keep the time of the first edit, which waits longest
            self._gathered = _Gathered(
                before.trace, before.heard or heard, before.edits + len(edits)
            )
        return self._gathered.trace

    async def run(self) -> None:
        """Write until cancelled.

        Raises Fenced when another monitor has the lease.
        """
        try:
            while True:
                raise_if_cancelled()
                await self._wait(await self._step_or_back_off())
        finally:
            await self._publisher.aclose()

    async def step(self) -> None:
        """Do the one thing that is due now, if any.

        Raises Fenced if this monitor must step down, BusUnreachable if the step must be repeated
        later.
        """
        try:
            await self._write()
        except HistoryLost as error:
            self._counters.lost += 1
            self._log.warning("publish_history_lost", reason=str(error))
            self._wake.set()
        except Fenced as error:
            if not await self._lease.acquire():
                raise
            self._log.warning("publish_fenced", reason=str(error))
            self._wake.set()

    async def _step_or_back_off(self) -> float:
        """Do one step; wait for the back-off if it failed.

        Returns the seconds until the next step is due at the latest.
        """
        try:
            await self.step()
        except BusUnreachable as error:
            self._counters.unreachable += 1
            say = self._log.info if self._backoff.failures else self._log.warning
            delay = self._backoff.pause()
            say(
                "redis_unreachable",
                during="publish",
                reason=str(error),
                failures=self._backoff.failures,
                retry_in=round(delay, 3),
            )
            await asyncio.sleep(delay)
            return 0.0
        if self._backoff.failures:
            self._log.info("redis_reachable", failures=self._backoff.failures)
            self._backoff.reset()
        return max(0.0, min(self._beat_at, self._clean_at) - asyncio.get_running_loop().time())

    async def _write(self) -> None:
        self._wake.clear()
        now = asyncio.get_running_loop().time()
        if self._publisher.position is None:
            await self._start()
            self._beat_at = now + self._heartbeat
            self._clean_at = now + CLEAN_EVERY_S
            return
        if now >= self._beat_at:
            await self._publisher.heartbeat()
            self._beat_at = now + self._heartbeat
        with self._telling():
            await self._publisher.settle()
            self._published()
            if len(self._pending) > MANY_EDITS:
                await self._start_epoch()
            elif self._gathered is not None:
                await self._publish(self._gathered)
        if now >= self._clean_at:
            more = self._held() is None or await self._publisher.clean(self._held)
            self._clean_at = now + (self._heartbeat / 10 if more else CLEAN_EVERY_S)

    def _held(self) -> State | None:
        """Return the state if the store holds all of it, or None if changes wait to be written."""
        return (
            self._state()
            if self._gathered is None and self._publisher.position is not None
            else None
        )

    async def _publish(self, gathered: _Gathered) -> None:
        edits, self._gathered = self._pending.take(), None
        self._counters.merged += gathered.edits - len(edits)
        if edits:
            self._sent = _Sent(gathered, len(edits), asyncio.get_running_loop().time())
            await self._publisher.publish(edits, gathered.trace, gathered.heard)
            self._published()

    def _published(self) -> None:
        """Count and log the publish that was under way, if any: it is in the store now."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        seconds = asyncio.get_running_loop().time() - sent.began
        self._counters.publishes.add(seconds)
        self._counters.edits += sent.edits
        if sent.gathered.heard:
            self._counters.ways.add(time.time() - sent.gathered.heard)
        self._log.debug(
            "change_published",
            trace=sent.gathered.trace,
            position=str(self._publisher.position),
            edits=sent.edits,
            ms=round(seconds * 1000, 1),
        )

    async def _start(self) -> None:
        if self._ready() or await self._publisher.stored() is None:
            with self._telling():
                await self._start_epoch()
        elif not await self._lease.acquire():
            raise Fenced("the lease was lost before anything was written")

    async def _start_epoch(self) -> None:
        self._pending.clear()  # no await before start_epoch has copied the state
        self._gathered = self._sent = None
        position = await self._publisher.start_epoch(self._state())
        self._counters.epochs += 1
        self._log.info("epoch_start", position=str(position))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Wake the callers of :meth:`written` that wait by now, if the block succeeds."""
        waiting, self._waiting = self._waiting, []
        try:
            yield
        except BaseException:
            self._waiting = waiting + self._waiting
            raise
        position = self._publisher.position
        if position is None:
            self._waiting = waiting + self._waiting
            return
        for future in waiting:
            if not future.done():
                future.set_result(position)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
