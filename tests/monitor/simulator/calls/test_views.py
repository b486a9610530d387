"""Calls as the two APIs show them."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import Callees, Switches
from tests.monitor.simulator.exchange_bench import CALLER, NOON, Bench


def test_the_participant_of_an_internal_call_is_as_captured(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "101")
    pbx.switchboard.answer(call, "101")
    assert list(pbx.one("101").to_json(Switches()).items()) == [
        ("id", pbx.one("101").id),
        ("status", "Connected"),
        ("dn", "101"),
        ("party_caller_name", "Ann No100"),
        ("party_dn", "100"),
        ("party_caller_id", "100"),
        ("party_did", ""),
        ("device_id", "sip:101@10.0.0.0"),
        ("party_dn_type", "Wextension"),
        ("direct_control", False),
        ("originated_by_dn", ""),
        ("originated_by_type", "None"),
        ("referred_by_dn", ""),
        ("referred_by_type", "None"),
        ("on_behalf_of_dn", ""),
        ("on_behalf_of_type", "None"),
        ("callid", call.id),
        ("legid", 2),
    ]


@pytest.mark.parametrize(
    ("callees", "queue_text", "group_text"),
    [
        ("first", "104 No104, Ann", "101 No101, Ann"),
        ("joined", "104 No104, Ann, 105 No105, Ann", "101 No101, Ann, 102 No102, Ann"),
        ("target", "800 Sales", "600 All phones"),
    ],
)
def test_the_callee_of_several_ringing_phones_is_as_the_switch_says(
    callees: Callees, queue_text: str, group_text: str
) -> None:
    pbx = Bench(Switches(callees=callees))
    queued, grouped = (
        pbx.switchboard.arrive("10000", CALLER),
        pbx.switchboard.arrive("10000", CALLER),
    )
    pbx.switchboard.route(queued, "800")
    pbx.switchboard.poll(queued, ("104", "105"))
    pbx.switchboard.route(grouped, "600")
    assert (pbx.row(queued)[1], pbx.row(grouped)[1]) == (queue_text, group_text)


def test_a_transferred_caller_becomes_the_first_party_when_the_originator_leaves(
    pbx: Bench,
) -> None:
    call = pbx.switchboard.dial("100", "101")
    pbx.switchboard.answer(call, "101")
    pbx.switchboard.transfer(call, "100", "102")
    assert pbx.legs(call) == {"101": ("Connected", "102"), "102": ("Ringing", "101")}
    assert pbx.row(call) == ("101 No101, Ann", "102 No102, Ann", "Transferring")
    assert (pbx.truth(call).owner, pbx.truth(call).direction) == ("101", "Internal")


def test_an_originator_who_left_is_rung_again_like_any_other(pbx: Bench) -> None:
    call = pbx.switchboard.dial("104", "101")
    pbx.switchboard.answer(call, "101")
    pbx.switchboard.transfer(call, "104", "800")
    pbx.switchboard.poll(call, ("104",))
    assert pbx.legs(call) == {
        "101": ("Connected", "800"),
        "800": ("Connected", "101"),
        "104": ("Ringing", "101"),
    }
    assert (pbx.one("104").party_dn, pbx.one("104").party_caller_id) == ("101", "101")
    assert pbx.row(call) == ("101 No101, Ann", "104 No104, Ann", "Routing")
    pbx.switchboard.no_answer(call)
    assert (pbx.truth(call).queue, pbx.truth(call).state) == ("800", "Talking")


def test_a_conference_has_a_leg_of_its_own(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "101")
    pbx.switchboard.answer(call, "101")
    pbx.switchboard.invite(call, "100", "102")
    assert pbx.legs(call)["102"] == ("Ringing", "990")
    pbx.switchboard.answer(call, "102")
    assert pbx.legs(call) == {
        "100": ("Connected", "990"),
        "101": ("Connected", "990"),
        "990": ("Connected", "100"),
        "102": ("Connected", "990"),
    }
    assert pbx.row(call) == ("100 No100, Ann", "990 Conference", "Talking")
    pbx.switchboard.drop(call, "100")
    assert (set(pbx.legs(call)), pbx.truth(call).owner) == ({"101", "990", "102"}, "101")
    pbx.switchboard.drop(call, "101")
    assert call.over


def test_established_is_the_start_or_the_latest_connection(pbx: Bench) -> None:
    last = Bench(Switches(established="last"))
    for bench in (pbx, last):
        call = bench.inbound("100")
        bench.now += 7
        bench.switchboard.answer(call, "100")
    assert (
        pbx.switchboard.active_calls()[0].established_at,
        last.switchboard.active_calls()[0].established_at,
    ) == (
        NOON,
        NOON + 7,
    )
    assert pbx.switchboard.active_calls()[0].last_change_status == NOON + 7


def test_the_dialled_number_is_shown_at_extensions_if_the_switch_says_so(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER, "+15153182960", "Sales")
    pbx.switchboard.route(call, "100")
    assert pbx.one("100").to_json(Switches(party_did=True))["party_did"] == "+15153182960"
    assert pbx.one("100").to_json(Switches())["party_did"] == ""
