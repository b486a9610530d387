"""Pauses between attempts: random, below a bound that doubles."""

from __future__ import annotations

from monitor.shared.backoff import Backoff, bound
from monitor.shared.errors import PbxRefused, PbxUnreachable


def test_the_bound_doubles_with_every_failure_up_to_the_longest() -> None:
    assert [bound(0.5, failures, 3.0) for failures in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert bound(0.5, 100_000, 30.0) == 30.0


def test_pauses_fill_the_time_below_the_bound_of_their_failure() -> None:
    loops = [Backoff(shortest=0.2, longest=1.0) for _ in range(500)]
    for failures, limit in enumerate((0.1, 0.2, 0.4, 0.8, 1.0, 1.0), 1):
        pauses = [loop.pause() for loop in loops]
        assert 0.9 * limit < max(pauses) <= limit
        assert 0.0 <= min(pauses) < 0.1 * limit
        assert {loop.failures for loop in loops} == {failures}
    for loop in loops:
        loop.reset()
    assert max(loop.pause() for loop in loops) <= 0.1


def test_it_waits_at_least_as_long_as_the_pbx_asked() -> None:
    assert 7.0 <= Backoff().pause(PbxUnreachable("busy", retry_after=7.0)) <= 7.1


def test_the_pbx_gets_the_time_that_it_asks_for_once() -> None:
    backoff = Backoff(longest=1.0)
    assert 60.0 <= backoff.pause(PbxUnreachable("429", retry_after=60.0)) <= 61.0
    assert backoff.pause(PbxUnreachable("away")) <= 1.0
    assert backoff.pause(PbxRefused("no", 403)) <= 1.0


def test_pauses_differ_so_that_not_all_come_back_at_once() -> None:
    assert len({Backoff().pause() for _ in range(20)}) > 15


def test_after_a_success_the_first_pause_is_short_again() -> None:
    backoff = Backoff(shortest=10.0, longest=1_000.0, first=0.001)
    for _ in range(10):
        backoff.pause()
    backoff.reset()
    assert backoff.pause() <= 0.001


def test_years_of_failures_do_not_make_a_number_too_large() -> None:
    backoff = Backoff(longest=30.0)
    assert all(0.0 <= backoff.pause() <= 30.0 for _ in range(2_000))
