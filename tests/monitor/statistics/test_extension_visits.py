"""Test what a call counts for at an extension, in the less plain cases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.statistics.durations import unix_ms
from monitor.statistics.extension_visits import MOST_TURNS, observed
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import NOON
from tests.monitor.tracking.pbx_facts import Counted
from tests.steps import steps


@pytest.fixture
def pbx() -> Counting:
    """A call from outside goes on since noon."""
    pbx = Counting()
    pbx.tell(*pbx.scene.arrive(1))
    return pbx


def test_a_phone_that_rang_out_missed_the_call_though_its_caller_gave_up_later(
    pbx: Counting,
) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(15)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.pass_time(15)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext().missed, pbx.ext().abandoned) == (1, 0)


@pytest.mark.parametrize(
    ("by_event", "after", "came_to"),
    [
        (True, 0.2, (0, 1, 1)),
        (True, 1.0, (1, 0, 0)),
        (False, 1.0, (0, 1, 1)),
        (False, 3.0, (1, 0, 0)),
    ],
)
def test_a_ring_whose_end_an_event_tells_is_not_confused_with_what_follows(
    pbx: Counting, by_event: bool, after: float, came_to: tuple[int, int, int]
) -> None:
    """Somebody else takes the call soon after it; in a second call, the caller gives up."""
    pbx.tell(*pbx.scene.arrive(2))
    for call in (1, 2):
        pbx.scene.lines[call].unmonitored = set() if by_event else {"101", "102"}
        pbx.tell(*pbx.scene.ring(call, f"10{call}"))
    pbx.pass_time(9)
    for call in (1, 2):
        pbx.tell(*pbx.scene.silence(call, f"10{call}"))
    pbx.pass_time(after)
    assert (pbx.ext("101").missed, pbx.ext("101").ringing) == (came_to[0], 1 - came_to[0])
    pbx.tell(*pbx.scene.answer(1, "103"))
    pbx.tell(*pbx.scene.end(2))
    one, two = pbx.ext("101"), pbx.ext("102")
    assert (one.missed, one.elsewhere, two.abandoned) == came_to
    assert two.missed == came_to[0]


@pytest.mark.parametrize(("queue", "elsewhere"), [("800", 1), ("", 0)])
def test_an_answer_to_a_queues_call_that_no_event_told_may_be_told_late(
    pbx: Counting, queue: str, elsewhere: int
) -> None:
    """101 is monitored, 103 is not: the PBX's word is Talking before and after the answer."""
    if queue:
        pbx.tell(*pbx.scene.wait(1, queue))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.scene.lines[1].unmonitored = {"103"}
    pbx.tell(*pbx.scene.ring(1, "103"))
    pbx.pass_time(9)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.pass_time(1)
    pbx.tell(*pbx.scene.answer(1, "103"))
    pbx.pass_time(20)
    assert (pbx.ext("101").elsewhere, pbx.ext("101").missed) == (elsewhere, 1 - elsewhere)


def test_who_talks_without_a_ring_has_answered_and_did_not_wait(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.scene.lines[1].legs["102"] = ("Connected", pbx.scene.at)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.end(1))
    it = pbx.ext("102")
    assert (it.offered, it.answered, it.waits.count, it.talks.total) == (1, 1, 0, 10.0)
    assert it.service_level is None


def _three(*parties: str) -> topics.Call:
    """A caller outside, 101 and 102, all connected; ``parties``: whom the three have."""
    at = from_unix(NOON)
    dns = ("10000", "101", "102")
    legs = tuple(
        topics.Leg(dn, "extension" if dn < "200" and dn != "10000" else "externalline", "",
                   "Connected", party_dn=party, since=at)
        for dn, party in zip(dns, parties, strict=True)
    )  # fmt: skip
    return topics.Call(1, "Inbound", "Talking", at, at, "", legs[0], legs[1:], (), legs)


def test_who_only_listens_has_no_part() -> None:
    call = _three("101", "10000", "101")
    at = unix_ms(call.started_at)
    legs = (*call.legs[:2], replace(call.legs[2], listening=True))
    taken = observed((), replace(call, legs=legs), at, at)
    assert {turn.num for turn in taken} == {"101"}
    assert {turn.num for turn in observed((), call, at, at)} == {"101", "102"}


