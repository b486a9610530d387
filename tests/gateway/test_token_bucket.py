"""How often something may happen."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from gateway.token_bucket import AT_ONCE, LogBudget, TokenBucket


def test_so_much_in_one_go_and_then_as_it_flows_in() -> None:
    bucket = TokenBucket(3, 2.0, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(100.25)
    assert bucket.take(100.5), "half a second for each"
    assert not bucket.take(100.5)


def test_what_is_refused_is_not_counted() -> None:
    bucket = TokenBucket(3, 1.0, now=0.0)
    assert not any(bucket.take(0.0, 3.5) for _ in range(10))
    assert bucket.take(0.0, 3.0)


def test_who_waits_long_has_no_more_than_one_go() -> None:
    bucket = TokenBucket(3, 1.0, now=0.0)
    assert [bucket.take(1e9) for _ in range(4)] == [True, True, True, False]


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 4.0)), max_size=50),
    st.integers(0, 5),
    st.floats(0.0, 5.0),
)
def test_in_no_time_is_more_taken_than_one_go_and_what_flows_in(
    steps: list[tuple[float, float]], at_once: int, per_second: float
) -> None:
    bucket = TokenBucket(at_once, per_second, now=0.0)
    times = list(accumulate(wait for wait, _ in steps))
    taken = [
        (now, much) for now, (_, much) in zip(times, steps, strict=True) if bucket.take(now, much)
    ]
    for first, (since, _) in enumerate(taken):
        for now, _ in taken[first:]:
            total = sum(much for at, much in taken[first:] if at <= now)
            assert total <= at_once + (now - since) * per_second + 1e-6


def test_a_line_says_how_many_were_left_out_before_it() -> None:
    lines = LogBudget(0.0)
    assert [lines.take(0.0) for _ in range(AT_ONCE)] == [0] * AT_ONCE
    assert [lines.take(0.5) for _ in range(7)] == [None] * 7
    assert lines.take(1.0) == 7
    assert lines.take(1.0) is None
    assert lines.take(2.0) == 1
