"""Calls as they are planned."""

from __future__ import annotations

from monitor.simulator.traffic.planner import ANONYMOUS, KINDS, MIX, mix_with
from tests.monitor.simulator.traffic.test_generator import day


def test_plans_do_not_depend_on_rate_speed_or_what_was_played() -> None:
    first, second = day(60.0), day(600.0, speed=10.0)
    first.traffic.advance(300.0)
    plans = [first.traffic.plan(index) for index in range(200)]
    assert plans == [second.traffic.plan(index) for index in range(200)]
    assert {plan.kind for plan in plans if plan is not None} == set(KINDS)


def test_a_few_callers_from_outside_hide_their_number() -> None:
    today = day(limit=150, kinds=("direct",))
    plans = [today.traffic.plan(index) for index in range(1000)]
    assert 20 < sum(plan is not None and plan.caller == ANONYMOUS for plan in plans) < 60
    rows: set[str] = set()
    while today.traffic.stats.over < 150:
        today.traffic.advance(1.0)
        rows |= {row.caller for row in today.switchboard.active_calls()}
    assert any(text.endswith(f"({ANONYMOUS})") for text in rows)
    assert ANONYMOUS in {ended.caller for ended in today.switchboard.ended()}


def test_calls_to_route_points_come_only_where_they_are_asked_for() -> None:
    assert mix_with(0) == MIX
    assert "app" not in MIX
    assert mix_with(25)["app"] == sum(MIX.values()) / 3
