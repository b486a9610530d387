"""Run one term of a leading monitor: a fresh tracker, its own source, and a writer per space."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, Protocol, TypeVar

import structlog

from monitor.commands.request_consumer import RequestConsumer
from monitor.counters import MonitorCounters
from monitor.handover.directory_handover import DirectoryHandover
from monitor.lease import Lease, uptime
from monitor.pbx.facts import ContactsRead, Fact, HandoverFact, ParticipantGone, ParticipantSeen
from monitor.pbx.webapi.facts import ToldFact
from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.ended_calls import EndedCallStore, joined
from monitor.persistence.statistics_checkpoint import StatisticsCheckpoint
from monitor.publishing.publish_loop import PublishLoop
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import BOOK_TOPICS, EndedCall, State, table
from monitor.shared.errors import CommandRefused
from monitor.shared.redis.rejected_values import RejectedValues
from monitor.statistics.counting_tracker import CountingTracker
from monitor.statistics.figures_comparison import FiguresComparison

TICK_S = 1.0
_MOST_DRAWN: Final = 100
"""Statistics that are drawn in one turn of the event loop: some milliseconds. At midnight all of a
PBX are drawn."""
_FLUSH_WITHIN_S = 1.0
"""Seconds for which a term that ends waits until everything known is on Redis."""

_log = structlog.get_logger(__name__)

FactT = TypeVar("FactT", bound=Fact | ToldFact)


class TermFinished(Exception):
    """Signal that a term ended because it was asked to."""


class SourceLike(Protocol):
    """Describe what a term needs of a PBX's source; see :mod:`monitor.pbx.v20_source`."""

    async def run(self) -> None:
        """Run without end. Problems at the PBX are retried and reported as facts."""
        ...

    async def close(self) -> None:
        """Close the source. Called after :meth:`run` was cancelled."""
        ...

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out a documented command and return the reply's fields.

        Its changes have been reported as facts before it returns. Raises CommandRefused,
        CommandOutcomeUnknown, PbxError.
        """
        ...

    def request_full_read(self) -> None:
        """Ask for a full read of all participants soon."""
        ...


class DatabaseLike(Protocol):
    """Describe what a term needs of the PBX's database; see :mod:`monitor.pbx.database.client`."""

    async def answer(self, sql: str, count: int) -> bytes:
        """Return the reply of the command ``query`` as JSON.

        Raises CommandRefused or PbxUnreachable.
        """
        ...


