"""A tracker that counts as well: what it shows of calls makes the figures of the day, entities like others. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from monitor.pbx.documented_api.facts import ToldFact
from monitor.pbx.facts import ContactsRead, Fact, HandoverFact
from monitor.shared.changes import Edit
from monitor.shared.entities.topics import State
from monitor.statistics.checkpoint_format import SavedStatistics
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.jump_tolerant_clock import JumpTolerantClock

FactT_contra = TypeVar("FactT_contra", bound=Fact | ToldFact, contravariant=True)


class TrackerLike(Protocol[FactT_contra]):
    """Facts in, edits out; see :mod:`monitor.tracking.tracker`."""

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
    def inconsistent_calls(self) -> set[int]:
        """Calls of which the sources contradict each other; emptied by whoever has the participants read again."""
        ...

    def remember(self, state: State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """Take over what is stored of calls, and ``facts`` that held, before the first fact."""
        ...

    def apply(self, fact: FactT_contra) -> tuple[Edit, ...]:
        """What ``fact`` changed."""
        ...

    def tick(self, at: float) -> tuple[Edit, ...]:
        """What the passing of time changed. ``at``: POSIX seconds on the PBX's clock."""
        ...


class CountingTracker(Generic[FactT_contra]):
    """A tracker with statistics beside it. Nothing is counted before the tracker has the whole state.

    The figures follow with each :meth:`tick`, so that a busy second is one change of each of them.
    """

    def __init__(self, tracker: TrackerLike[FactT_contra], statistics: Statistics) -> None:
        self._tracker = tracker
        self._statistics = statistics
        self._counts = False
        self._clock = JumpTolerantClock()

    @property
    def state(self) -> State:
        """The live topics, figures among them."""
        return {**self._tracker.state, **self._statistics.figures}

    @property
    def book(self) -> State:
        """The tracker's."""
        return self._tracker.book

    @property
    def ready(self) -> bool:
        """The tracker's."""
        return self._tracker.ready

    @property
    def inconsistent_calls(self) -> set[int]:
        """The tracker's."""
        return self._tracker.inconsistent_calls

    @property
    def saved(self) -> SavedStatistics | None:
        """What is counted; None before anything is."""
        return self._statistics.saved if self._counts else None

    def remember(self, state: State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """Take over what is stored of calls, and ``facts`` that held, before the first fact."""
        self._tracker.remember(state, facts)

    def apply(self, fact: FactT_contra) -> tuple[Edit, ...]:
        """What ``fact`` changed; of the figures only the first drawing."""
        edits = self._tracker.apply(fact)
        if not isinstance(fact, ContactsRead):
            self._clock.told(fact.at)
        if self._counts:
            self._statistics.take(edits, self._clock.at)
        elif self._tracker.ready:
            self._counts = True
            edits += self._statistics.reconcile(self._tracker.state, self._clock.at)
        return edits

    def tick(self, at: float) -> tuple[Edit, ...]:
        """What the passing of time changed, and what became of the figures since the last time."""
        now = self._clock.told(at)
        edits = self._tracker.tick(at)
        if not self._counts:
            return edits
        self._statistics.take(edits, now)
        return edits + self._statistics.tick(now)
