"""Test how soon the PBX is asked again."""

from __future__ import annotations

import pytest

from monitor.pbx.adaptive_interval import AdaptiveInterval


def settled(pace: AdaptiveInterval, times: int = 100, took: float = 0.01, *, busy: bool) -> float:
    """The interval after many answers without news."""
    for _ in range(times):
        pace.answered(took, news=False, busy=busy)
    return pace.interval


def test_news_are_followed_by_the_shortest_interval() -> None:
    pace = AdaptiveInterval(0.5, 8.0)
    settled(pace, busy=False)
    pace.answered(0.01, news=True, busy=True)
    assert pace.interval == 0.5


def test_what_does_not_change_is_asked_for_less_and_less() -> None:
    pace = AdaptiveInterval(0.5, 8.0)
    pace.answered(0.01, news=True, busy=True)
    intervals = []
    for _ in range(5):
        pace.answered(0.01, news=False, busy=False)
        intervals.append(pace.interval)
    assert intervals == sorted(set(intervals))
    assert settled(pace, busy=False) == 8.0


def test_while_calls_go_on_it_idles_only_half_way() -> None:
    assert settled(AdaptiveInterval(0.5, 8.0), busy=True) == pytest.approx(2.0)


def test_whoever_is_slow_is_asked_for_half_of_the_time_at_most() -> None:
    pace = AdaptiveInterval(0.5, 8.0)
    pace.answered(3.0, news=True, busy=True)
    assert pace.interval == pace.least == 3.0
    pace.answered(0.01, news=True, busy=True)
    assert pace.interval == 0.5


def test_whoever_asks_for_time_gets_it_and_more_each_time_up_to_the_longest() -> None:
    pace = AdaptiveInterval(0.5, 8.0)
    intervals = []
    for _ in range(6):
        pace.failed()
        intervals.append(pace.least)
    assert intervals == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_after_some_good_answers_the_old_pace_is_back() -> None:
    pace = AdaptiveInterval(0.5, 8.0)
    for _ in range(3):
        pace.failed()
    pace.answered(0.01, news=True, busy=True)
    assert 0.5 < pace.interval < 4.0
    for _ in range(20):
        pace.answered(0.01, news=True, busy=True)
    assert pace.interval == 0.5
    assert pace.least == 0.01


def test_a_longest_below_the_shortest_is_the_shortest() -> None:
    assert settled(AdaptiveInterval(5.0, 2.0), busy=False) == 5.0
