"""How long it takes until what failed is tried again."""

from __future__ import annotations

from monitor.shared.backoff import Backoff
from monitor.shared.errors import PbxRefused, PbxUnreachable


def longest(backoff: Backoff, failures: int) -> list[float]:
    """The longest of many pauses after each failure: the pauses are drawn by lot."""
    rounds = []
    for _ in range(300):
        backoff.reset()
        rounds.append([backoff.pause() for _ in range(failures)])
    return [max(pauses) for pauses in zip(*rounds, strict=True)]


def test_the_bound_doubles_with_every_failure_up_to_the_longest() -> None:
    found = longest(Backoff(shortest=1.0, longest=5.0, first=0.25), 6)
    for pause, bound in zip(found, [0.25, 1.0, 2.0, 4.0, 5.0, 5.0], strict=True):
        assert 0.8 * bound < pause <= bound


def test_pauses_differ_so_that_not_all_come_back_at_once() -> None:
    assert len({Backoff().pause() for _ in range(20)}) > 15


def test_after_a_success_the_first_pause_is_short_again() -> None:
    backoff = Backoff(shortest=10.0, longest=1_000.0, first=0.001)
    for _ in range(10):
        backoff.pause()
    backoff.reset()
    assert backoff.pause() <= 0.001


def test_the_pbx_gets_the_time_that_it_asks_for() -> None:
    backoff = Backoff(longest=1.0)
    assert 60.0 <= backoff.pause(PbxUnreachable("429", retry_after=60.0)) <= 61.0
    assert backoff.pause(PbxUnreachable("away")) <= 1.0
    assert backoff.pause(PbxRefused("no", 403)) <= 1.0


def test_years_of_failures_do_not_make_a_number_too_large() -> None:
    backoff = Backoff(longest=30.0)
    assert all(0.0 <= backoff.pause() <= 30.0 for _ in range(2_000))
