"""Test how calls end, and which way they went."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NO_DEVICE, NOON, Bench


@pytest.fixture
def pbx() -> Bench:
    return Bench()


def test_a_caller_who_leaves_a_queue_or_a_menu_has_abandoned(pbx: Bench) -> None:
    queued, ringing, menu = (pbx.switchboard.arrive("10000", CALLER) for _ in range(3))
    pbx.switchboard.route(queued, "800")
    pbx.switchboard.route(ringing, "800")
    pbx.switchboard.poll(ringing, ("104",))
    pbx.switchboard.route(menu, "700")
    assert [pbx.end(call).outcome for call in (queued, ringing, menu)] == ["abandoned"] * 3
    inside = pbx.switchboard.dial("100", "800")
    assert (pbx.end(inside).outcome, pbx.end(inside).queue) == ("abandoned", "800")


def test_an_unanswered_call_from_outside_was_missed_even_if_nothing_rang(pbx: Bench) -> None:
    rung, unrung = pbx.inbound("100"), pbx.switchboard.arrive("10000", CALLER)
    forwarded = pbx.switchboard.arrive("10002", CALLER)
    pbx.switchboard.route(forwarded, MOBILE)
    assert [pbx.end(call).outcome for call in (rung, unrung, forwarded)] == ["missed"] * 3


def test_an_unanswered_call_from_inside_was_missed_where_it_rang_and_else_unanswered(
    pbx: Bench,
) -> None:
    inside, outside = pbx.switchboard.dial("100", "107"), pbx.switchboard.dial("110", MOBILE)
    absent, group = pbx.switchboard.dial("111", NO_DEVICE), pbx.switchboard.dial("112", "600")
    outcomes = [pbx.end(call).outcome for call in (inside, outside, absent, group)]
    assert outcomes == ["missed", "unanswered", "missed", "missed"]


def test_voicemail_after_ringing_is_a_missed_call(pbx: Bench) -> None:
    call = pbx.inbound("100")
    pbx.switchboard.divert(call, "100", "999")
    assert pbx.truth(call).direction == "Inbound"
    end = pbx.end(call)
    assert (end.outcome, end.answered_at) == ("missed", None)


def test_the_answer_is_the_first_talk_and_stays(pbx: Bench) -> None:
    call = pbx.inbound("100")
    pbx.now += 4
    pbx.switchboard.answer(call, "100")
    pbx.now += 4
    pbx.switchboard.transfer(call, "100", "101")
    pbx.now += 4
    pbx.switchboard.no_answer(call)
    pbx.switchboard.no_answer(call)
    end = pbx.end(call)
    assert (end.outcome, end.answered_at, end.ended_at) == ("answered", NOON + 4, NOON + 12)


def test_a_queue_is_not_an_answer_but_an_agent_is(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "800")
    assert (pbx.truth(call).direction, pbx.truth(call).answered_at) == ("FromInternal", None)
    assert pbx.legs(call) == {"100": ("Connected", "800"), "800": ("Connected", "100")}
    pbx.switchboard.poll(call, ("104",))
    assert pbx.legs(call)["100"] == ("Connected", "800")
    assert pbx.legs(call)["104"] == ("Ringing", "100")
    pbx.switchboard.answer(call, "104")
    assert pbx.legs(call) == {"100": ("Connected", "104"), "104": ("Connected", "100")}
    assert (pbx.end(call).outcome, pbx.end(call).queue) == ("answered", "800")


def test_an_ended_call_keeps_the_direction_that_had_reached_somebody(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ("104",))
    pbx.switchboard.no_answer(call)
    assert pbx.truth(call).direction == "FromExternal"
    assert pbx.end(call).direction == "Inbound"


def test_a_dialled_ring_group_is_the_other_side_until_a_member_answers(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "600")
    assert pbx.legs(call) == {
        "100": ("Dialing", "600"),
        "101": ("Ringing", "100"),
        "102": ("Ringing", "100"),
    }
    pbx.switchboard.answer(call, "101")
    assert pbx.legs(call) == {"100": ("Connected", "101"), "101": ("Connected", "100")}
