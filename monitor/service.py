"""One PBX: the only place where its source, the tracker and the publishers meet.

Contest the lease; while it is ours follow the PBX and write what the tracker makes of it; when somebody else has it,
stop following and contest again. A Redis that is away stops nothing: the state is kept and the source goes on, though
it mints no token once the lease is not sure any more.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

import structlog
from redis.asyncio import Redis

from monitor import heritage
from monitor.bus import heed_cancellation
from monitor.errors import BusError, BusUnreachable, CommandRefused, Fenced
from monitor.keyring import Keyring, KeyStore
from monitor.lease import Lease, uptime
from monitor.model.change import Edit, Position
from monitor.model.entities import BOOK_TOPICS, State
from monitor.model.keys import Keys
from monitor.pbx.facts import ContactsRead, Fact
from monitor.pbx.told import ToldFact
from monitor.publisher import Publisher
from monitor.requests import Office, Records, Requests
from monitor.writer import HEARTBEAT, SpaceWriter

CONTEST_EVERY = 0.25
"""Seconds between two looks at a lease that somebody else has; a released one is taken over as soon."""
TICK = 1.0
_RELEASE_WITHIN = 1.0

_log = structlog.get_logger(__name__)


FactT = TypeVar("FactT", bound=Fact | ToldFact)
FactT_contra = TypeVar("FactT_contra", bound=Fact | ToldFact, contravariant=True)


class TrackerLike(Protocol[FactT_contra]):
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

    def apply(self, fact: FactT_contra) -> tuple[Edit, ...]:
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

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out a documented command; the reply's fields. What it changed has been told as facts by then.

        Raises CommandRefused, OutcomeUnknown, PbxError.
        """
        ...

    def want_participants(self) -> None:
        """Read all participants soon."""
        ...


class DatabaseLike(Protocol):
    """The PBX's database; see :mod:`monitor.pbx.database`."""

    async def answer(self, sql: str, count: int) -> Mapping[str, object]:
        """The reply's fields of the command ``query``. Raises CommandRefused, PbxUnreachable."""
        ...


Emit: TypeAlias = Callable[[Fact], None]
MayMint: TypeAlias = Callable[[], bool]


class Service(Generic[FactT]):
    """Watches one PBX. ``name``: this monitor's; ``pbx``: the PBX's, as in every key.

    ``redis`` is asked for connections as needed: one for each space's publisher and one for the lease. ``database``:
    None if SQL is not offered. ``key_store``: None if no API keys are kept.
    """

    def __init__(
        self,
        name: str,
        pbx: str,
        redis: Redis,
        tracker_factory: Callable[[], TrackerLike[FactT]],
        source_factory: Callable[[Callable[[FactT], None], MayMint], SourceLike],
        *,
        records: Records,
        database: DatabaseLike | None = None,
        key_store: KeyStore | None = None,
        heartbeat: float = HEARTBEAT,
        lease_ttl: float = 5.0,
        log_length: int = 10_000,
    ) -> None:
        self._redis = redis
        self._live_keys = Keys(pbx, "live")
        self._book_keys = Keys(pbx, "book")
        self._tracker_factory = tracker_factory
        self._source_factory = source_factory
        self._records = records
        self._database = database
        self._heartbeat = heartbeat
        self._log_length = log_length
        self._pbx = pbx
        self._log = _log.bind(pbx=pbx)
        # Two processes of the same name must not both think that the lease is theirs.
        self.lease = Lease(redis, self._live_keys, f"{name}/{secrets.token_hex(4)}", lease_ttl)
        self.leading = False
        self._requests: Requests | None = None
        self._keyring = None if key_store is None else Keyring(redis, pbx, key_store)

    @property
    def hears_requests(self) -> bool:
        """Whether this monitor leads, and carries out what the gateways ask of it."""
        return self._requests is not None and self._requests.open

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
        heed_cancellation()
        leader = _Leader(
            tracker,
            self._source_factory,
            self.lease,
            self._publisher(self._live_keys, self.lease),
            self._publisher(self._book_keys, None),
            self._heartbeat,
        )
        office = Office(self.lease, leader.position)
        requests = self._requests = Requests(
            self._redis, self._pbx, office, partial(leader.execute, self._database), leader.written, self._records
        )
        try:
            # A task of its own: Python 3.11's TaskGroup may leave its parent marked as cancelled.
            await asyncio.create_task(leader.run(requests, self._keyring))
        except* Fenced as fenced:
            self._log.warning("stepping down", reason=str(fenced.exceptions[0]))
        finally:
            self.leading, self._requests = False, None
            self.lease.lost()

    def _publisher(self, keys: Keys, lease: Lease | None) -> Publisher:
        return Publisher(self._redis, keys, self.lease.name, lease=lease, log_length=self._log_length)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WITHIN):
                await self.lease.release()
        except (BusError, TimeoutError) as error:
            self._log.warning("the lease could not be given back and runs out by itself", reason=str(error))


class _Leader(Generic[FactT]):
    """One term of office: a fresh tracker and a source of its own."""

    def __init__(
        self,
        tracker: TrackerLike[FactT],
        source_factory: Callable[[Callable[[FactT], None], MayMint], SourceLike],
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

    def position(self) -> Position | None:
        """What was written last of the live topics."""
        return self._live.position

    async def execute(
        self, database: DatabaseLike | None, command: str, arguments: Mapping[str, str]
    ) -> Mapping[str, object]:
        """Carry out a command. Raises CommandRefused, OutcomeUnknown, PbxError."""
        if command != "query":
            return await self._source.execute(command, arguments)
        if database is None:
            raise CommandRefused("sql_not_configured", "SQL is not offered: no database of this PBX is configured.")
        return await database.answer(arguments["query"], int(arguments.get("count", "0")))

    async def written(self, command: str) -> tuple[Position | None, Position | None]:
        """Wait until the store contains all that is known by now, as far as this command may have changed it."""
        if command == "query":
            return None, None
        return await self._live.written(), await self._book.written() if command.startswith("contact.") else None

    async def run(self, requests: Requests, keyring: Keyring | None) -> None:
        """Until cancelled; raises an ExceptionGroup with Fenced when somebody else has the lease."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(requests.run())
                if keyring is not None:
                    tasks.create_task(keyring.run())
                tasks.create_task(self._live.run())
                tasks.create_task(self._book.run())
                tasks.create_task(self._source.run())
                tasks.create_task(self._tick())
        finally:
            await self._source.close()

    def _emit(self, fact: FactT) -> None:
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
