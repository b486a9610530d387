"""Test every kind of call, step by step: legs, participants, rows and events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.simulator.behaviour_options import Callees, Switches
from monitor.simulator.calls.model import OperationRefused
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NOON, TWO_DEVICES, Bench

TRUNK = f"10002 Backup GSM, 2nd ({CALLER})"


@pytest.fixture
def pbx() -> Bench:
    return Bench()


def test_an_internal_call_rings_talks_and_ends(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "101")
    assert pbx.said() == ["+100", "+101"]
    assert pbx.legs(call) == {"100": ("Dialing", "101"), "101": ("Ringing", "100")}
    assert pbx.row(call) == ("100 No100, Ann", "101 No101, Ann", "Routing")
    assert (pbx.truth(call).direction, pbx.truth(call).answered_at) == ("Internal", None)
    caller, callee = pbx.one("100"), pbx.one("101")
    assert (caller.party_dn, caller.party_caller_id, caller.party_caller_name) == (
        "101",
        "101",
        "Ann No101",
    )
    assert (caller.legid, callee.legid, callee.originated_by_dn) == (1, 2, "")
    pbx.now += 5
    pbx.switchboard.answer(call, "101")
    assert pbx.said() == ["+100", "+101"]
    assert pbx.legs(call) == {"100": ("Connected", "101"), "101": ("Connected", "100")}
    assert (pbx.truth(call).answered_at, pbx.truth(call).talk_to) == (NOON + 5, ("101",))
    pbx.switchboard.drop(call, "101")
    assert pbx.said() == ["-100", "-101"]
    assert (pbx.switchboard.truth(), pbx.switchboard.active_calls()) == ([], [])
    assert pbx.end(call).outcome == "answered"


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


def test_an_inbound_call_is_initiating_until_something_rings(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10002", CALLER)
    assert pbx.legs(call) == {"10002": ("Dialing", CALLER)}
    assert pbx.row(call) == (TRUNK, "", "Initiating")
    assert (pbx.truth(call).direction, pbx.truth(call).owner) == ("FromExternal", "10002")
    pbx.switchboard.route(call, "100")
    assert pbx.legs(call) == {"10002": ("Dialing", CALLER), "100": ("Ringing", CALLER)}
    assert pbx.row(call) == (TRUNK, "100 No100, Ann", "Routing")
    view = pbx.one("100")
    assert (view.originated_by_dn, view.originated_by_type, view.legid) == (
        "ROUTER",
        "Wroutepoint",
        4,
    )
    assert (view.party_dn, view.party_dn_type, view.party_caller_id) == (
        "10002",
        "Wexternalline",
        CALLER,
    )
    assert view.party_caller_name == CALLER
    pbx.switchboard.answer(call, "100")
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "100": ("Connected", CALLER)}
    assert pbx.truth(call).direction == "Inbound"


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


def test_a_call_in_a_queue_without_a_greeting_is_transferring_before_it_waits(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER, "+15153182960", "Sales")
    pbx.switchboard.route(call, "800", greeting=False)
    waiting = {"10000": ("Connected", CALLER), "800": ("Connected", CALLER)}
    assert (pbx.row(call)[1:], pbx.legs(call)) == (("800 Sales", "Transferring"), waiting)
    pbx.switchboard.wait(call)
    assert (pbx.row(call)[1:], pbx.legs(call)) == (("800 Sales", "Talking"), waiting)
    truth = pbx.truth(call)
    assert (truth.direction, truth.answered_at, truth.queue, truth.did) == (
        "FromExternal",
        None,
        "800",
        "Sales",
    )
    assert truth.talk_to == ("800",)


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


def test_a_ring_group_has_no_leg_of_its_own(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "600")
    assert pbx.legs(call) == {
        "10000": ("Dialing", CALLER),
        "101": ("Ringing", CALLER),
        "102": ("Ringing", CALLER),
    }
    assert [pbx.one(number).legid for number in ("101", "102")] == [4, 5]
    pbx.said()
    pbx.switchboard.answer(call, "102")
    assert pbx.said() == ["+10000", "+102", "-101"]
    assert pbx.legs(call) == {"10000": ("Connected", CALLER), "102": ("Connected", CALLER)}


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


def test_a_busy_extension_is_answered_by_voicemail(pbx: Bench) -> None:
    pbx.talk("101")
    call = pbx.switchboard.dial("100", "101")
    assert pbx.legs(call) == {"100": ("Connected", "999"), "999": ("Connected", "100")}
    assert (pbx.row(call)[1:], pbx.truth(call).answered_at) == (("999 Voicemail", "Talking"), None)
    assert pbx.one("100").party_dn_type == "Wspecialmenu"
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
    assert (pbx.truth(first).state, pbx.end(second).outcome) == ("Transferring", "missed")
    pbx.switchboard.answer(first, "101")
    assert pbx.truth(first).state == "Talking"


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


def test_a_restart_sweeps_all_calls_away_without_an_event(pbx: Bench) -> None:
    call = pbx.talk("100")
    pbx.said()
    pbx.switchboard.restart()
    assert pbx.said() == []
    assert (pbx.switchboard.active_calls(), pbx.switchboard.truth(), pbx.switchboard.ended()) == (
        [],
        [],
        [],
    )
    assert call.over
    assert not pbx.switchboard.busy("100")
    assert pbx.inbound("100").id == 1


def test_what_was_served_is_remembered_also_past_the_end(pbx: Bench) -> None:
    call = pbx.talk("100")
    view = pbx.one("100")
    pbx.switchboard.served_rows(pbx.switchboard.active_calls())
    pbx.switchboard.transfer(call, "100", "101")
    pbx.switchboard.end(call)
    pbx.switchboard.served_participant(view)
    assert pbx.end(call).shown == {"10002", "100"}


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
