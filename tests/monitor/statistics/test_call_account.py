"""Which call an account is of, and what becomes of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.statistics.call_account import (
    is_same,
    is_same_life,
    observed,
    of_end_alone,
    opened,
    talk_time,
    vanished,
)
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import NOON, Line

MS = int(NOON * 1000)


def call(line: Line, *, shifted: float = 0.0) -> topics.Call:
    """The call as it is, told to have begun so many seconds later."""
    return replace(line.call(), started_at=from_unix(line.started + shifted))


HERE = opened(call(Line(7, "+491", True, NOON)), MS)


@pytest.mark.parametrize("known_by", ["participant", "caller"])
def test_a_call_is_known_again_though_it_is_told_to_have_begun_at_another_time(
    pbx: Counting, known_by: str
) -> None:
    pbx.scene.at += 100
    pbx.tell(*pbx.scene.arrive(1))
    if known_by == "participant":
        pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(30)
    pbx.scene.lines[1].started += 30 if known_by == "participant" else -60
    pbx.scene.state["calls"]["1"] = pbx.scene.lines[1].call()
    pbx.restart()
    assert (pbx.pbx.calls, pbx.pbx.inbound.pending) == (1, 1)


def test_a_call_to_the_outside_is_one_also_once_its_trunk_has_left_it(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.dial(1, "101", outside=True))
    pbx.scene.lines[1].outside = False
    pbx.tell(*pbx.scene.silence(1, "none"))
    assert (pbx.pbx.outbound.calls, pbx.pbx.internal.calls) == (1, 0)


def test_an_id_given_to_another_call_is_another_call(pbx: Counting) -> None:
    for _ in range(3):
        pbx.wait_in_vain(1, 30)
        pbx.pass_time(40)
    assert (pbx.pbx.calls, pbx.queue().abandoned) == (3, 3)
    pbx.tell(*pbx.scene.arrive(1))
    pbx.restart()
    pbx.scene.lines.clear()
    pbx.scene.at += 3600
    pbx.scene.state["calls"].clear()
    again = pbx.scene.arrive(1)
    assert isinstance(again[0].after, topics.Call)
    pbx.scene.state["calls"]["1"] = replace(again[0].after, owner=None)
    pbx.restart()
    assert (pbx.pbx.calls, pbx.pbx.inbound.unknown, pbx.pbx.inbound.pending) == (5, 1, 1)


def test_an_answer_told_more_exactly_later_is_put_right(pbx: Counting) -> None:
    """A new tracker finds a call answered, and only then reads since when."""
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(10)
    began = pbx.scene.at
    pbx.scene.at += 7
    pbx.tell(*pbx.scene.answer(1, "101"))
    assert pbx.queue().waits.total == 17.0
    pbx.scene.lines[1].answered = began
    pbx.tell(*pbx.scene.silence(1, "none"))
    pbx.pass_time(3)
    pbx.tell(*pbx.scene.end(1))
    assert pbx.queue().waits.total == pbx.ext().waits.total == 10.0
    assert pbx.ext().talks.total == pbx.pbx.inbound.talks.total == 10.0


@pytest.mark.parametrize(
    ("seconds", "caller", "same"),
    [
        (9.9, "", True),
        (-9.9, "+492", True),
        (10.1, "", False),
        (10.1, "+492", False),
        (3_600.0, "+491", True),
        (-3_600.0, "", True),
        (-3_600.0, "+492", False),
    ],
)
def test_a_call_of_the_same_id_is_the_same_by_its_time_or_its_caller(
    seconds: float, caller: str, same: bool
) -> None:
    found = call(Line(7, caller, True, NOON), shifted=seconds)
    assert is_same(HERE, found) is same


def test_an_internal_call_that_begins_much_later_is_another_though_its_caller_is_the_same() -> None:
    line = Line(7, "101", False, NOON)
    account = opened(call(line), MS)
    assert account.kind == "internal"
    assert not is_same(account, call(line, shifted=60))
    line.legs["101"] = ("Dialing", NOON)
    account = opened(call(line), MS)
    assert account.caller == "101"
    assert is_same(account, call(line, shifted=60)), "its phone's participant is the same"


@pytest.mark.parametrize(
    ("started", "ended", "first", "last", "same"),
    [
        (0, 50_000, 0, 10, True),
        (20_000, 50_000, 10_000, 40_000, True),
        (20_000, 50_000, 30_000, 40_000, True),
        (20_000, 50_000, 30_001, 40_000, False),
        (20_000, 30_000, 30_000, 40_000, False),
        (40_000, None, 30_000, 40_000, False),
        (20_000, None, 30_000, 40_000, True),
    ],
)
def test_two_lives_of_an_id_are_one_if_they_overlap_and_begin_almost_together(
    started: int, ended: int | None, first: int, last: int, same: bool
) -> None:
    assert is_same_life(started, ended, first, last) is same


def test_a_call_that_is_gone_without_a_word_was_answered_if_it_had_been() -> None:
    waiting = Line(7, "+491", True, NOON, queue="800", queued=NOON + 5)
    account = vanished(opened(call(waiting), MS), MS + 60_000)
    assert (account.outcome, account.seen, account.ended) == ("unknown", False, MS + 60_000)
    assert account.visits[0].end == "unknown"
    talking = Line(7, "+491", True, NOON, answered=NOON + 8)
    assert vanished(opened(call(talking), MS), MS + 60_000).outcome == "answered"


def test_of_an_end_alone_it_is_known_where_the_call_was_and_not_for_how_long() -> None:
    line = Line(7, "+491", True, NOON, queues={"800"}, seen={"101"}, answered=NOON + 8, rang="101")
    account = of_end_alone(line.ended(NOON + 20, "answered"))
    assert (account.started, account.answered, account.ended) == (MS, MS + 8_000, MS + 20_000)
    assert [(visit.queue, visit.end, visit.wait) for visit in account.visits] == [
        ("800", "answered", None)
    ]
    assert [(turn.num, turn.wait) for turn in account.turns] == [("101", None)]
    unseen = of_end_alone(line.ended(NOON + 20, "unknown"))
    assert not unseen.seen


def test_a_call_that_was_outbound_stays_so_until_it_is_told_otherwise() -> None:
    line = Line(7, "101", False, NOON, outside=True)
    account = opened(call(line), MS)
    assert account.kind == "outbound"
    line.outside = False
    assert observed(account, call(line), MS + 1).kind == "outbound"
    line.seen = {"101", "102"}
    assert observed(account, call(line), MS + 1).kind == "internal"


@pytest.mark.parametrize("place", ["queue", "menu"])
def test_talk_is_talk_alone_not_waiting_nor_menus_after_it(pbx: Counting, place: str) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.tell(*(pbx.scene.wait(1, "800") if place == "queue" else pbx.scene.menu(1)))
    pbx.pass_time(40)
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.end(1))
    pbx.pass_time(120)
    assert (pbx.pbx.inbound.answered, pbx.pbx.inbound.talks.total) == (1, 30.0)
    assert (pbx.ext("101").talks.total, pbx.ext("102").talks.total) == (20.0, 10.0)


def test_a_caller_alone_does_not_talk_whatever_the_state_says(pbx: Counting) -> None:
    """The agent has parked the caller; nothing has named the parking place yet."""
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    for edit in pbx.scene.silence(1, "101"):
        assert isinstance(edit.after, topics.Call)
        pbx.tell(replace(edit, after=replace(edit.after, state="Talking")))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(1))
    assert pbx.pbx.inbound.talks.total == 20.0


def test_a_caller_whom_a_supervisor_alone_hears_does_not_talk() -> None:
    """The agent has left the call, and the listener is there for a moment more."""
    at = from_unix(NOON)
    caller = topics.Leg("10000", "externalline", "", "Connected", since=at)
    agent, supervisor = (
        topics.Leg(dn, "extension", "", "Connected", since=at) for dn in ("101", "102")
    )
    supervisor = replace(supervisor, listening=True)
    both = topics.Call(1, "Inbound", "Talking", at, at, "", caller, (), (), (caller, agent))
    heard = replace(both, legs=(caller, agent, supervisor))
    left = replace(both, legs=(caller, supervisor))
    account = observed(opened(both, MS), heard, MS + 5_000)
    account = observed(account, left, MS + 20_000)
    assert talk_time(account, MS, MS + 30_000) == 20_000
    assert [turn.talked for turn in account.turns] == [20_000]


def test_a_queues_talk_leaves_out_what_came_between(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.tell(*pbx.scene.menu(1))
    pbx.pass_time(40)
    pbx.tell(*pbx.scene.end(1))
    pbx.pass_time(120)
    assert pbx.queue("800").talks.total == pbx.pbx.inbound.talks.total == 20.0


def test_a_page_that_was_taken_for_an_answer_is_no_answer_once_its_group_is_named() -> None:
    """The first phone's leg may be read before anything names the paging group."""
    at = from_unix(NOON)
    caller, first, second = (
        topics.Leg(dn, "extension", "", "Connected", since=at) for dn in ("103", "101", "102")
    )
    taken = topics.Call(1, "Internal", "Talking", at, at, "", caller, (), (), (caller, first))
    plays = tuple(replace(leg, listening=True) for leg in (first, second))
    page = replace(taken, answered_at=None, legs=(caller, *plays), groups=("690",))
    account = opened(taken, MS)
    assert account.answered == MS
    account = observed(account, page, MS + 100)
    assert account.answered is None
    assert [(turn.num, turn.placed, turn.answered) for turn in account.turns] == [
        ("103", True, None)
    ]
    assert account.silences == ()
