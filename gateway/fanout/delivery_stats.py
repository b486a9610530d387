"""Counts what a hub sends, and how old it is. A frame that many get is counted once for many of them."""

from __future__ import annotations

from collections.abc import Callable

from gateway.counters import FanoutCounters
from gateway.fanout.filtered_view import History
from gateway.fanout.view_subscribers import ViewSubscribers
from monitor.shared.changes import Position


class DeliveryStats:
    """Of one hub. ``clock``: POSIX seconds."""

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self.measures = FanoutCounters()
        self._history = history
        self._clock = clock
        self._last: tuple[ViewSubscribers, Position, Position | None, bool, float] | None = None
        """A frame's view, positions, whether it merges, its age: the same for many portions of subscribers."""

    def written(self, track: ViewSubscribers, told: Position, length: int, times: int) -> None:
        """The hub has written the change from ``told`` to now, so many bytes, to so many."""
        now, last = self._history.position, self._last
        if last is None or last[0] is not track or last[1] is not told or last[2] is not now:
            merged, heard = track.changes_since(told.seq) > 1, self._oldest(track.unchanged_range(told.seq))
            last = self._last = (track, told, now, merged, heard)
        _, _, _, merged, heard = last
        self.measures.wrote(length, times, merged=merged, seconds=self._clock() - heard if heard else None)

    def taken(
        self, track: ViewSubscribers, length: int, told: Position, stretch: tuple[int, int], to: Position
    ) -> None:
        """A client takes the change from ``told``, which is no different up to ``stretch``, to ``to``."""
        merged = to.seq - stretch[1] > 1 and track.changes_since(told.seq) > 1
        heard = self._oldest(stretch)
        self.measures.took(length, merged=merged, seconds=self._clock() - heard if heard else None)

    def why_none(self, seq: int) -> str:
        """Why there is no change from there, but a snapshot: a word of the measures."""
        return "log" if self._history.since(seq, seq) is None else "size"

    def _oldest(self, stretch: tuple[int, int] | None) -> float:
        """When the monitor heard of the first change after these positions; 0 if that is not known."""
        changes = None if stretch is None else self._history.since(stretch[1], stretch[1] + 1)
        return changes[0].heard if changes else 0.0
