"""Test durations counted by buckets."""

from __future__ import annotations

import pytest

from monitor.shared.metrics.histogram import Histogram


def test_a_histogram_adds_up() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds, times in ((0.05, 1), (0.1, 3), (0.5, 1), (7.0, 2), (-1.0, 1)):
        histogram.add(seconds, times)
    assert histogram.buckets() == [("0.1", 5), ("1.0", 6), ("+Inf", 8)]
    assert histogram.count == 8
    assert histogram.total == pytest.approx(0.05 + 0.3 + 0.5 + 14)
