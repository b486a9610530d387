"""Sums over accounts of calls: what a call counts for, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.shared.entities.topics import Outcome
from monitor.statistics import totals
from monitor.statistics.call_account import CallAccount
from monitor.statistics.day import Day
from monitor.statistics.durations import DurationTally
from monitor.statistics.extension_visits import ExtensionVisit
from monitor.statistics.queue_visits import End, QueueVisit
from monitor.statistics.totals import (
    ExtensionTotals,
    QueueTotals,
    Totals,
    TrafficTotals,
    add_call,
    add_turn,
    add_visits,
)

DAY = Day("2026-03-04", "UTC", 1_000_000, 87_400_000)
AT = 2_000_000
"""A moment of that day."""
CALL = CallAccount(1, AT, "+49", (), "inbound", ended=AT + 90_000)


def visit(end: End, since: int = AT, wait: int = 10_000, queue: str = "800") -> QueueVisit:
    return QueueVisit(queue, since, None if end == "waiting" else since + wait, end)


def visits(*made: QueueVisit, **more: Any) -> QueueTotals:
    """What queue 800 has of a call with these visits."""
    tally = QueueTotals()
    add_visits(tally, "800", replace(CALL, visits=made, **more), DAY, AT + 90_000)
    return tally


@pytest.mark.parametrize("end", ["waiting", "answered", "abandoned", "diverted", "unknown"])
def test_a_visit_counts_once_by_its_end(end: End) -> None:
    tally = visits(visit(end))
    assert tally.offered == 1
    assert {
        "waiting": len(tally.waiting),
        "answered": tally.waits.count,
        "abandoned": tally.abandons.count,
        "diverted": tally.diverted,
        "unknown": tally.unknown,
    } == dict.fromkeys(("waiting", "answered", "abandoned", "diverted", "unknown"), 0) | {end: 1}


def test_who_waits_has_waited_until_now() -> None:
    assert visits(visit("waiting"), ended=None).waiting == [90_000]


def test_a_talk_lasts_until_the_next_queue_or_the_calls_end() -> None:
    answered = visit("answered")
    assert visits(answered).talks == DurationTally(1, 80_000, 80_000)
    again = visit("waiting", AT + 40_000, queue="801")
    assert visits(answered, again, ended=None).talks == DurationTally(1, 30_000, 30_000)


@pytest.mark.parametrize("more", [{"ended": None}, {"seen": False}])
def test_a_talk_that_goes_on_or_whose_end_nobody_saw_is_not_timed(more: dict[str, Any]) -> None:
    tally = visits(visit("answered"), **more)
    assert (tally.waits.count, tally.talks) == (1, DurationTally())


def test_what_began_on_another_day_counts_there() -> None:
    before, after = visit("abandoned", DAY.start - 1), visit("abandoned", DAY.end)
    assert visits(before, after) == QueueTotals()
    assert visits(visit("abandoned", DAY.start)).offered == 1
    tally, turn = ExtensionTotals(), ExtensionVisit("101", DAY.start - 1, False)
    add_turn(tally, "101", replace(CALL, turns=(turn,)), DAY, AT)
    assert tally == ExtensionTotals()
    traffic = TrafficTotals()
    add_call(traffic, replace(CALL, started=DAY.end), DAY)
    assert traffic == TrafficTotals()


def test_a_placed_call_is_offered_to_nobody() -> None:
    tally = ExtensionTotals()
    turn = ExtensionVisit("101", AT, True, answered=AT + 5_000, talked=60_000)
    add_turn(tally, "101", replace(CALL, turns=(turn,)), DAY, AT)
    assert (tally.offered, tally.placed, tally.placed_answered) == (0, 1, 1)
    assert tally.placed_talks == DurationTally(1, 60_000, 60_000)
    add_turn(tally, "101", replace(CALL, turns=(replace(turn, answered=None),)), DAY, AT)
    assert (tally.placed, tally.placed_answered, tally.placed_talks.count) == (2, 1, 1)


def test_a_call_taken_from_a_queue_counts_as_the_queues() -> None:
    tally = ExtensionTotals()
    turn = ExtensionVisit("101", AT, False, "800", answered=AT + 5_000, talking=AT + 5_000)
    add_turn(tally, "101", replace(CALL, turns=(turn,), ended=None), DAY, AT + 9_000)
    assert (tally.offered, tally.queue_offered, tally.queue_answered) == (1, 1, 1)
    assert (tally.waits.lasting(0).total, tally.talks.count) == (5_000, 0)


@pytest.mark.parametrize(
    ("outcome", "answered", "counted"),
    [
        ("missed", None, "missed"),
        ("abandoned", None, "abandoned"),
        ("unanswered", None, "unanswered"),
        ("unknown", None, "unknown"),
        ("answered", None, "unknown"),
        ("abandoned", AT + 1, "answered"),
        (None, None, None),
    ],
)
def test_a_call_counts_once_by_its_outcome(
    outcome: Outcome | None, answered: int | None, counted: str | None
) -> None:
    tally = TrafficTotals()
    add_call(tally, replace(CALL, outcome=outcome, answered=answered), DAY)
    expected = TrafficTotals(calls=1)
    if counted is not None:
        setattr(expected, counted, 1)
    assert replace(tally, talks=DurationTally()) == expected


ENDS: st.SearchStrategy[End] = st.sampled_from(["answered", "abandoned", "diverted", "unknown"])


@given(st.lists(st.lists(st.tuples(st.sampled_from(("800", "801")), ENDS), max_size=3), max_size=6))
def test_calls_counted_for_good_are_the_sum_of_their_parts(
    calls: list[list[tuple[str, End]]],
) -> None:
    totals = Totals()
    for made in calls:
        account = replace(
            CALL,
            visits=tuple(
                visit(end, AT + at * 20_000, queue=queue) for at, (queue, end) in enumerate(made)
            ),
            turns=(ExtensionVisit("101", AT, False, ceased=AT + 3_000),),
        )
        totals.count(account, DAY)
    for queue in ("800", "801"):
        tally = totals.queues.get(queue, QueueTotals())
        came = [end for made in calls for num, end in made if num == queue]
        assert tally.offered == len(came)
        assert tally.waits.count == came.count("answered")
        assert (
            tally.diverted + tally.unknown + tally.abandons.count == len(came) - tally.waits.count
        )
    assert totals.extensions.get("101", ExtensionTotals()).offered == len(calls)
    assert totals.traffic.get("inbound", TrafficTotals()).calls == len(calls)


def test_a_copy_is_apart() -> None:
    """What goes on is added to copies of what is counted for good, at every look."""
    totals = Totals()
    turns = (ExtensionVisit("101", AT, False), ExtensionVisit("102", AT, True))
    account = replace(
        CALL, visits=(visit("answered"), visit("waiting")), turns=turns, answered=AT + 1
    )
    totals.count(account, DAY)
    kept = (
        totals.queues["800"].copy(),
        totals.extensions["101"].copy(),
        totals.traffic["inbound"].copy(),
    )
    copies = (
        totals.queues["800"].copy(),
        totals.extensions["101"].copy(),
        totals.traffic["inbound"].copy(),
    )
    assert copies == kept
    add_visits(copies[0], "800", account, DAY, AT)
    add_turn(copies[1], "101", account, DAY, AT)
    add_call(copies[2], account, DAY)
    assert (totals.queues["800"], totals.extensions["101"], totals.traffic["inbound"]) == kept


def test_so_many_numbers_are_counted_in_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_NUMBERS", 2)
    counted = Totals()
    for _ in range(2):
        for num in ("1", "2", "3"):
            turns = (ExtensionVisit(num, AT, True),)
            visited = (visit("abandoned", queue=num),)
            counted.count(replace(CALL, turns=turns, visits=visited), DAY)
    assert {num: tally.placed for num, tally in counted.extensions.items()} == {"1": 2, "2": 2}
    assert {num: tally.offered for num, tally in counted.queues.items()} == {"1": 2, "2": 2}
    assert counted.traffic["inbound"].calls == 6
