"""One PBX: the only place where its source, the tracker and the publishers meet.

Contest the lease; while it is ours follow the PBX and write what the tracker makes of it; when somebody else has it,
stop following and contest again. A Redis that is away stops nothing: the state is kept and the source goes on, though
it mints no token once the lease is not sure any more.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import Protocol, TypeAlias

import structlog
from redis.asyncio import Redis

from monitor import heritage
from monitor.bus import heed_cancellation
from monitor.errors import BusError, BusUnreachable, Fenced
from monitor.lease import Lease, uptime
from monitor.model.change import Edit
from monitor.model.entities import BOOK_TOPICS, State
from monitor.model.keys import Keys
from monitor.pbx.facts import ContactsRead, Fact
from monitor.publisher import Publisher
from monitor.writer import HEARTBEAT, SpaceWriter

CONTEST_EVERY = 0.25
"""Seconds between two looks at a lease that somebody else has; a released one is taken over as soon."""
TICK = 1.0
_RELEASE_WITHIN = 1.0

_log = structlog.get_logger(__name__)


class TrackerLike(Protocol):
    """Facts in, edits out; see :mod:`monitor.tracker`."""

    @property
    def state(self) -> State:
        """The live topics."""
        ...

    @property
    def book(self) -> State:
        """The address book."""
        ...

    @property
    def ready(self) -> bool:
        """Whether ``state`` is whole."""
        ...

    @property
    def doubts(self) -> set[int]:
        """Calls of which the sources contradict each other; emptied by whoever has the participants read again."""
        ...

    def remember(self, state: State) -> None:
        """Take over what is stored of calls, before the first fact."""
        ...

    def apply(self, fact: Fact) -> tuple[Edit, ...]:
        """What ``fact`` changed."""
        ...

    def tick(self, at: float) -> tuple[Edit, ...]:
        """What the passing of time changed. ``at``: POSIX seconds on the PBX's clock."""
        ...


class SourceLike(Protocol):
    """Follows a PBX; see :mod:`monitor.pbx.source`."""

    async def run(self) -> None:
        """Endless: what goes wrong at the PBX is retried, and told as a fact."""
        ...

    async def close(self) -> None:
        """Called after :meth:`run` was cancelled."""
        ...

    def want_participants(self) -> None:
        """Read all participants soon."""
        ...


Emit: TypeAlias = Callable[[Fact], None]
MayMint: TypeAlias = Callable[[], bool]


class Service:
    """Watches one PBX. ``name``: this monitor's; ``pbx``: the PBX's, as in every key.

    ``redis`` is asked for connections as needed: one for each space's publisher and one for the lease.
    """

    def __init__(
        self,
        name: str,
        pbx: str,
        redis: Redis,
        tracker_factory: Callable[[], TrackerLike],
        source_factory: Callable[[Emit, MayMint], SourceLike],
        *,
        heartbeat: float = HEARTBEAT,
        lease_ttl: float = 5.0,
        log_length: int = 10_000,
    ) -> None:
        self._redis = redis
        self._live_keys = Keys(pbx, "live")
        self._book_keys = Keys(pbx, "book")
        self._tracker_factory = tracker_factory
        self._source_factory = source_factory
        self._heartbeat = heartbeat
        self._log_length = log_length
        self._log = _log.bind(pbx=pbx)
        # Two processes of the same name must not both think that the lease is theirs.
        self.lease = Lease(redis, self._live_keys, f"{name}/{secrets.token_hex(4)}", lease_ttl)
        self.leading = False

    async def run(self) -> None:
        """Until cancelled; then the lease is given back, so that a standby takes over at once."""
        try:
            while True:
                await self._contest()
                heed_cancellation()
                await self._lead()
        finally:
            await self._give_back()

    async def _contest(self) -> None:
        failures = 0
        while True:
            heed_cancellation()
            delay = CONTEST_EVERY
            try:
                if await self.lease.acquire():
                    return
                failures = 0
            except BusUnreachable as error:
                failures += 1
                delay = min(2.0, 0.1 * 2 ** min(failures, 10))
                self._log.warning("bus unreachable", reason=str(error), failures=failures)
            await asyncio.sleep(random.uniform(0.0, delay))  # noqa: S311

    async def _lead(self) -> None:
        self._log.info("leading", writer=self.lease.name)
        self.leading = True
        tracker = self._tracker_factory()
        try:
            tracker.remember(await heritage.read(self._redis, self._live_keys))
        except BusUnreachable as error:
            self._log.warning("nothing taken over from an earlier monitor", reason=str(error))
        leader = _Leader(
            tracker,
            self._source_factory,
            self.lease,
            self._publisher(self._live_keys, self.lease),
            self._publisher(self._book_keys, None),
            self._heartbeat,
        )
        try:
            # A task of its own: Python 3.11's TaskGroup may leave its parent marked as cancelled.
            await asyncio.create_task(leader.run())
        except* Fenced as fenced:
            self._log.warning("stepping down", reason=str(fenced.exceptions[0]))
        finally:
            self.leading = False
            self.lease.lost()

    def _publisher(self, keys: Keys, lease: Lease | None) -> Publisher:
        return Publisher(self._redis, keys, self.lease.name, lease=lease, log_length=self._log_length)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WITHIN):
                await self.lease.release()
        except (BusError, TimeoutError) as error:
            self._log.warning("the lease could not be given back and runs out by itself", reason=str(error))


class _Leader:
    """One term of office: a fresh tracker and a source of its own."""

    def __init__(
        self,
        tracker: TrackerLike,
        source_factory: Callable[[Emit, MayMint], SourceLike],
        lease: Lease,
        live: Publisher,
        book: Publisher,
        heartbeat: float,
    ) -> None:
        self._tracker = tracker
        self._source = source_factory(self._emit, lease.sure)
        self._book_read = False
        self._pbx_clock: tuple[float, float] | None = None  # of the last fact, and our uptime then
        self._live = SpaceWriter(live, lease, lambda: tracker.state, lambda: tracker.ready, heartbeat)
        self._book = SpaceWriter(book, lease, lambda: tracker.book, lambda: self._book_read, heartbeat)

    async def run(self) -> None:
        """Until cancelled; raises an ExceptionGroup with Fenced when somebody else has the lease."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._live.run())
                tasks.create_task(self._book.run())
                tasks.create_task(self._source.run())
                tasks.create_task(self._tick())
        finally:
            await self._source.close()

    def _emit(self, fact: Fact) -> None:
        self._handle(self._tracker.apply(fact))
        if isinstance(fact, ContactsRead):
            self._book_read = True
            self._book.changed(())
        else:
            self._pbx_clock = (fact.at, uptime())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._pbx_clock is not None:
                at, then = self._pbx_clock
                self._handle(self._tracker.tick(at + uptime() - then))

    def _handle(self, edits: tuple[Edit, ...]) -> None:
        self._live.changed(edit for edit in edits if edit.topic not in BOOK_TOPICS)
        self._book.changed(edit for edit in edits if edit.topic in BOOK_TOPICS)
        if self._tracker.doubts:
            self._tracker.doubts.clear()
            self._source.want_participants()
