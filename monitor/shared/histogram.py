"""How often something took how long, by classes. Pure: whoever has a clock tells it the durations.

Counting costs an addition, so that it can stand where every delivery passes; what Prometheus wants is made of it when
it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

FAST: Final = (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds in seconds, for what is over within milliseconds when all is well."""
SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The same for what waits for a PBX or for people."""


class Histogram:
    """Durations in seconds. ``bounds``: the upper ends of the classes, ascending; beyond the last there is one more."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = FAST) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Sum of all durations."""

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, so many times. Below nothing, as clocks of two hosts may have it, is taken for nothing."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.total += seconds * times

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound, as Prometheus writes it, and how many were not above it; the last is all of them."""
        found: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            so_far += count
            found.append((repr(float(bound)), so_far))
        return [*found, ("+Inf", self.count)]
