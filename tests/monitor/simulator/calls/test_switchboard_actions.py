"""Test what programs may do in Call Control: makecall and actions, with their restrictions."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import RoutePoint, Switches
from monitor.simulator.calls.model import OperationRefused, SimulatedCall
from monitor.simulator.calls.switchboard import ControlRequest, KeysPressed, Signal
from tests.monitor.simulator.exchange_bench import (
    CALLER,
    CONTROLLED,
    MOBILE,
    NO_DEVICE,
    TWO_DEVICES,
    Bench,
)


def only_call(pbx: Bench) -> SimulatedCall:
    (call,) = pbx.switchboard.calls.values()
    return call


def test_makecall_at_a_device_dials_there(pbx: Bench) -> None:
    device = pbx.directory.devices(TWO_DEVICES)[1].device_id
    outcome = pbx.switchboard.makecall(TWO_DEVICES, device, MOBILE, 30, {"public_k": "v"})
    view = outcome.participant
    assert view is not None
    assert (outcome.finalstatus, view.status, view.device_id, view.legid) == (
        "Success",
        "Dialing",
        device,
        1,
    )
    assert pbx.legs(only_call(pbx)) == {
        TWO_DEVICES: ("Dialing", MOBILE),
        "10000": ("Ringing", MOBILE),
    }
    assert pbx.switchboard.attached(TWO_DEVICES, view.id) == {"public_k": "v"}


def test_makecall_without_a_device_rings_the_caller_first(pbx: Bench) -> None:
    outcome = pbx.switchboard.makecall(TWO_DEVICES, None, "101", None, {})
    assert outcome.participant is not None
    assert outcome.participant.status == "Ringing"
    call = only_call(pbx)
    assert pbx.legs(call) == {TWO_DEVICES: ("Ringing", "101")}
    assert (pbx.truth(call).direction, pbx.row(call)) == (
        "FromInternal",
        ("MakeCall", "103 No103, Ann", "Routing"),
    )
    view = pbx.switchboard.participants(TWO_DEVICES)[0]
    assert (view.originated_by_dn, view.originated_by_type) == (TWO_DEVICES, "Wextension")
    pbx.switchboard.answer(call, TWO_DEVICES)
    assert pbx.legs(call) == {TWO_DEVICES: ("Dialing", "101"), "101": ("Ringing", TWO_DEVICES)}
    assert pbx.row(call)[0] == "103 No103, Ann", "the PBX names the service only while it rings"


def test_a_caller_who_does_not_pick_up_ends_the_call_that_was_made_for_him(pbx: Bench) -> None:
    pbx.switchboard.makecall(TWO_DEVICES, None, "101", None, {})
    call = only_call(pbx)
    pbx.switchboard.no_answer(call)
    assert pbx.end(call).outcome == "unanswered"


@pytest.mark.parametrize(
    ("number", "destination", "reason"),
    [
        ("100", "12", "UnknownDestination"),
        ("100", "100", "RoutingLoopDetected"),
        ("100", "10000", "UnknownDestination"),
        (NO_DEVICE, "100", "DestinationIsNotRegistered"),
        ("600", "100", "UnknownDestination"),
    ],
)
def test_a_makecall_that_cannot_be_says_why(
    pbx: Bench, number: str, destination: str, reason: str
) -> None:
    outcome = pbx.switchboard.makecall(number, "sip:x", destination, None, {})
    assert (outcome.finalstatus, outcome.reason, outcome.participant) == ("Failed", reason, None)
    assert outcome.reasontext
    assert pbx.switchboard.calls == {}


def test_drop_ends_a_talk(pbx: Bench) -> None:
    call = pbx.talk("100")
    outcome = pbx.act("100", "drop")
    assert (outcome.finalstatus, outcome.participant, call.over) == ("Success", None, True)


def test_answer_needs_a_device_that_can_be_told_to(pbx: Bench) -> None:
    call = pbx.inbound("100")
    outcome = pbx.act("100", "answer")
    assert (outcome.finalstatus, outcome.reason) == ("Rejected", "NotSpecified")
    pbx.switchboard.end(call)
    call = pbx.inbound(CONTROLLED)
    assert pbx.one(CONTROLLED).direct_control
    answered = pbx.act(CONTROLLED, "answer").participant
    assert answered is not None
    assert answered.status == "Connected"


def test_divert_takes_a_ringing_participant_only(pbx: Bench) -> None:
    call = pbx.inbound("100")
    assert pbx.act("100", "divert", "101").finalstatus == "Success"
    assert pbx.legs(call)["101"] == ("Ringing", CALLER)
    pbx.switchboard.answer(call, "101")
    assert pbx.act("101", "divert", "102").finalstatus == "Rejected"
    assert pbx.legs(call)["101"] == ("Connected", CALLER)


def test_routeto_adds_an_alternative_to_a_ringing_phone(pbx: Bench) -> None:
    call = pbx.inbound("100")
    assert pbx.act("100", "routeto", "101").finalstatus == "Success"
    assert (pbx.truth(call).routing_to, pbx.truth(call).state) == (("100", "101"), "Rerouting")
    pbx.switchboard.answer(call, "101")
    assert set(pbx.legs(call)) == {"10002", "101"}


def test_transferto_takes_a_connected_participant_only(pbx: Bench) -> None:
    call = pbx.inbound("100")
    assert pbx.act("100", "transferto", "101").finalstatus == "Rejected"
    pbx.switchboard.answer(call, "100")
    outcome = pbx.act("100", "transferto", "101")
    assert (outcome.finalstatus, outcome.participant) == ("Success", None)
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "101": ("Ringing", CALLER)}
    pbx.act("101", "drop")
    assert pbx.legs(call)["100"] == ("Ringing", CALLER), "it comes back when it fails"


def test_data_is_attached_to_the_participant_or_to_the_other_party(pbx: Bench) -> None:
    pbx.switchboard.answer(pbx.switchboard.dial("100", "101"), "101")
    assert pbx.act("100", "attach_participant_data", public_a="1").finalstatus == "Success"
    assert pbx.act("100", "attach_party_data", public_b="2").finalstatus == "Success"
    assert pbx.act("100", "attach_party_data", b="2").finalstatus == "Rejected"
    assert pbx.switchboard.attached("100", pbx.one("100").id) == {"public_a": "1"}
    assert pbx.switchboard.attached("101", pbx.one("101").id) == {"public_b": "2"}


def test_an_action_on_what_is_gone_finds_no_subject(pbx: Bench) -> None:
    outcome = pbx.switchboard.act("100", 1, "drop", ControlRequest())
    assert (outcome.finalstatus, outcome.reason) == ("Failed", "SubjectNotFound")
    assert not pbx.switchboard.drop_call(1)


def test_a_call_sent_on_to_the_route_point_leaves_its_queue_and_its_ringing_phones(
    pbx: Bench,
) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ["104"])
    assert pbx.act("104", "divert", "callmon").finalstatus == "Success"
    assert set(pbx.legs(call)) == {"10000", "callmon"}
    assert pbx.row(call) == (f"10000 skyetel ({CALLER})", "callmon callmon", "Talking")


def test_the_route_point_calls_from_its_device_and_nobody_picks_up_there_first(pbx: Bench) -> None:
    for device in (None, pbx.directory.devices("callmon")[0].device_id):
        outcome = pbx.switchboard.makecall("callmon", device, "101", None, {})
        view = outcome.participant
        assert view is not None
        assert (view.status, view.device_id) == (
            "Dialing",
            pbx.directory.devices("callmon")[0].device_id,
        )
        assert pbx.switchboard.drop_call(view.callid)


def test_keys_are_pressed_only_where_a_route_point_is_connected(pbx: Bench) -> None:
    signals: list[Signal] = []
    pbx.switchboard.on_signal(signals.append)
    pbx.switchboard.press(pbx.switchboard.dial("100", "callmon"), "17")
    assert signals == [KeysPressed("callmon", pbx.one("callmon").id, "17")]
    with pytest.raises(OperationRefused):
        pbx.switchboard.press(pbx.switchboard.dial("101", "102"), "1")


def test_whoever_plays_the_people_is_told_of_calls_that_programs_change(pbx: Bench) -> None:
    told: list[SimulatedCall] = []
    pbx.switchboard.on_order(told.append)
    pbx.switchboard.makecall("100", "", "101", 5, {})
    call = only_call(pbx)
    assert (told, call.timeout) == ([call], 5)
    pbx.act("101", "drop")
    assert (told, call.over) == ([call], True)


def test_a_queue_that_calls_somebody_takes_the_party_that_answers(pbx: Bench) -> None:
    assert pbx.switchboard.makecall("800", "sip:x", "101", None, {}).finalstatus == "Success"
    (call,) = pbx.switchboard.calls.values()
    assert {num: leg.status for num, leg in call.legs.items()} == {
        "800": "Dialing",
        "101": "Ringing",
    }
    pbx.switchboard.answer(call, "101")
    assert {leg.status for leg in call.legs.values()} == {"Connected"}
    pbx.switchboard.poll(call, ["102"])
    pbx.switchboard.answer(call, "102")
    assert set(call.legs) == {"101", "102"}, "the queue has handed the party over"


def test_a_queue_that_calls_somebody_who_does_not_answer_ends_the_call(pbx: Bench) -> None:
    pbx.switchboard.makecall("800", "sip:x", "101", None, {})
    (call,) = pbx.switchboard.calls.values()
    pbx.switchboard.no_answer(call)
    assert call.over


@pytest.mark.parametrize("switch", ["connects", "rings"])
def test_a_call_that_nobody_takes_comes_back_to_the_route_point(switch: RoutePoint) -> None:
    pbx = Bench(Switches(route_point=switch))
    call = pbx.switchboard.arrive("10002", CALLER)
    pbx.switchboard.route(call, "callmon")
    if switch == "rings":
        pbx.switchboard.answer(call, "callmon")
    assert pbx.act("callmon", "transferto", "101").finalstatus == "Success"
    pbx.switchboard.no_answer(call)
    status = "Connected" if switch == "connects" else "Ringing"
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "callmon": (status, CALLER)}


def test_a_queue_that_calls_is_a_party_until_it_holds_the_callee(pbx: Bench) -> None:
    pbx.switchboard.makecall("800", None, MOBILE, None, {})
    call = only_call(pbx)
    assert pbx.legs(call) == {"800": ("Dialing", MOBILE), "10000": ("Ringing", MOBILE)}
    assert pbx.truth(call).queue == ""
    pbx.switchboard.answer(call, "10000")
    assert pbx.legs(call) == {"800": ("Connected", MOBILE), "10000": ("Connected", MOBILE)}
    assert pbx.truth(call).queue == "800"
    pbx.switchboard.poll(call, ["104"])
    pbx.switchboard.answer(call, "104")
    assert set(pbx.legs(call)) == {"10000", "104"}
    assert pbx.truth(call).answered_at is not None
