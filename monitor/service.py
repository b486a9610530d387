"""One PBX: who leads, and what is wired up for it; with :mod:`monitor.leader` the only place where all of it meets.

Contest the lease; while it is ours follow the PBX and write what the tracker makes of it; when somebody else has it,
stop following and contest again. A Redis that is away stops nothing: the state is kept and the source goes on, though
it mints no token once the lease is not sure any more.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeAlias, TypeVar

import structlog
from redis.asyncio import Redis

from monitor import heritage
from monitor.bequest import Bequest
from monitor.bus import heed_cancellation
from monitor.carrying import Records
from monitor.counting import Counting, TrackerLike
from monitor.errors import BusError, BusUnreachable, Fenced
from monitor.keeping import Keeping, Shelf
from monitor.keyring import Keyring, KeyStore
from monitor.leader import DatabaseLike, Leader, SourceLike
from monitor.lease import Lease
from monitor.measures import Measures
from monitor.model.entities import State
from monitor.model.keys import Keys
from monitor.pbx.facts import Fact
from monitor.pbx.told import ToldFact
from monitor.publisher import Publisher
from monitor.requests import Office, Requests
from monitor.stats.saved import Saved
from monitor.stats.statistics import Statistics
from monitor.stats.terms import Terms
from monitor.writer import HEARTBEAT

CONTEST_EVERY = 0.25
"""Seconds between two looks at a lease that somebody else has; a released one is taken over as soon."""
_RELEASE_WITHIN = 1.0

_log = structlog.get_logger(__name__)


FactT = TypeVar("FactT", bound=Fact | ToldFact)

Emit: TypeAlias = Callable[[Fact], None]
MayMint: TypeAlias = Callable[[], bool]


class Service(Generic[FactT]):
    """Watches one PBX. ``name``: this monitor's; ``pbx``: the PBX's, as in every key.

    ``redis`` is asked for connections as needed: one for each space's publisher and one for the lease. ``database``:
    None if SQL is not offered. ``key_store``: None if no API keys are kept. ``terms``: by which the day is counted;
    ``shelf``: where that is kept besides Redis. ``measures``: what is counted, those of the source's included.
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
        terms: Terms | None = None,
        shelf: Shelf | None = None,
        heartbeat: float = HEARTBEAT,
        lease_ttl: float = 5.0,
        log_length: int = 10_000,
        measures: Measures | None = None,
    ) -> None:
        self.measures = Measures() if measures is None else measures
        self._redis = redis
        self._live_keys = Keys(pbx, "live")
        self._book_keys = Keys(pbx, "book")
        self._tracker_factory = tracker_factory
        self._source_factory = source_factory
        self._records = records
        self._database = database
        self._heartbeat = heartbeat
        self._log_length = log_length
        self.pbx = pbx
        self._log = _log.bind(pbx=pbx)
        # Two processes of the same name must not both think that the lease is theirs.
        self.lease = Lease(redis, self._live_keys, f"{name}/{secrets.token_hex(4)}", lease_ttl)
        self.leading = False
        self._terms = Terms() if terms is None else terms
        self._keeping = Keeping(redis, pbx, self.lease.name, shelf)
        self._requests: Requests | None = None
        self._leader: Leader[FactT] | None = None
        self._keyring = None if key_store is None else Keyring(redis, pbx, key_store)

    @property
    def hears_requests(self) -> bool:
        """Whether this monitor leads, and carries out what the gateways ask of it."""
        return self._requests is not None and self._requests.open

    @property
    def state(self) -> State | None:
        """The live topics as they are known; None while somebody else leads."""
        return None if self._leader is None else self._leader.state

    @property
    def pbx_time(self) -> float | None:
        """POSIX seconds on the PBX's clock; None while it is not known."""
        return None if self._leader is None else self._leader.pbx_time

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
                self.measures.contests_failed += 1
                delay = min(2.0, 0.1 * 2 ** min(failures, 10))
                self._log.warning("bus unreachable", reason=str(error), failures=failures)
            await asyncio.sleep(random.uniform(0.0, delay))  # noqa: S311

    async def _lead(self) -> None:
        self._log.info("leading", writer=self.lease.name)
        self.leading = True
        self.measures.terms += 1
        bequest = Bequest(self._redis, self.pbx, self.lease.name)
        tracker = await self._taken_over(bequest)
        heed_cancellation()
        leader = self._leader = Leader(
            self.pbx,
            tracker,
            self._source_factory,
            self.lease,
            self._publisher(self._live_keys, self.lease),
            self._publisher(self._book_keys, None),
            self._heartbeat,
            self.measures,
            bequest,
        )
        office = Office(self.lease, leader.position)
        requests = self._requests = Requests(
            self._redis,
            self.pbx,
            office,
            partial(leader.execute, self._database),
            leader.written,
            self._records,
            self.measures.commands,
        )
        try:
            # A task of its own: Python 3.11's TaskGroup may leave its parent marked as cancelled.
            await asyncio.create_task(leader.run(requests, self._keyring, self._keeping))
        except* Fenced as fenced:
            self.measures.fenced += 1
            self._log.warning("stepping down", reason=str(fenced.exceptions[0]))
        finally:
            self.leading, self._requests, self._leader = False, None, None
            self.lease.lost()

    async def _taken_over(self, bequest: Bequest) -> Counting[FactT]:
        """A tracker that knows what an earlier monitor left; one that knows nothing where that leads to a fault."""
        statistics = self._counted(await self._keeping.read())
        tracker = Counting(self._tracker_factory(), statistics)
        try:
            left = (*await bequest.read(), *await heritage.read_book(self._redis, self._book_keys))
            tracker.remember(await heritage.read(self._redis, self._live_keys, time.time()), left)
        except BusUnreachable as error:
            self._log.warning("nothing taken over from an earlier monitor", reason=str(error))
        except Exception:  # what stands on Redis is no reason not to watch; it is overwritten soon
            self._log.exception("takeover_failure")
            return Counting(self._tracker_factory(), statistics)
        return tracker

    def _counted(self, saved: Saved | None) -> Statistics:
        try:
            return Statistics(self._terms, saved)
        except Exception:
            self._log.exception("takeover_failure")
            return Statistics(self._terms)

    def _publisher(self, keys: Keys, lease: Lease | None) -> Publisher:
        return Publisher(self._redis, keys, self.lease.name, lease=lease, log_length=self._log_length)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WITHIN):
                await self.lease.release()
        except (BusError, TimeoutError) as error:
            self._log.warning("the lease could not be given back and runs out by itself", reason=str(error))