def test_who_began_an_intercom_call_is_known_once_its_own_leg_or_a_row_is_read() -> None:
    call = _three("101", "10000", "101")
    at = unix_ms(call.started_at)
    caller, callee = (
        topics.Leg(dn, "extension", party, "Connected", party_dn=party, since=call.started_at)
        for dn, party in (("103", "104"), ("104", "103"))
    )
    inside = replace(call, direction="Internal", legs=(callee, caller), owner=callee)
    first = observed((), inside, at, at)
    then = observed(first, replace(inside, legs=(caller, callee), owner=caller), at, at + 100)
    assert {turn.num: (turn.placed, turn.answered) for turn in then} == {
        "103": (True, at),
        "104": (False, at),
    }
    assert {turn.num: turn.ceased for turn in then} == {"103": None, "104": at}
    left = replace(inside, legs=(caller,), owner=caller)
    alone = {turn.num: turn.placed for turn in observed(first, left, at, at + 100)}
    assert alone == {"103": False, "104": True}, "who is left owns the call, and did not begin it"


@pytest.mark.parametrize("row_comes", ["Ringing", "Connected"])
def test_who_rings_and_does_not_tell_for_whom_did_not_place_the_call(
    row_comes: str,
) -> None:
    pbx = Counted("callcontrol+activecalls")
    for status, word in (("Ringing", "Routing"), ("Connected", "Talking")):
        pbx.see("101", 1, 7, status, "", 4)
        if row_comes == status or status == "Connected":
            pbx.rows((7, "10000 skyetel (+491701)", "101 Ext 101", word))
    assert pbx.extension("101").talks[0].num == "+491701"
    pbx.gone("101", 1)
    pbx.rows()
    figures = pbx.figures("extstats", "101")
    assert (figures.placed, figures.offered, figures.answered) == (0, 1, 1)


@pytest.mark.parametrize(("late", "elsewhere"), [(0.1, 1), (1.0, 0)])
def test_a_ring_that_is_told_just_after_the_answer_elsewhere_is_not_missed(
    pbx: Counting, late: float, elsewhere: int
) -> None:
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.pass_time(late)
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(0.5)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.pass_time(5)
    assert (pbx.ext("101").elsewhere, pbx.ext("101").missed) == (elsewhere, 1 - elsewhere)


def test_in_a_call_that_took_over_another_id_a_talk_counts_from_then_on() -> None:
    call = _three("101", "10000", "101")
    at = unix_ms(call.started_at)
    legs = call.legs[:2]
    first = observed((), replace(call, legs=legs), at, at)
    moment = unix_ms(from_unix(NOON + 30))
    legs = (call.legs[0], replace(call.legs[2], party_dn="10000"))
    taken_over = replace(call, call_id=2, continues=(1,), legs=legs)
    turns = {turn.num: turn for turn in observed(first, taken_over, moment - 30_000, moment)}
    assert (turns["102"].since, turns["102"].talking) == (moment, moment)


def test_a_call_from_a_queue_that_an_agent_does_not_take_came_from_the_queue(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(15)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext().queue_offered, pbx.ext().queue_answered, pbx.ext().abandoned) == (1, 0, 1)


def test_who_is_called_back_out_of_a_queue_had_the_call_before(pbx: Counting) -> None:
    for _ in range(2):
        pbx.tell(*pbx.scene.ring(1, "101"))
        pbx.tell(*pbx.scene.answer(1, "101"))
        pbx.pass_time(20)
        pbx.tell(*pbx.scene.wait(1, "800"))
        pbx.pass_time(20)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext().offered, pbx.ext().answered, pbx.ext().queue_answered) == (1, 1, 0)
    assert (pbx.ext().talks.count, pbx.ext().talks.total) == (1, 40.0)


def test_a_caller_who_gives_up_while_he_is_handed_on(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(12)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext("102").abandoned, pbx.ext("102").elsewhere) == (1, 0)


def test_an_answer_that_nobody_saw_is_taken_as_it_is_told(pbx: Counting) -> None:
    """Another monitor finds the call answered, and its row tells since when."""
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.scene.at += 15
    pbx.scene.answer(1, "101")
    pbx.scene.lines[1].answered = pbx.scene.at - 5
    pbx.scene.silence(1, "none")
    pbx.restart()
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext().waits.total, pbx.ext().talks.total) == (10.0, 10.0)


