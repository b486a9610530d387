"""Count durations by classes, for Prometheus. Pure: the caller measures the durations.

Counting costs one addition, so every delivery can be counted. The form that Prometheus wants is
made only when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

FAST: Final = (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper ends in seconds, for work that normally takes milliseconds."""
SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends in seconds, for work that waits for a PBX or for people."""


class Histogram:
    """Count durations in seconds.

    ``bounds``: the upper ends of the classes, ascending. One more class holds everything above the
    last.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = FAST) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Sum of all durations."""

    @property
    def count(self) -> int:
        """Return the number of durations."""
        return sum(self.counts)

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration ``times`` times.

        A negative one counts as 0: the clocks of two hosts may differ.
        """
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.total += seconds * times

    def buckets(self) -> list[tuple[str, float]]:
        """Return, for each class, its upper end and the number of durations not above it.

        The upper end is written as Prometheus writes it. The last entry counts all durations.
        """
        found: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            so_far += count
            found.append((repr(float(bound)), so_far))
        return [*found, ("+Inf", self.count)]


def slow_by_name() -> defaultdict[str, Histogram]:
    """Return histograms of slow work by name. A name that is new gets one when it is counted."""
    return defaultdict(lambda: Histogram(SLOW))
