"""Where a dialled number leads."""

from __future__ import annotations

from tests.monitor.simulator.exchange_bench import (
    CALLER,
    MOBILE,
    NO_DEVICE,
    Bench,
)


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


def test_a_busy_extension_is_answered_by_voicemail(pbx: Bench) -> None:
    pbx.talk("101")
    call = pbx.switchboard.dial("100", "101")
    assert pbx.legs(call) == {"100": ("Connected", "999"), "999": ("Connected", "100")}
    assert (pbx.row(call)[1:], pbx.truth(call).answered_at) == (("999 Voicemail", "Talking"), None)
    assert pbx.one("100").party_dn_type == "Wspecialmenu"
    assert pbx.end(call).outcome == "missed"


def test_without_a_mailbox_a_busy_or_absent_extension_is_a_failure(pbx: Bench) -> None:
    pbx.talk("101")
    for number, reason in (("101", "DestinationBusy"), (NO_DEVICE, "DestinationIsNotRegistered")):
        user = pbx.directory.entity(number)
        assert user is not None
        pbx.directory.update(user, {"VMEnabled": False})
        assert pbx.switchboard.makecall("100", "", number, None, {}).reason == reason


def test_transferto_reaches_queues_groups_menus_and_the_outside(pbx: Bench) -> None:
    for destination, legs in (
        ("800", {"10002", "800"}),
        ("600", {"10002", "101", "102"}),
        ("700", {"10002", "700"}),
    ):
        call = pbx.talk("100")
        assert pbx.act("100", "transferto", destination).finalstatus == "Success"
        assert set(pbx.legs(call)) == legs
        pbx.switchboard.end(call)
    call = pbx.talk("100")
    pbx.act("100", "transferto", MOBILE)
    assert pbx.legs(call) == {"10002": ("Connected", CALLER), "10000": ("Ringing", MOBILE)}
