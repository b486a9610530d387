"""Play a little of ``make soak``: random faults by a seed, and the truth held after each."""

from __future__ import annotations

import pytest

from tests.soak.day import Plan, run
from tests.soak.faults import FAULTS


@pytest.mark.timeout(300)
async def test_whatever_happens_at_random_everybody_holds_the_truth_after() -> None:
    plan = Plan(
        minutes=0.1, subscribers=60, seed=3, rate=600.0, extensions=60, faults=True, between=3.0
    )
    day = await run(plan)
    assert day.rounds
    assert {each.happened for each in day.rounds} <= {fault.name for fault in FAULTS}
    assert day.calls > 20
    assert day.came >= plan.subscribers
