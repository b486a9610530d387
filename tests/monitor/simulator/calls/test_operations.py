"""Single steps of a call: each is whole, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.model import OperationRefused
from tests.monitor.simulator.calls.test_switchboard import TRUNK
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NOON, Bench


def test_agents_ring_from_a_queue_until_one_answers(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.said()
    pbx.switchboard.poll(call, ("104", "105"))
    assert pbx.said() == ["+104", "+105"], "the caller's legs stay as they are"
    assert pbx.legs(call) == {
        "10000": ("Connected", CALLER),
        "800": ("Connected", CALLER),
        "104": ("Ringing", CALLER),
        "105": ("Ringing", CALLER),
    }
    truth = pbx.truth(call)
    assert (truth.state, truth.direction, truth.routing_to) == (
        "Routing",
        "Inbound",
        ("104", "105"),
    )
    assert pbx.one("104").to_json(Switches(on_behalf_of=True))["on_behalf_of_dn"] == "800"
    assert pbx.one("104").to_json(Switches(on_behalf_of=True))["on_behalf_of_type"] == "Wqueue"
    pbx.switchboard.no_answer(call)
    assert (pbx.truth(call).state, pbx.truth(call).queue, pbx.row(call)[1]) == (
        "Talking",
        "800",
        "800 Sales",
    )
    pbx.switchboard.poll(call, ("104", "105"))
    pbx.switchboard.answer(call, "105")
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "105": ("Connected", CALLER)}
    assert pbx.row(call)[1:] == ("105 No105, Ann", "Talking")
    assert (pbx.truth(call).queue, pbx.truth(call).answered_at) == ("", NOON)


def test_a_menu_accepts_the_caller_and_lets_go_when_he_is_sent_on(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "700")
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "700": ("Connected", CALLER)}
    assert (pbx.row(call)[1:], pbx.truth(call).direction) == (
        ("700 Main", "Talking"),
        "FromExternal",
    )
    pbx.switchboard.route(call, "100")
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "100": ("Ringing", CALLER)}
    assert (pbx.truth(call).state, pbx.truth(call).answered_at) == ("Routing", None)
    assert pbx.end(call).outcome == "missed"


def test_a_blind_transfer_leaves_at_once_and_keeps_the_call(pbx: Bench) -> None:
    call = pbx.talk("100")
    pbx.switchboard.transfer(call, "100", "101")
    assert pbx.said() == ["+10002", "+101", "-100"]
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "101": ("Ringing", CALLER)}
    assert pbx.row(call) == (TRUNK, "101 No101, Ann", "Transferring")
    assert (pbx.one("101").referred_by_dn, pbx.one("101").referred_by_type) == ("100", "Wextension")
    pbx.switchboard.answer(call, "101")
    assert (pbx.truth(call).state, pbx.one("101").referred_by_dn) == ("Talking", "")


def test_an_unanswered_transfer_returns_to_who_made_it(pbx: Bench) -> None:
    call = pbx.talk("100")
    pbx.switchboard.transfer(call, "100", "101")
    pbx.switchboard.no_answer(call)
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "100": ("Ringing", CALLER)}
    assert (pbx.one("100").referred_by_dn, pbx.truth(call).state) == ("", "Rerouting")
    pbx.switchboard.no_answer(call)
    assert call.over


@pytest.mark.parametrize("attended", ["move", "new"])
def test_an_attended_transfer_joins_the_second_party_to_the_first_call(attended: str) -> None:
    pbx = Bench(Switches(attended="move" if attended == "move" else "new"))
    first = pbx.talk("100")
    second = pbx.switchboard.dial("100", "101")
    pbx.switchboard.answer(second, "101")
    assert len(pbx.switchboard.participants("100")) == 2
    before = pbx.one("101")
    pbx.said()
    pbx.switchboard.merge(first, second, "100")
    expected = ["+10002", "+101", "-100", "-100"] + (["-101"] if attended == "new" else [])
    assert pbx.said() == expected
    after = pbx.one("101")
    assert (after.id == before.id, after.callid) == (attended == "move", first.id)
    assert pbx.legs(first) == {"10002": ("Connected", CALLER), "101": ("Connected", CALLER)}
    assert second.over
    assert pbx.end(second).outcome == "answered"


def test_an_attended_transfer_may_be_completed_while_it_rings(pbx: Bench) -> None:
    first = pbx.talk("100")
    second = pbx.switchboard.dial("100", "101")
    pbx.switchboard.merge(first, second, "100")
    assert pbx.legs(first) == {"10002": ("Connected", CALLER), "101": ("Ringing", CALLER)}
    assert (pbx.truth(first).state, pbx.end(second).outcome) == ("Transferring", "transferred")
    pbx.switchboard.answer(first, "101")
    assert pbx.truth(first).state == "Talking"


def test_a_forwarded_call_has_two_trunks(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10002", CALLER)
    pbx.switchboard.route(call, MOBILE)
    assert pbx.legs(call) == {"10002": ("Dialing", CALLER), "10000": ("Ringing", MOBILE)}
    assert pbx.row(call) == (TRUNK, f"10000 skyetel ({MOBILE})", "Routing")
    assert pbx.truth(call).direction == "External"
    pbx.switchboard.answer(call, "10000")
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "10000": ("Connected", MOBILE)}
    assert pbx.truth(call).answered_at is not None


def test_an_unanswered_call_that_is_forwarded_is_rerouting(pbx: Bench) -> None:
    call = pbx.inbound("100")
    pbx.switchboard.divert(call, "100", "101")
    assert pbx.row(call)[1:] == ("101 No101, Ann", "Rerouting")
    pbx.switchboard.divert(call, "101", MOBILE)
    assert (pbx.truth(call).direction, pbx.truth(call).state) == ("External", "Rerouting")


def test_a_step_that_cannot_be_changes_nothing(pbx: Bench) -> None:
    call = pbx.talk("100")
    before = pbx.switchboard.truth()
    steps: tuple[Callable[[], object], ...] = (
        lambda: pbx.switchboard.answer(call, "100"),
        lambda: pbx.switchboard.divert(call, "100", "101"),
        lambda: pbx.switchboard.transfer(call, "101", "102"),
        lambda: pbx.switchboard.transfer(call, "100", "100"),
        lambda: pbx.switchboard.transfer(call, "100", "12"),
        lambda: pbx.switchboard.poll(call, ("104",)),
        lambda: pbx.switchboard.merge(call, call, "100"),
        lambda: pbx.switchboard.no_answer(call),
    )
    for step in steps:
        with pytest.raises(OperationRefused):
            step()
    assert pbx.switchboard.truth() == before
    assert pbx.said() == []
