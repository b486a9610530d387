"""Test every kind of call, step by step: legs, participants, rows and events."""

from __future__ import annotations

from tests.monitor.simulator.exchange_bench import CALLER, NOON, Bench

TRUNK = f"10002 Backup GSM, 2nd ({CALLER})"


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
