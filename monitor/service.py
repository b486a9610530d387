"""One PBX: who leads, and what is wired up for it; with :mod:`monitor.leader` the only place where all of it meets.

Rules:

- Contest the lease; while it is ours follow the PBX and write what the tracker makes of it; when somebody else has it,
  stop following, mirror what must outlive him, and contest again.
- A Redis that is away stops nothing: the state is kept and the source goes on, though it mints no token once the lease
  is not sure any more.
- A Redis that came back empty belongs to who led last, as he alone knows all that happened meanwhile: he contests at
  once, all others a lease's time later. Who led last is noted in the file, so that it outlives a restart too.
- Before anything is done as a leader, all that earlier leaders wrote down is read; see :mod:`monitor.record_sync`.
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
from monitor.command_journal import CommandJournal
from monitor.counting import Counting, TrackerLike
from monitor.ended_calls import EndedCalls, joined
from monitor.errors import BusError, BusUnreachable, Fenced, StoreFailed
from monitor.keeping import Keeping, Shelf
from monitor.keyring import Keyring
from monitor.leader import DatabaseLike, Leader, SourceLike
from monitor.lease import Lease
from monitor.measures import Measures
from monitor.model.entities import State, empty_state
from monitor.model.keys import Keys
from monitor.pbx.facts import ContactsRead, Fact, HandoverFact
from monitor.pbx.told import ToldFact
from monitor.publisher import LOG_BYTES, Publisher
from monitor.record_sync import RecordSync
from monitor.requests import Office, Requests
from monitor.standby_mirror import StandbyMirror
from monitor.stats.saved import Saved
from monitor.stats.statistics import Statistics
from monitor.stats.terms import Terms
from monitor.store import Store
from monitor.writer import HEARTBEAT

CONTEST_EVERY = 0.25
"""Seconds between two looks at a lease that somebody else has; a released one is taken over as soon."""
_RELEASE_WITHIN = 1.0
_BACKOFF_CAP_S = 2.0
_LED_LAST = "led last"
_OTHERS = "others"
"""Names of notes in the file: who led last, and whether another monitor ever did."""

_log = structlog.get_logger(__name__)


FactT = TypeVar("FactT", bound=Fact | ToldFact)

Emit: TypeAlias = Callable[[Fact], None]
MayMint: TypeAlias = Callable[[], bool]


class Service(Generic[FactT]):
    """Watches one PBX. ``name``: this monitor's; ``pbx``: the PBX's, as in every key.

    ``redis`` is asked for connections as needed: one for each space's publisher and one for the lease. ``database``:
    None if SQL is not offered. ``records``: what must outlive Redis; ``key_store``: the same, None if no API keys are
    kept. ``terms``: by which the day is counted;
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
        records: Store,
        database: DatabaseLike | None = None,
        key_store: Store | None = None,
        terms: Terms | None = None,
        shelf: Shelf | None = None,
        heartbeat: float = HEARTBEAT,
        lease_ttl: float = 5.0,
        log_length: int = 10_000,
        log_bytes: int = LOG_BYTES,
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
        self._log_bytes = log_bytes
        self.pbx = pbx
        self._log = _log.bind(pbx=pbx)
        # Two processes of the same name must not both think that the lease is theirs.
        self.lease = Lease(redis, self._live_keys, f"{name}/{secrets.token_hex(4)}", lease_ttl)
        self.leading_since: float | None = None
        """POSIX seconds; None while somebody else leads."""
        self._terms = Terms() if terms is None else terms
        self._keeping = Keeping(redis, pbx, self.lease.name, shelf)
        self._requests: Requests | None = None
        self._leader: Leader[FactT] | None = None
        self._led_last: bool | None = None
        self._others = False
        self._empty_since: float | None = None
        self._keyring = None if key_store is None else Keyring(redis, pbx, key_store, lambda: self._others)
        self._ended = EndedCalls(redis, pbx, records)
        self._mirror = StandbyMirror(pbx, self._keyring, self._keeping, self._ended)
        self._journal = CommandJournal(redis, pbx, records, self.measures.commands)
        self._sync = RecordSync(
            *(redis, pbx, self.lease.name, records, self.measures),
            leading=lambda: self.leading,
            in_step=lambda: self.leading or self._mirror.level,
            unkept=self._journal.unkept,
            told=self._journal.told,
            seen=self._journal.seen,
        )

    @property
    def leading(self) -> bool:
        """Whether this monitor leads."""
        return self.leading_since is not None

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
        await self._recall()
        await self._sync.catch_up()  # all that the log holds, so that little is left to read once the lease is ours
        syncing = asyncio.create_task(self._sync.run())
        try:
            while True:
                await self._stand_by()
                heed_cancellation()
                await self._lead()
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
            await self._give_back()

    async def _recall(self) -> None:
        """Read in the file who led last, and whether another monitor ever did."""
        try:
            led_last = await self._records.note(self.pbx, _LED_LAST)
            self._led_last = None if led_last is None else led_last == "this one"
            self._others = await self._records.note(self.pbx, _OTHERS) is not None
        except StoreFailed as error:
            self._log.warning("notes_not_read", reason=str(error))

    async def _remember(self, *, ours: bool) -> None:
        """Note who leads, if that is news."""
        if self._led_last == ours:
            return
        self._led_last, self._others = ours, self._others or not ours
        try:
            await self._records.keep_note(self.pbx, _LED_LAST, "this one" if ours else "another")
            if self._others:
                await self._records.keep_note(self.pbx, _OTHERS, "seen")
        except StoreFailed as error:
            self._log.warning("notes_not_kept", reason=str(error))

    async def _stand_by(self) -> None:
        """Mirror what must outlive the leader until the lease is ours."""
        mirroring = asyncio.create_task(self._mirror.run())
        try:
            await self._contest()
        finally:
            mirroring.cancel()
            await asyncio.gather(mirroring, return_exceptions=True)
        await self._remember(ours=True)

    async def _contest(self) -> None:
        failures = 0
        # As long as who led last may need to find out that Redis is back: his lease's time, and his back-off.
        patience = self.lease.ttl + _BACKOFF_CAP_S + random.uniform(0.0, 1.0)  # noqa: S311
        while True:
            heed_cancellation()
            delay = CONTEST_EVERY
            try:
                if await self._try(patience):
                    return
                failures = 0
            except BusUnreachable as error:
                failures += 1
                self._empty_since = None
                self.measures.contests_failed += 1
                delay = min(_BACKOFF_CAP_S, 0.1 * 2 ** min(failures, 10))
                self._log.warning("bus unreachable", reason=str(error), failures=failures)
            await asyncio.sleep(random.uniform(0.0, delay))  # noqa: S311

    async def _try(self, patience: float) -> bool:
        """Contest the lease once; whether it is ours. ``patience``: seconds for which an empty Redis is left alone."""
        now = self.lease.uptime()
        waited = self._empty_since is not None and now >= self._empty_since + patience
        contest = await self.lease.contest(patient=self._led_last is False and not waited)
        if contest == "left":
            if self._empty_since is None:
                self._empty_since = now
                self._log.warning("redis_empty", reason="the lease is left to the monitor that led last, for a while")
            return False
        self._empty_since = None
        if contest == "another's":
            await self._remember(ours=False)
        return contest == "ours"

    async def _lead(self) -> None:
        self._log.info("leading", writer=self.lease.name)
        self.leading_since = time.time()
        self.measures.terms += 1
        try:
            await self._sync.catch_up()
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
            office = Office(self.lease, leader.position, lambda: self._sync.level)
            requests = self._requests = Requests(
                self._redis,
                self.pbx,
                office,
                partial(leader.execute, self._database),
                leader.written,
                self._journal,
                self.measures.commands,
            )
            # A task of its own: Python 3.11's TaskGroup may leave its parent marked as cancelled.
            await asyncio.create_task(leader.run(requests, self._keyring, self._keeping, self._ended))
        except* Fenced as fenced:
            self.measures.fenced += 1
            self._log.warning("stepping down", reason=str(fenced.exceptions[0]))
        finally:
            self.leading_since, self._requests, self._leader = None, None, None
            self.lease.lost()

    async def _taken_over(self, bequest: Bequest) -> Counting[FactT]:
        """Return a tracker that knows what an earlier monitor left; less where that leads to a fault."""
        statistics = self._counted(await self._keeping.read())
        ended = await self._ended.read()
        for left_behind in (self._left_behind, self._nothing_left):
            tracker = Counting(self._tracker_factory(), statistics)
            try:
                state, left = await left_behind(bequest)
                state["ended"] = joined(ended, state["ended"])
                tracker.remember(state, left)
            except Exception:  # what stands on Redis or in the file is no reason not to watch; it is written over soon
                self._log.exception("takeover_failure")
            else:
                return tracker
        return Counting(self._tracker_factory(), statistics)

    async def _left_behind(self, bequest: Bequest) -> tuple[State, tuple[HandoverFact | ContactsRead, ...]]:
        """Return the state and the facts that an earlier monitor left on Redis."""
        try:
            left = (*await bequest.read(), *await heritage.read_book(self._redis, self._book_keys))
            return await heritage.read(self._redis, self._live_keys, time.time()), left
        except BusUnreachable as error:
            self._log.warning("nothing taken over from an earlier monitor", reason=str(error))
            return await self._nothing_left(bequest)

    async def _nothing_left(self, _: Bequest) -> tuple[State, tuple[HandoverFact | ContactsRead, ...]]:
        return empty_state(self._live_keys.topics), ()

    def _counted(self, saved: Saved | None) -> Statistics:
        try:
            return Statistics(self._terms, saved)
        except Exception:
            self._log.exception("takeover_failure")
            return Statistics(self._terms)

    def _publisher(self, keys: Keys, lease: Lease | None) -> Publisher:
        return Publisher(
            self._redis,
            keys,
            self.lease.name,
            lease=lease,
            log_length=self._log_length,
            log_bytes=self._log_bytes,
        )

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WITHIN):
                await self.lease.release()
        except (BusError, TimeoutError) as error:
            self._log.warning("the lease could not be given back and runs out by itself", reason=str(error))
