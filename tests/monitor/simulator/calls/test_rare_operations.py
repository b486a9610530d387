"""Operations that only a few calls need: each is whole, or changes nothing."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.model import OperationRefused
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, TWO_DEVICES, Bench


def test_paged_phones_connect_at_once_and_go_with_the_caller(pbx: Bench) -> None:
    call = pbx.switchboard.page("100", ["101", "102", "100"], "600")
    assert pbx.legs(call) == {
        "100": ("Connected", "600"),
        "101": ("Connected", "100"),
        "102": ("Connected", "100"),
    }
    assert pbx.row(call)[1:] == ("600 All phones", "Talking")
    assert pbx.truth(call).talk_to == (), "the phones only play what is said"
    pbx.switchboard.drop(call, "102")
    assert not call.over
    pbx.switchboard.drop(call, "100")
    assert call.over


def test_an_intercom_call_connects_one_phone_at_once(pbx: Bench) -> None:
    call = pbx.switchboard.page("100", ["101"])
    assert pbx.legs(call) == {"100": ("Connected", "101"), "101": ("Connected", "100")}
    with pytest.raises(OperationRefused, match="nobody to page"):
        pbx.switchboard.page("102", ["101"])


def test_a_supervisor_is_no_party_of_the_talk(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "101")
    with pytest.raises(OperationRefused):
        pbx.switchboard.supervise(call, "101", "105")
    pbx.switchboard.answer(call, "101")
    pbx.switchboard.supervise(call, "101", "105")
    assert pbx.legs(call) == {
        "10000": ("Connected", CALLER),
        "101": ("Connected", CALLER),
        "105": ("Connected", "101"),
    }
    assert (pbx.truth(call).talk_to, pbx.one("105").party_dn) == (("101",), "101")
    pbx.switchboard.drop(call, "105")
    assert not call.over
    pbx.switchboard.supervise(call, "101", "105")
    pbx.switchboard.drop(call, "10000")
    assert call.over, "nobody is left who talks"


def test_a_parked_caller_is_taken_at_another_phone(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "101")
    pbx.switchboard.answer(call, "101")
    with pytest.raises(OperationRefused, match="not parked"):
        pbx.switchboard.retrieve(call, "102")
    pbx.switchboard.transfer(call, "101", "SP11")
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "SP11": ("Connected", CALLER)}
    pbx.said()
    pbx.switchboard.retrieve(call, "102")
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "102": ("Connected", CALLER)}
    assert "+102" in pbx.said()


def test_a_busy_phone_can_ring_for_a_second_call(pbx: Bench) -> None:
    first = pbx.switchboard.dial("101", "102")
    pbx.switchboard.answer(first, "102")
    second = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.ring_busy(second, "101")
    pbx.switchboard.answer(second, "101")
    assert pbx.switchboard.in_use("101") == 2
    pbx.switchboard.end(second)
    assert pbx.legs(first) == {"101": ("Connected", "102"), "102": ("Connected", "101")}


def test_a_second_participant_of_a_ringing_phone_never_connects(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "101")
    pbx.switchboard.ring_twice(call, "101")
    ringing = pbx.switchboard.participants("101")
    assert [view.status for view in ringing] == ["Ringing", "Ringing"]
    assert ringing[1].device_id == ""
    pbx.switchboard.drop(call, "101", "")
    assert [view.id for view in pbx.switchboard.participants("101")] == [ringing[0].id]
    pbx.switchboard.ring_twice(call, "101")
    pbx.switchboard.answer(call, "101", ringing[0].device_id)
    assert [view.id for view in pbx.switchboard.participants("101")] == [ringing[0].id]


def test_a_queue_callback_rings_the_agent_first(pbx: Bench) -> None:
    call = pbx.switchboard.call_back(TWO_DEVICES, MOBILE, "QCB")
    assert pbx.row(call) == ("QCB Queue callback", "103 No103, Ann", "Routing")
    pbx.switchboard.answer(call, TWO_DEVICES)
    assert pbx.legs(call) == {TWO_DEVICES: ("Dialing", MOBILE), "10000": ("Ringing", MOBILE)}


@pytest.mark.parametrize("answered", [True, False])
def test_the_second_call_may_go_on_after_an_attended_transfer(answered: bool) -> None:
    pbx = Bench(Switches(survivor="second"))
    first = pbx.switchboard.arrive("10000", CALLER)
    began = first.started_at
    pbx.switchboard.route(first, "101")
    pbx.switchboard.answer(first, "101")
    second = pbx.switchboard.dial("101", "102")
    if answered:
        pbx.switchboard.answer(second, "102")
    pbx.switchboard.merge(first, second, "101")
    assert first.over
    assert pbx.legs(second) == {
        "10000": ("Connected", CALLER),
        "102": ("Connected" if answered else "Ringing", CALLER),
    }
    assert pbx.row(second) == (
        f"10000 skyetel ({CALLER})",
        "102 No102, Ann",
        "Talking" if answered else "Transferring",
    )
    assert pbx.truth(second).direction == "Inbound"
    if not answered:
        pbx.switchboard.answer(second, "102")
    assert pbx.truth(second).talk_to == ("102",)
    pbx.switchboard.end(second)
    (ended,) = pbx.switchboard.ended()
    assert (ended.call_id, ended.caller, ended.started_at) == (second.id, CALLER, began)
