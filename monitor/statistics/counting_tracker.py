"""Wrap a tracker and count the day's statistics from the calls that it shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from monitor.pbx.facts import ContactsRead, Fact, HandoverFact, QueueFiguresRead
from monitor.pbx.webapi.facts import ToldFact
from monitor.shared.changes import Edit
from monitor.shared.entities.statistics import QUEUE_STATS, QueueStats
from monitor.shared.entities.topics import SYSTEM_ID, EndedCall, Queue, State, System, table
from monitor.statistics.checkpoint_format import SavedStatistics
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.figures_comparison import FiguresComparison
from monitor.statistics.jump_tolerant_clock import JumpTolerantClock

FactT_contra = TypeVar("FactT_contra", bound=Fact | ToldFact, contravariant=True)


class TrackerLike(Protocol[FactT_contra]):
    """Describe what :class:`CountingTracker` needs of a tracker: facts in, edits out.

    See :mod:`monitor.tracking.tracker`.
    """

    @property
    def state(self) -> State:
        """Return the live topics."""
        ...

    @property
    def book(self) -> State:
        """Return the address book."""
        ...

    @property
    def ready(self) -> bool:
        """Return whether ``state`` is complete."""
        ...

    @property
    def inconsistent_calls(self) -> set[int]:
        """Return the calls on which the sources contradict each other.

        The program that has the participants read again must empty the set.
        """
        ...

    def remember(self, state: State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """Take over what an earlier monitor stored; call it before the first fact."""
        ...

    def apply(self, fact: FactT_contra) -> tuple[Edit, ...]:
        """Apply a fact and return what it changed."""
        ...

    def tick(self, at: float) -> tuple[Edit, ...]:
        """Advance the time and return what that changed. ``at``: PBX clock, POSIX seconds."""
        ...

    def join_ended(self, found: Iterable[EndedCall]) -> tuple[Edit, ...]:
        """Put in calls that an earlier monitor saw end, and return what that changed."""
        ...

    def note_store(self, reason: str) -> tuple[Edit, ...]:
        """Set what is wrong with the store, in words, and return what that changed."""
        ...


class CountingTracker(Generic[FactT_contra]):
    """Hold a tracker and its statistics; count nothing before the tracker has a full state.

    The statistics follow with each :meth:`tick`, so that a busy second changes each of them once.
    """

    def __init__(self, tracker: TrackerLike[FactT_contra], statistics: Statistics) -> None:
        self._tracker = tracker
        self._statistics = statistics
        self._counts = False
        self._clock = JumpTolerantClock()
        self.comparison = FiguresComparison()
        """Comparison of what is counted with the PBX's own figures of its queues."""

    @property
    def state(self) -> State:
        """Return the live topics, with the statistics."""
        return {**self._tracker.state, **self._statistics.figures}

    @property
    def book(self) -> State:
        """Return the tracker's address book."""
        return self._tracker.book

    @property
    def ready(self) -> bool:
        """Return whether the tracker is ready."""
        return self._tracker.ready

    @property
    def inconsistent_calls(self) -> set[int]:
        """Return the tracker's inconsistent calls."""
        return self._tracker.inconsistent_calls

    @property
    def saved(self) -> SavedStatistics | None:
        """Return what is counted; None before counting has begun."""
        return self._statistics.saved if self._counts else None

    def remember(self, state: State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """Take over what an earlier monitor stored; call it before the first fact."""
        self._tracker.remember(state, facts)

    def apply(self, fact: FactT_contra) -> tuple[Edit, ...]:
        """Apply a fact and return what it changed.

        Changes of the statistics are not in it, except for their first drawing.
        """
        edits = self._tracker.apply(fact)
        if not isinstance(fact, ContactsRead):
            if not self._counts:  # the first times are our own clock's, which may be wrong
                self._clock = JumpTolerantClock()
            self._clock.told(fact.at)
        if isinstance(fact, QueueFiguresRead):
            self.comparison.told(fact.figures, self._clock.at)
            self._compare()
        if self._counts:
            self._statistics.take(edits, self._clock.at)
        elif self._tracker.ready:
            self._counts = True
            edits += self._statistics.reconcile(self._tracker.state, self._clock.at)
        return edits

    @property
    def undrawn(self) -> bool:
        """Return whether :meth:`draw` has anything left of the last tick."""
        return self._statistics.undrawn

    def draw(self, most: int | None = None) -> tuple[Edit, ...]:
        """Draw so many of the statistics that wait for it, and return what changed of them."""
        return self._statistics.draw(most)

    def tick(self, at: float, most: int | None = None) -> tuple[Edit, ...]:
        """Advance the time; return what that changed, with all changes of the statistics.

        ``at``: PBX clock, POSIX seconds. ``most``: statistics that are drawn now; the rest wait for
        :meth:`draw`.
        """
        now = self._clock.told(at)
        edits = self._tracker.tick(at)
        if not self._counts:
            return edits
        self._statistics.take(edits, now)
        edits += self._statistics.tick(now, most)
        self._compare()
        return edits

    def join_ended(self, found: Iterable[EndedCall]) -> tuple[Edit, ...]:
        """Put in and count calls that an earlier monitor saw end; return what that changed.

        Changes of the statistics are not in it.
        """
        edits = self._tracker.join_ended(found)
        if self._counts:
            self._statistics.take(edits, self._clock.at)
        return edits

    def note_store(self, reason: str) -> tuple[Edit, ...]:
        """Set what is wrong with the store, in words, and return what that changed."""
        return self._tracker.note_store(reason)

    def _compare(self) -> None:
        state = self._tracker.state
        system = table(state, "system", System).get(SYSTEM_ID)
        self.comparison.look(
            table(state, "queues", Queue),
            table(self._statistics.figures, QUEUE_STATS, QueueStats),
            self._clock.at,
            connected=system is not None and system.connection == "connected",
        )
