"""Count what a hub sends, and measure how old it is when it is sent.

A frame that many subscribers get is counted once for many of them.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.counters import FanoutCounters
from gateway.fanout.filtered_view import History
from gateway.fanout.view_subscribers import ViewSubscribers
from monitor.shared.changes import Position


class DeliveryStats:
    """Count the deliveries of one hub. ``clock``: POSIX seconds."""

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self.counters = FanoutCounters()
        self._history = history
        self._clock = clock
        self._last: tuple[ViewSubscribers, Position, Position | None, bool, float] | None = None
        """View, positions, merge flag and age of the last frame: the same for many batches of
        subscribers."""

    def written(self, track: ViewSubscribers, told: Position, length: int, times: int) -> None:
        """Count a change from position ``told`` to now that the hub wrote itself.

        ``length``: the frame's bytes. ``times``: how many subscribers it was written to.
        """
        now, last = self._history.position, self._last
        if last is None or last[0] is not track or last[1] is not told or last[2] is not now:
            merged, heard = (
                track.changes_since(told.seq) > 1,
                self._oldest(track.unchanged_range(told.seq)),
            )
            last = self._last = (track, told, now, merged, heard)
        _, _, _, merged, heard = last
        self.counters.wrote(
            length, times, merged=merged, seconds=self._clock() - heard if heard else None
        )

    def taken(
        self,
        track: ViewSubscribers,
        length: int,
        told: Position,
        stretch: tuple[int, int],
        to: Position,
    ) -> None:
        """Count a change that a client's own task took: from position ``told`` to position ``to``.

        ``length``: the frame's bytes. ``stretch``: the positions around ``told`` at which the
        view is the same.
        """
        merged = to.seq - stretch[1] > 1 and track.changes_since(told.seq) > 1
        heard = self._oldest(stretch)
        self.counters.took(length, merged=merged, seconds=self._clock() - heard if heard else None)

    def why_none(self, seq: int) -> str:
        """Return why a snapshot is due instead of a change from ``seq``: ``log`` or ``size``.

        These are words of :class:`gateway.counters.FanoutCounters`.
        """
        return "log" if self._history.since(seq, seq) is None else "size"

    def _oldest(self, stretch: tuple[int, int] | None) -> float:
        """Return when the monitor heard of the first change after ``stretch``; 0 if not known."""
        changes = None if stretch is None else self._history.since(stretch[1], stretch[1] + 1)
        return changes[0].heard if changes else 0.0
