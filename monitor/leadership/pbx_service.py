"""Lead one PBX or stand by.

Together with :mod:`monitor.leadership.leader_term` this is the only place where all parts meet.
Rules:

- Contest the lease. While it is ours, follow the PBX and write what the tracker makes of it. When
  another monitor has it, stop following, mirror what must outlive that monitor, and contest again.
- An unreachable Redis stops nothing: the state is kept and the source goes on. But the source mints
  no token once the lease is no longer sure.
- A Redis that came back empty belongs to the monitor that led last, because only that one knows all
  that happened meanwhile. It contests at once, all others only after the lease's time. The file
  notes which monitor led last, so that this outlives a restart too. A monitor that gave its lease
  away led last until the other one writes.
- Several monitors share the PBXs; see :mod:`monitor.leadership.placement`. A leader that should
  not have this one ends its term in order and gives its lease to the monitor that should. A lease
  that runs out is left to that monitor for a moment, and then taken by any.
- Before this monitor does anything as a leader, it reads everything that earlier leaders recorded;
  see :mod:`monitor.commands.record_replication`.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import Generic, TypeAlias, TypeVar

import structlog
from redis.asyncio import Redis

from monitor.commands.command_journal import CommandJournal
from monitor.commands.record_replication import RecordReplication
from monitor.commands.request_consumer import LeadershipContext, RequestConsumer
from monitor.counters import MonitorCounters
from monitor.handover import previous_state
from monitor.handover.directory_handover import DirectoryHandover
from monitor.leadership.leader_term import DatabaseLike, LeaderTerm, SourceLike, TermFinished
from monitor.leadership.membership import Membership
from monitor.leadership.standby_mirror import StandbyMirror
from monitor.lease import Contest, Lease
from monitor.pbx.facts import ContactsRead, Fact, HandoverFact
from monitor.pbx.webapi.facts import ToldFact
from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.ended_calls import EndedCallStore, joined
from monitor.persistence.sqlite_store import Store
from monitor.persistence.statistics_checkpoint import StatisticsCheckpoint
from monitor.publishing.publish_loop import HEARTBEAT_S
from monitor.publishing.state_publisher import LOG_BYTES, StatePublisher
from monitor.shared.backoff import bound
from monitor.shared.entities.topics import State, empty_state
from monitor.shared.errors import BusError, BusUnreachable, Fenced, StoreFailed
from monitor.shared.redis.connection import raise_if_cancelled
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from monitor.shared.tasks import running
from monitor.statistics.checkpoint_format import SavedStatistics
from monitor.statistics.counting_tracker import CountingTracker, TrackerLike
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.figures_comparison import FiguresComparison
from monitor.statistics.settings import StatisticsSettings

CONTEST_EVERY_S = 0.25
"""Seconds between two looks at a lease that another monitor has. A released lease is taken over
as quickly."""
_LOOK_EVERY_S = 2.0
"""Seconds between two contests for a lease that others have, while its expiry is watched."""
_YIELD_S = 0.75
"""Seconds for which a lease that ran out is left to the monitor that should lead."""
_SHORTEST_TERM_S = 2.0
"""Seconds for which a leader leads before it hands over."""
_TAKEN_UP_WITHIN_S = 10.0
"""Seconds after which a monitor has taken up the lease that it was given; else it came back."""
_CLOSE_WITHIN_S = 2.0
_TRY_AGAIN_S = 10.0
"""Seconds for which a hand-over waits for the commands in hand, and until the next attempt."""
_RELEASE_WITHIN_S = 1.0
_BACKOFF_CAP_S = 2.0
_LED_LAST = "led last"
_OTHERS = "others"
"""Names of the notes in the file: which monitor led last, and that another one has ever led."""

_log = structlog.get_logger(__name__)


FactT = TypeVar("FactT", bound=Fact | ToldFact)

Emit: TypeAlias = Callable[[Fact], None]
MayMint: TypeAlias = Callable[[], bool]


class PbxService(Generic[FactT]):
    """Watch one PBX.

    ``name``: this monitor's name. ``pbx``: the PBX's name, as in every key. ``redis`` gives
    connections as needed: one for each space's publisher and one for the lease. ``database``: None
    if SQL is not offered. ``store``: the file for what must outlive Redis. ``terms``: settings of
    the day's statistics. ``counters``: the counters, including those of the source.
    ``membership``: the monitors that share the PBXs; None: the first one that comes leads.
    """

    def __init__(
        self,
        name: str,
        pbx: str,
        redis: Redis,
        tracker_factory: Callable[[], TrackerLike[FactT]],
        source_factory: Callable[[Callable[[FactT], None], MayMint], SourceLike],
        *,
        store: Store,
        database: DatabaseLike | None = None,
        terms: StatisticsSettings | None = None,
        heartbeat: float = HEARTBEAT_S,
        lease_ttl: float = 5.0,
        log_length: int = 10_000,
        log_bytes: int = LOG_BYTES,
        counters: MonitorCounters | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.counters = MonitorCounters() if counters is None else counters
        self._redis = redis
        self._live_keys = SpaceKeys(pbx, "live")
        self._book_keys = SpaceKeys(pbx, "book")
        self._tracker_factory = tracker_factory
        self._source_factory = source_factory
        self._store = store
        self._database = database
        self._heartbeat = heartbeat
        self._log_length = log_length
        self._log_bytes = log_bytes
        self.pbx = pbx
        self._log = _log.bind(pbx=pbx)
        # Two processes of the same name must not both think that the lease is theirs.
        writer = f"{name}/{secrets.token_hex(4)}" if membership is None else membership.id
        self.lease = Lease(redis, self._live_keys, writer, lease_ttl)
        self.membership = membership
        self._heir: tuple[str, float] | None = None
        self._free_since: float | None = None
        self.leading_since: float | None = None
        """POSIX seconds; None while another monitor leads."""
        self.rejected = RejectedValues()
        """Values on Redis that this monitor left out recently, because no monitor wrote them."""
        self._terms = StatisticsSettings() if terms is None else terms
        self._checkpoint = StatisticsCheckpoint(redis, pbx, self.lease.name, store)
        self._requests: RequestConsumer | None = None
        self._leader: LeaderTerm[FactT] | None = None
        self._led_last: bool | None = None
        self._left_epoch: str | None = None
        """Epoch of the state that this monitor left to its heir; None once the heir wrote."""
        self._others = False
        self._empty_since: float | None = None
        self._contested = asyncio.Event()
        self._key_sync = ApiKeySync(redis, pbx, store, lambda: self._others)
        self._ended = EndedCallStore(redis, pbx, store)
        self._mirror = StandbyMirror(pbx, self._key_sync, self._checkpoint, self._ended)
        self._journal = CommandJournal(redis, pbx, store, self.counters.commands)
        self._sync = RecordReplication(
            *(redis, pbx, self.lease.name, store, self.counters),
            leading=lambda: self.leading,
            in_step=lambda: self.leading or self._mirror.level,
            unsaved=self._journal.unsaved,
            unconfirmed=self._journal.unconfirmed,
            confirm=self._journal.confirm,
        )

    @property
    def leading(self) -> bool:
        """Return whether this monitor leads."""
        return self.leading_since is not None

    @property
    def hears_requests(self) -> bool:
        """Return whether this monitor leads and carries out the gateways' requests."""
        return self._requests is not None and self._requests.open

    @property
    def state(self) -> State | None:
        """Return the live topics as they are known, or None while another monitor leads."""
        return None if self._leader is None else self._leader.state

    @property
    def comparison(self) -> FiguresComparison | None:
        """Return the comparison with the PBX's own figures, or None while another one leads."""
        return None if self._leader is None else self._leader.comparison

    @property
    def pbx_time(self) -> float | None:
        """Return POSIX seconds on the PBX's clock, or None while it is not known."""
        return None if self._leader is None else self._leader.pbx_time

    async def run(self) -> None:
        """Lead or stand by until cancelled.

        At the end the lease is released, so that a standby takes over at once.
        """
        members = self.membership
        with collecting(self.rejected), members.watching(self.pbx) if members else nullcontext():
            await self._run()

    async def _run(self) -> None:
        async with self.membership.taking_up if self.membership else nullcontext():
            await self._recall()
            # Read the whole log now, so that little is left once we lead.
            await self._sync.catch_up()
        try:
            async with running(self._follow_records()):
                while True:
                    async with AsyncExitStack() as turn:
                        await self._stand_by(turn)
                        raise_if_cancelled()
                        await self._lead(turn)
        finally:
            await self._give_back()

    async def _recall(self) -> None:
        """Read from the file whether this monitor led last, and whether another one ever led."""
        try:
            led_last = await self._store.note(self.pbx, _LED_LAST)
            self._led_last = None if led_last is None else led_last == "this one"
            self._others = await self._store.note(self.pbx, _OTHERS) is not None
        except StoreFailed as error:
            self._log.warning("leadership_note_read_failure", reason=str(error))

    async def _remember(self, *, ours: bool) -> None:
        """Note in the file whether this monitor leads, if that has changed."""
        if self._led_last == ours:
            return
        if self._led_last:
            await self._ended.set_aside()
        self._led_last, self._others = ours, self._others or not ours
        try:
            await self._store.keep_note(self.pbx, _LED_LAST, "this one" if ours else "another")
            if self._others:
                await self._store.keep_note(self.pbx, _OTHERS, "seen")
        except StoreFailed as error:
            self._log.warning("leadership_note_write_failure", reason=str(error))

    async def _stand_by(self, turn: AsyncExitStack) -> None:
        """Mirror what must outlive the leader until the lease is ours.

        ``turn``: holds then the right to take up a PBX, which only some have at the same time.
        """
        if await self._wins_at_once(turn):
            await self._remember(ours=True)
            return
        async with running(self._mirror.run()):
            await self._contest(turn)
        await self._remember(ours=True)

    async def _follow_records(self) -> None:
        """Read the log of commands regularly, once it is known whether another monitor leads."""
        await self._contested.wait()
        await self._sync.run()

    async def _wins_at_once(self, turn: AsyncExitStack) -> bool:
        """Contest the lease before anything is mirrored, and return whether it is ours.

        A process that starts with hundreds of PBXs would otherwise mirror each of them meanwhile.
        """
        try:
            return await self._contest_once(turn, 0.0) == "ours"
        except BusUnreachable:  # the next contest finds out why, and tells
            return False
        finally:
            self._contested.set()

    async def _contest_once(self, turn: AsyncExitStack, patience: float) -> Contest:
        """Contest the lease once, in turn; keep the turn if the lease is ours."""
        if self.membership is not None:
            await turn.enter_async_context(self.membership.taking_up)
        contest: Contest | None = None
        try:
            contest = await self._try(patience)
        finally:
            if contest != "ours":
                await turn.aclose()
        return contest

    async def _contest(self, turn: AsyncExitStack) -> None:
        failures = 0
        # The last leader may need its lease's time and its back-off to notice that Redis is back.
        patience = self.lease.ttl + _BACKOFF_CAP_S + random.uniform(0.0, 1.0)  # noqa: S311
        while True:
            raise_if_cancelled()
            delay = CONTEST_EVERY_S
            try:
                contest = await self._contest_once(turn, patience)
                if contest == "ours":
                    return
                failures = 0
                if contest == "another's" and self.membership is not None:
                    await self.lease.seized(self.membership.leases, _LOOK_EVERY_S)
                    continue
            except BusUnreachable as error:
                failures += 1
                self._empty_since = None
                self.counters.contests_failed += 1
                delay = bound(0.1, failures, _BACKOFF_CAP_S)
                say = self._log.warning if failures == 1 else self._log.info
                say(
                    "redis_unreachable",
                    during="lease_contest",
                    reason=str(error),
                    failures=failures,
                )
            await asyncio.sleep(random.uniform(0.0, delay))  # noqa: S311

    async def _try(self, patience: float) -> Contest:
        """Contest the lease once.

        ``patience``: seconds for which an empty Redis is left to the monitor that led last.
        """
        now = self.lease.uptime()
        waited = self._empty_since is not None and now >= self._empty_since + patience
        contest = await self.lease.contest(
            patient=self._led_last is False and not waited, yielding=self._yields(now)
        )
        if contest != "yielded":
            self._free_since = None
        elif self._free_since is None:
            self._free_since = now
        if contest == "left":
            if self._empty_since is None:
                self._empty_since = now
                self._log.warning(
                    "redis_empty",
                    reason="for a while only the monitor that led last takes the lease",
                )
            return contest
        self._empty_since = None
        if contest == "another's":
            if not await self._is_untouched():
                await self._remember(ours=False)
        elif contest == "ours":
            self._left_epoch = None
            self._note_refusal(now)
        return contest

    async def _is_untouched(self) -> bool:
        """Return whether the heir has not written yet, so that only this monitor knows all."""
        if self._left_epoch is not None:
            if await self.lease.epoch() in (None, self._left_epoch):
                return True
            self._left_epoch = None
        return False

    def _yields(self, now: float) -> bool:
        """Return whether a free lease should be left to another monitor."""
        if self.membership is None or self._led_last or self.membership.chosen(self.pbx) is None:
            return False
        return self._free_since is None or now < self._free_since + _YIELD_S

    def _note_refusal(self, now: float) -> None:
        """Note who did not take up the lease that it was given, if it came back at once."""
        heir, self._heir = self._heir, None
        if heir is None or self.membership is None:
            return
        if now < heir[1] + _TAKEN_UP_WITHIN_S:
            self._log.warning("lease_transfer_refused", heir=heir[0])
            self.membership.refused(self.pbx, heir[0])

    async def _lead(self, turn: AsyncExitStack) -> None:
        self._log.info("leader_term_start", writer=self.lease.name)
        self.leading_since = time.time()
        self.counters.terms += 1
        try:
            await self._sync.catch_up()
            handover = DirectoryHandover(self._redis, self.pbx, self.lease.name)
            tracker = await self._taken_over(handover)
            raise_if_cancelled()
            leader = self._leader = LeaderTerm(
                self.pbx,
                tracker,
                self._source_factory,
                self.lease,
                self._publisher(self._live_keys, self.lease),
                self._publisher(self._book_keys, None),
                self._heartbeat,
                self.counters,
                handover,
                self.rejected,
            )
            office = LeadershipContext(self.lease, leader.position, lambda: self._sync.level)
            requests = self._requests = RequestConsumer(
                self._redis,
                self.pbx,
                office,
                partial(leader.execute, self._database),
                leader.written,
                self._journal,
                self.counters.commands,
            )
            await turn.aclose()  # from here on the PBX may make it wait
            async with running(self._hand_over(leader, requests)):
                # A task of its own: Python 3.11's TaskGroup may leave its parent cancelled.
                await asyncio.create_task(
                    leader.run(requests, self._key_sync, self._checkpoint, self._ended)
                )
        except* TermFinished:
            await self._give_to_heir()
        except* Fenced as fenced:
            self.counters.fenced += 1
            self._log.warning("leader_term_end", reason=str(fenced.exceptions[0]))
        finally:
            self.leading_since, self._requests, self._leader = None, None, None
            self.lease.lost()

    async def _hand_over(self, leader: LeaderTerm[FactT], requests: RequestConsumer) -> None:
        """End the term in order once another monitor should lead. Run it until the term is over."""
        if self.membership is None:
            return
        await asyncio.sleep(_SHORTEST_TERM_S)
        while True:
            raise_if_cancelled()
            await self.membership.chooses_another(self.pbx)
            async with self.membership.handing_over:
                if (heir := self.membership.chosen(self.pbx)) is None:
                    continue
                # Only this monitor may know what could not be written yet.
                if await leader.flush() and await requests.close(_CLOSE_WITHIN_S):
                    self._heir = heir, self.lease.uptime()
                    leader.finish()
                    await asyncio.Event().wait()  # until the term is over
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _give_to_heir(self) -> None:
        """Give the lease to the monitor for which the term was ended."""
        if self._heir is None:
            return
        heir, self.counters.handovers = self._heir[0], self.counters.handovers + 1
        self._log.info("leader_term_handover", heir=heir)
        try:
            async with asyncio.timeout(_RELEASE_WITHIN_S):
                self._left_epoch = await self.lease.epoch()
                if not await self.lease.transfer(heir):
                    self._heir = self._left_epoch = None
        except (BusError, TimeoutError) as error:
            self._heir = None
            self._log.warning(
                "lease_release_failure", reason=str(error), expires_within=self.lease.ttl
            )

    async def _taken_over(self, handover: DirectoryHandover) -> CountingTracker[FactT]:
        """Return a tracker that knows what an earlier monitor left.

        Data that leads to an error is left out.
        """
        statistics = self._counted(await self._checkpoint.read())
        ended = await self._ended.read()
        for left_behind in (self._read_handover, self._nothing_left):
            tracker = CountingTracker(self._tracker_factory(), statistics)
            try:
                state, left = await left_behind(handover)
                state["ended"] = joined(ended, state["ended"])
                tracker.remember(state, left)
            except Exception:  # bad data must not stop watching; it is overwritten soon
                self._log.exception("takeover_failure")
            else:
                return tracker
        return CountingTracker(self._tracker_factory(), statistics)

    async def _read_handover(
        self, handover: DirectoryHandover
    ) -> tuple[State, tuple[HandoverFact | ContactsRead, ...]]:
        """Return the state and the facts that an earlier monitor left on Redis."""
        try:
            left = (
                *await handover.read(),
                *await previous_state.read_book(self._redis, self._book_keys),
            )
            return await previous_state.read(self._redis, self._live_keys, time.time()), left
        except BusUnreachable as error:
            self._log.warning("handover_read_failure", reason=str(error))
            return await self._nothing_left(handover)

    async def _nothing_left(
        self, _: DirectoryHandover
    ) -> tuple[State, tuple[HandoverFact | ContactsRead, ...]]:
        return empty_state(self._live_keys.topics), ()

    def _counted(self, saved: SavedStatistics | None) -> Statistics:
        try:
            return Statistics(self._terms, saved)
        except Exception:
            self._log.exception("statistics_takeover_failure")
            return Statistics(self._terms)

    def _publisher(self, keys: SpaceKeys, lease: Lease | None) -> StatePublisher:
        return StatePublisher(
            self._redis,
            keys,
            self.lease.name,
            lease=lease,
            log_length=self._log_length,
            log_bytes=self._log_bytes,
        )

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WITHIN_S):
                heir = None if self.membership is None else self.membership.successor(self.pbx)
                if heir is None:
                    await self.lease.release()
                else:
                    await self.lease.transfer(heir)
        except (BusError, TimeoutError) as error:
            self._log.warning(
                "lease_release_failure", reason=str(error), expires_within=self.lease.ttl
            )
