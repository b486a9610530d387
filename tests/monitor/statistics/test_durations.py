"""Test sums of durations, and thresholds that are applied to them afterwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.timestamps import from_unix
from monitor.statistics.durations import DurationTally, Spread, unix_ms

_durations = st.lists(st.integers(0, 90_000) | st.sampled_from([0, 5_000, 20_000, 20_001, 19_999]))


@given(_durations, st.integers(0, 100))
def test_thresholds_are_exact_to_the_millisecond(durations: list[int], seconds: int) -> None:
    spread = Spread()
    for duration in durations:
        spread.add(duration)
    long = [duration for duration in durations if duration >= seconds * 1000]
    assert spread.within(seconds) == sum(duration <= seconds * 1000 for duration in durations)
    assert spread.below(seconds) == len(durations) - len(long)
    assert spread.lasting(seconds) == DurationTally(len(long), sum(long), max(long, default=0))
    assert spread.count == len(durations)


@given(_durations, st.randoms())
def test_the_order_does_not_matter(durations: list[int], random: st.DataObject) -> None:
    one, other, sums = Spread(), Spread(), DurationTally()
    for duration in durations:
        one.add(duration)
        sums.add(duration)
    random.shuffle(durations)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for duration in durations:
        other.add(duration)
    assert one == other
    assert one.lasting(0) == sums


def test_what_nobody_timed_counts_but_is_in_no_sum() -> None:
    spread = Spread()
    spread.add(None)
    assert (spread.count, spread.untimed, spread.within(1_000), spread.lasting(0)) == (
        1,
        1,
        0,
        DurationTally(),
    )


def test_a_copy_is_apart() -> None:
    spread = Spread()
    spread.copy().add(5)
    assert spread == Spread()


@given(st.integers(0, 4_000_000_000_000))
def test_instants_and_milliseconds_agree(ms: int) -> None:
    assert unix_ms(from_unix(ms / 1000)) == ms