class LeaderTerm(Generic[FactT]):
    """Follow one PBX for one term, and pass the changes from its source's facts to the writers.

    ``source_factory``: as in :class:`monitor.leadership.pbx_service.PbxService`. ``rejected``: what
    this monitor left out on Redis; the entity ``system`` tells of it.
    """

    def __init__(
        self,
        pbx: str,
        tracker: CountingTracker[FactT],
        source_factory: Callable[[Callable[[FactT], None], Callable[[], bool]], SourceLike],
        lease: Lease,
        live: StatePublisher,
        book: StatePublisher,
        heartbeat: float,
        counters: MonitorCounters,
        handover: DirectoryHandover,
        rejected: RejectedValues,
    ) -> None:
        self._log = _log.bind(pbx=pbx)
        self._rejected, self._store_reason = rejected, ""
        self._tracker = tracker
        self._source = source_factory(self._emit, lease.sure)
        self._book_read = False
        self._ending = asyncio.Event()
        self._handover = handover
        self._pbx_clock: tuple[float, float] | None = (
            None  # PBX's time of the last fact, our uptime then
        )
        self._live = PublishLoop(
            live, lease, lambda: tracker.state, lambda: tracker.ready, heartbeat, counters.live
        )
        self._book = PublishLoop(
            book, lease, lambda: tracker.book, lambda: self._book_read, heartbeat, counters.book
        )

    @property
    def state(self) -> State:
        """Return the live topics as they are known."""
        return self._tracker.state

    @property
    def comparison(self) -> FiguresComparison:
        """Return the comparison of what is counted with the PBX's own figures."""
        return self._tracker.comparison

    @property
    def pbx_time(self) -> float | None:
        """Return POSIX seconds on the PBX's clock, or None before the first fact."""
        if self._pbx_clock is None:
            return None
        at, then = self._pbx_clock
        return at + uptime() - then

    def position(self) -> Position | None:
        """Return the last written position of the live topics, or None."""
        return self._live.position

    async def execute(
        self, database: DatabaseLike | None, command: str, arguments: Mapping[str, str]
    ) -> Mapping[str, object] | bytes:
        """Carry out a command. Raises CommandRefused, CommandOutcomeUnknown, PbxError."""
        if command != "query":
            return await self._source.execute(command, arguments)
        if database is None:
            raise CommandRefused(
                "sql_not_configured", "SQL is not offered: no database of this PBX is configured."
            )
        return await database.answer(arguments["query"], int(arguments.get("count", "0")))

    async def written(self, command: str) -> tuple[Position | None, Position | None]:
        """Wait until the store contains everything known by now that this command may have changed.

        Returns the positions (live, book) that contain it; None for a space that it does not
        change.
        """
        if command == "query":
            return None, None
        return await self._live.written(), await self._book.written() if command.startswith(
            "contact."
        ) else None

    async def run(
        self,
        requests: RequestConsumer,
        key_sync: ApiKeySync,
        checkpoint: StatisticsCheckpoint,
        ended: EndedCallStore,
    ) -> None:
        """Lead until cancelled, or until :meth:`finish` is called.

        Raises an ExceptionGroup with Fenced when another monitor has the lease, and one with
        TermFinished once it is finished.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(requests.run())
                tasks.create_task(key_sync.run())
                tasks.create_task(self._live.run())
                tasks.create_task(self._book.run())
                following = tasks.create_task(self._source.run())
                tasks.create_task(self._tick())
                tasks.create_task(self._end(following))
                tasks.create_task(checkpoint.run(lambda: self._tracker.saved))
                tasks.create_task(ended.run(lambda: self._tracker.state))
                tasks.create_task(ended.follow_offers(self._adopt, lambda: self.pbx_time))
                tasks.create_task(self._handover.run())
        finally:
            await self._source.close()

    async def flush(self) -> bool:
        """Have everything known written; return False if that took too long."""
        try:
            async with asyncio.timeout(_FLUSH_WITHIN_S):
                for space in (self._live, self._book):
                    if space.writing:
                        await space.written()
        except TimeoutError:
            return False
        return True

    def finish(self) -> None:
        """Stop following the PBX, have everything known written, and end the term."""
        self._ending.set()

    async def _end(self, following: asyncio.Task[None]) -> None:
        await self._ending.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if not await self.flush():  # the next leader reads the PBX anyway
            self._log.warning("flush_timeout", seconds=_FLUSH_WITHIN_S)
        raise TermFinished

    async def _adopt(self, found: Mapping[str, EndedCall]) -> None:
        """Take the calls whose end another monitor saw and this one does not know."""
        ended = table(self.state, "ended", EndedCall)
        told = {id_: call for id_, call in ended.items() if call.outcome != "unknown"}
        new = joined(found, told).keys() - told.keys()
        self._handle(self._tracker.join_ended(found[id_] for id_ in new), "calls found", 0.0)
        await self._live.written()

    def _emit(self, fact: FactT) -> None:
        self._handle(self._tracker.apply(fact), type(fact).__name__, _heard(fact))
        if isinstance(fact, ContactsRead):
            self._book_read = True
            self._book.changed(())
        else:
            self._pbx_clock = (fact.at, uptime())
        if isinstance(fact, HandoverFact):
            self._handover.save(fact)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if (reason := self._rejected.sentence()) != self._store_reason:
                self._store_reason = reason
                self._handle(self._tracker.note_store(reason), "values rejected", 0.0)
            if (now := self.pbx_time) is not None:
                self._handle(self._tracker.tick(now, _MOST_DRAWN), "time passed", 0.0)
                while self._tracker.undrawn:
                    await asyncio.sleep(0)  # events come in between
                    self._handle(self._tracker.draw(_MOST_DRAWN), "statistics drawn", 0.0)

    def _handle(self, edits: tuple[Edit, ...], fact: str, heard: float) -> None:
        live = self._live.changed((edit for edit in edits if edit.topic not in BOOK_TOPICS), heard)
        book = self._book.changed((edit for edit in edits if edit.topic in BOOK_TOPICS), heard)
        for trace in (live, book):
            if trace:
                self._log.debug("fact_received", trace=trace, fact=fact, edits=len(edits))
        self._log_figures()
        if self._tracker.inconsistent_calls:
            self._tracker.inconsistent_calls.clear()
            self._source.request_full_read()

    def _log_figures(self) -> None:
        """Log which of the PBX's own figures have begun to differ, a line a queue, or agree again.

        One caller whom only one side counts makes several figures differ.
        """
        reasons: dict[str, str] = {}
        for news in self._tracker.comparison.news():
            if news.difference:
                known = reasons.get(news.queue)
                reasons[news.queue] = f"{known} {news.sentence}" if known else news.sentence
            else:
                self._log.info("queue_figures_agreement", queue=news.queue, figure=news.figure)
        for queue, reason in reasons.items():
            self._log.warning("queue_figures_difference", queue=queue, reason=reason)


def _heard(fact: Fact | ToldFact) -> float:
    """Return when the fact was heard, in POSIX seconds by our clock.

    For an event: when it came. For an answer: now.
    """
    waited = (
        time.monotonic() - fact.heard
        if isinstance(fact, ParticipantSeen | ParticipantGone)
        else 0.0
    )
    return time.time() - max(0.0, waited)
