"""Calls as they are planned."""

from __future__ import annotations

import pytest

from monitor.simulator.call_kinds import KINDS
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.notations import HIDDEN
from monitor.simulator.traffic.planner import Planner, busy_hour
from tests.monitor.simulator.traffic.test_generator import day


def test_plans_do_not_depend_on_rate_speed_or_what_was_played() -> None:
    first, second = day(60.0), day(600.0, speed=10.0)
    first.traffic.advance(300.0)
    plans = [first.traffic.plan(index) for index in range(400)]
    assert plans == [second.traffic.plan(index) for index in range(400)]
    assert {plan.kind for plan in plans if plan is not None} == set(KINDS)


def test_a_few_callers_hide_their_number_and_some_have_it_formatted() -> None:
    today = day(limit=150, kinds=("direct",))
    plans = [plan for index in range(1000) if (plan := today.traffic.plan(index)) is not None]
    hidden = [plan for plan in plans if plan.caller in HIDDEN]
    formatted = [plan for plan in plans if plan.caller != plan.outside[0]]
    assert 20 < len(hidden) < 60
    assert {plan.caller for plan in hidden} == set(HIDDEN)
    assert 200 < len(formatted) < 350
    rows: set[str] = set()
    while today.traffic.stats.over < 150:
        today.traffic.advance(1.0)
        rows |= {row.caller for row in today.switchboard.active_calls()}
    assert any(text.endswith(f"({word})") for text in rows for word in HIDDEN)
    assert set(HIDDEN) & {ended.caller for ended in today.switchboard.ended()}


@pytest.mark.parametrize(
    ("extensions", "given", "calls", "talk"),
    [
        (40, None, 6.0, 150.0),
        (2, None, 1.0, 48.0),
        (9000, None, 300.0, 150.0),
        (40, 60.0, 60.0, 18.0),
    ],
)
def test_a_busy_hour_fits_the_company(
    extensions: int, given: float | None, calls: float, talk: float
) -> None:
    assert busy_hour(extensions, given) == pytest.approx((calls, talk))


@pytest.mark.parametrize(
    ("extensions", "given", "calls", "talk"),
    [
        (40, None, 8.0, 92.7),
        (5, None, 1.0, 56.7),
        (9000, None, 300.0, 150.0),
        (300, 600.0, 600.0, 18.0),
    ],
)
def test_a_call_centre_has_more_calls_that_are_shorter(
    extensions: int, given: float | None, calls: float, talk: float
) -> None:
    found = busy_hour(extensions, given, call_centre=True)
    assert found == pytest.approx((calls, talk), abs=0.1)


def test_agents_of_a_call_centre_mostly_answer_when_they_are_first_rung() -> None:
    directory = make_directory(1, 20, 2, contacts=5)
    rounds = [
        sum(plan.rounds for i in range(500) if (plan := planner.plan(i)) is not None)
        for planner in (Planner(directory, 1), Planner(directory, 1, call_centre=True))
    ]
    assert rounds[1] < 0.6 * rounds[0]


def test_talks_are_as_long_as_wanted() -> None:
    planner = Planner(make_directory(1, 20, 2, contacts=5), 1, talk=100.0)
    talks = [plan.talk for i in range(2000) if (plan := planner.plan(i)) is not None]
    assert 90 < sum(talks) / len(talks) < 110
    assert max(talks) <= 500


def test_callers_without_habits_hide_in_one_way_and_show_digits() -> None:
    today = day(kinds=("direct",), without=("formatted_numbers", "hidden_numbers"))
    plans = [plan for index in range(1000) if (plan := today.traffic.plan(index)) is not None]
    assert {plan.caller for plan in plans if plan.caller != plan.outside[0]} == {"anonymous"}