def test_who_takes_a_call_after_an_outside_phone_had_it_is_timed_by_his_own_ringing(
    pbx: Counting,
) -> None:
    pbx.scene.lines[1].answered = pbx.scene.at
    pbx.tell(*pbx.scene.menu(1))
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(8)
    pbx.tell(*pbx.scene.answer(1, "101"))
    assert (pbx.ext().answered, pbx.ext().waits.total) == (1, 8.0)


def test_two_connected_legs_of_a_call_that_is_not_answered_are_no_talk(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.scene.lines[1].legs["101"] = ("Connected", pbx.scene.at)
    pbx.tell(*pbx.scene.silence(1, "none"))
    assert (pbx.ext().answered, pbx.ext().ringing) == (0, 1)


def test_who_waits_alone_in_between_does_not_talk() -> None:
    pbx = Counting()
    pbx.tell(*pbx.scene.dial(1, "101"))
    for ext in ("102", "103"):
        pbx.tell(*pbx.scene.ring(1, ext))
        pbx.pass_time(30)
        pbx.scene.lines[1].legs["101"] = ("Connected", pbx.scene.started[0][0])
        pbx.scene.lines[1].legs[ext] = ("Connected", pbx.scene.at)
        pbx.scene.lines[1].answered = pbx.scene.lines[1].answered or pbx.scene.at
        pbx.tell(*pbx.scene.silence(1, "none"))
        pbx.pass_time(10)
        pbx.tell(*pbx.scene.silence(1, ext))
    pbx.tell(*pbx.scene.end(1))
    assert pbx.ext().placed_talks.total == 20.0


def test_a_phone_that_dials_placed_the_call_though_nobody_tells_who_began_it() -> None:
    pbx = Counting()
    (edit,) = pbx.scene.dial(1, "101")
    assert isinstance(edit.after, topics.Call)
    pbx.tell(Edit("calls", "1", None, replace(edit.after, owner=None)))
    assert (pbx.ext().placed, pbx.ext().offered) == (1, 0)


def conference(size: int) -> topics.Call:
    """A call in which so many extensions talk, each since its own second."""
    legs = tuple(
        topics.Leg(f"{n:05}", "extension", "", "Connected", since=from_unix(NOON + n))
        for n in range(size)
    )
    at = from_unix(NOON)
    return topics.Call(1, "Internal", "Talking", at, at, "", legs[0], legs[1:], (), legs)


def test_a_conference_costs_each_of_its_people_the_same() -> None:
    def cost(size: int) -> int:
        call, now = conference(size), unix_ms(from_unix(NOON + 900))
        before = observed((), call, None, now)
        return steps(lambda: observed(before, call, unix_ms(call.started_at), now))

    cost(400)  # fills caches
    assert cost(400) < 5 * cost(100)


def test_who_talks_in_a_conference_began_when_somebody_else_was_there() -> None:
    taken = observed((), conference(3), unix_ms(from_unix(NOON)), unix_ms(from_unix(NOON + 9)))
    assert [(turn.num, turn.talking) for turn in taken] == [
        ("00000", unix_ms(from_unix(NOON))),  # the first to talk: when the call was answered
        *(("00001", unix_ms(from_unix(NOON + 1))), ("00002", unix_ms(from_unix(NOON + 2)))),
    ]


def test_of_a_call_that_rings_everywhere_so_many_extensions_count() -> None:
    now = unix_ms(from_unix(NOON))
    assert len(observed((), conference(MOST_TURNS + 9), None, now)) == MOST_TURNS


def test_who_is_connected_at_the_moment_of_the_end_was_not_in_the_call(pbx: Counting) -> None:
    """An attended transfer gives the call's id to another call, with that one's phone."""
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.tell(*pbx.scene.end(1))
    assert pbx.ext("101").answered == 1
    assert pbx.ext("102").offered == 0


def test_a_phone_that_began_to_ring_at_the_moment_of_the_end_rang(pbx: Counting) -> None:
    """A queue brings the next agent in just as the caller gives up."""
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(15)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.tell(*pbx.scene.end(1))
    assert pbx.ext("101").missed == 1
    assert (pbx.ext("102").offered, pbx.ext("102").short_abandoned) == (1, 1)
