"""Test how close together reads of ActiveCalls may be."""

from __future__ import annotations

import pytest

from monitor.pbx.xapi.read_budget import LEAST_GAP_S, ReadBudget


def after(cost: float, used: float, reads: int = 200) -> ReadBudget:
    """The budget after many reads, one a second, in a process that uses so much of a core."""
    budget = ReadBudget()
    for second in range(reads):
        budget.spent(cost, float(second), used * second)
    return budget


def test_reads_that_cost_nothing_are_as_close_as_reads_ever_are() -> None:
    assert ReadBudget().gap == LEAST_GAP_S
    assert after(0.0001, 0.01).gap == LEAST_GAP_S


@pytest.mark.parametrize("used", [0.3, 0.6, 0.9])
def test_dear_reads_take_less_than_their_part_of_what_the_process_uses(used: float) -> None:
    cost = 0.008
    share = cost / after(cost, used).gap / used
    assert 0.05 < share < 0.15


def test_a_process_with_little_else_to_do_reads_all_the_same() -> None:
    assert after(0.004, 0.0).gap == pytest.approx(0.267, rel=0.01)


def test_however_dear_a_read_is_the_next_is_not_far() -> None:
    assert after(1.0, 0.1).gap == 0.5


def test_one_dear_read_does_not_change_much() -> None:
    budget = after(0.001, 0.5)
    before = budget.gap
    budget.spent(0.02, 200.0, 100.0)
    assert budget.gap < max(before, LEAST_GAP_S) * 4
    for second in range(201, 300):
        budget.spent(0.001, float(second), 0.5 * second)
    assert budget.gap == pytest.approx(before, rel=0.1)


def test_a_clock_that_stands_still_is_no_division_by_nothing() -> None:
    budget = ReadBudget()
    for _ in range(3):
        budget.spent(0.01, 5.0, 1.0)
    assert budget.gap > 0
