"""A clock at a PBX that jumps: what is believed, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.statistics.jump_tolerant_clock import JumpTolerantClock

NOON = 1_772_625_600.0
YEAR = 365 * 86_400.0


def told(*times: float) -> list[float]:
    """What counts after each."""
    clock = JumpTolerantClock()
    return [clock.told(at) for at in times]


def test_the_first_time_told_counts() -> None:
    assert told(NOON) == [NOON]


def test_a_fact_that_was_asked_for_a_little_earlier_turns_no_time_back() -> None:
    assert told(NOON, NOON - 60, NOON - 59.9, NOON + 1) == [NOON, NOON, NOON, NOON + 1]


@pytest.mark.parametrize("by", [-3_600.0, -61.0, 61.0, 3_600.0])
def test_up_to_an_hour_is_followed_at_once(by: float) -> None:
    assert told(NOON, NOON + by) == [NOON, NOON + by]


@pytest.mark.parametrize("by", [-YEAR, -3_700.0, 3_601.0, YEAR])
def test_a_leap_counts_once_it_has_lasted_and_until_then_time_stands_still(by: float) -> None:
    there = NOON + by
    assert told(NOON, there, there + 30, there + 59.9, there + 60, there + 61) == [
        NOON,
        NOON,
        NOON,
        NOON,
        there + 60,
        there + 61,
    ]


@pytest.mark.parametrize("by", [-YEAR, YEAR])
def test_a_leap_that_is_put_right_within_the_minute_never_was(by: float) -> None:
    there = NOON + by
    times = (NOON, there, there + 59, NOON + 59, there + 90, there + 91)
    assert told(*times) == [NOON, NOON, NOON, NOON + 59, NOON + 59, NOON + 59]


def test_a_clock_that_leaps_on_has_to_last_where_it_is_last() -> None:
    assert told(NOON, NOON + YEAR, NOON + 2 * YEAR, NOON + 2 * YEAR + 59)[-1] == NOON
    assert told(NOON, NOON + YEAR, NOON + 2 * YEAR, NOON + 2 * YEAR + 60)[-1] > NOON + YEAR


@given(st.lists(st.floats(1.0, 4e9), min_size=1, max_size=30))
def test_what_counts_is_always_a_time_that_was_told(times: list[float]) -> None:
    assert set(told(*times)) <= set(times)
