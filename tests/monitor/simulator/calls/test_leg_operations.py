"""Legs that join, ring and part."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import RoutePoint, Switches
from tests.monitor.simulator.exchange_bench import (
    CALLER,
    MOBILE,
    TWO_DEVICES,
    Bench,
)


def test_every_device_of_an_extension_rings_and_the_one_picked_up_stays(pbx: Bench) -> None:
    call = pbx.inbound(TWO_DEVICES)
    assert [view.legid for view in pbx.switchboard.participants(TWO_DEVICES)] == [4, 5]
    assert len(pbx.truth(call).legs) == 2
    pbx.said()
    pbx.switchboard.answer(call, TWO_DEVICES, "sip:103@10.0.0.1")
    assert pbx.said() == ["+10002", "+103", "-103"]
    assert pbx.one(TWO_DEVICES).device_id == "sip:103@10.0.0.1"


def test_an_outbound_call_rings_on_the_trunk(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", MOBILE)
    assert pbx.legs(call) == {"100": ("Dialing", MOBILE), "10000": ("Ringing", MOBILE)}
    assert pbx.row(call) == ("100 No100, Ann", f"10000 skyetel ({MOBILE})", "Routing")
    view = pbx.one("100")
    assert (view.party_dn, view.party_caller_id, view.party_caller_name) == ("10000", MOBILE, "")
    assert (view.party_dn_type, view.legid, view.originated_by_dn) == ("Wexternalline", 1, "")
    pbx.switchboard.answer(call, "10000")
    assert pbx.legs(call) == {"100": ("Connected", MOBILE), "10000": ("Connected", MOBILE)}
    assert (pbx.truth(call).direction, pbx.truth(call).did) == ("Outbound", "")


def test_drop_at_one_of_two_ringing_devices_silences_only_that(pbx: Bench) -> None:
    call = pbx.inbound(TWO_DEVICES)
    pbx.said()
    pbx.act(TWO_DEVICES, "drop")
    assert pbx.said() == ["-103"]
    assert len(pbx.switchboard.participants(TWO_DEVICES)) == 1
    pbx.act(TWO_DEVICES, "drop")
    assert call.over


def test_an_agent_who_drops_leaves_the_caller_in_the_queue(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ("104",))
    pbx.act("104", "drop")
    assert (pbx.truth(call).state, pbx.truth(call).queue) == ("Talking", "800")


def test_routeto_replaces_a_connected_party_once_it_is_answered(pbx: Bench) -> None:
    call = pbx.talk("100")
    pbx.act("100", "routeto", "101")
    assert pbx.legs(call) == {
        "10002": ("Connected", CALLER),
        "100": ("Connected", CALLER),
        "101": ("Ringing", CALLER),
    }
    pbx.switchboard.no_answer(call)
    assert (set(pbx.legs(call)), pbx.truth(call).state) == ({"10002", "100"}, "Talking")
    pbx.act("100", "routeto", "101")
    pbx.switchboard.answer(call, "101")
    assert set(pbx.legs(call)) == {"10002", "101"}


@pytest.mark.parametrize("switch", ["connects", "rings"])
def test_a_call_to_the_route_point_is_connected_or_can_be_answered_there(
    switch: RoutePoint,
) -> None:
    pbx = Bench(Switches(route_point=switch))
    call = pbx.switchboard.dial("100", "callmon")
    if switch == "rings":
        assert pbx.legs(call)["callmon"][0] == "Ringing"
        assert pbx.act("callmon", "answer").finalstatus == "Success"
    assert pbx.legs(call) == {"100": ("Connected", "callmon"), "callmon": ("Connected", "100")}
    assert pbx.truth(call).answered_at is None, "an application is nobody"
