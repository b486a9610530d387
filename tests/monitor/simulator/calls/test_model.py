"""Calls and their legs: who talks, who rings, and for whom."""

from __future__ import annotations

from monitor.simulator.calls.api_rows import Status
from monitor.simulator.calls.model import SimulatedCall, SimulatedLeg
from monitor.simulator.pbx_data.dn import Dn, DnKind

KINDS: dict[str, DnKind] = {
    "10000": "externalline",
    "800": "queue",
    "999": "specialmenu",
    "700": "conference",
}


def leg(number: str, status: Status, instead_of: str = "") -> SimulatedLeg:
    dn = Dn(number, KINDS.get(number, "extension"), "", 1)
    return SimulatedLeg(
        dn, status, outside="+491" if number == "10000" else "", instead_of=instead_of
    )


def call(*legs: SimulatedLeg) -> SimulatedCall:
    made = SimulatedCall(1, True, "10000", "+491", "+492", 0.0)
    made.legs = {each.dn.number: each for each in legs}
    return made


CALLER = leg("10000", "Connected")


def test_a_trunk_is_known_by_the_number_outside_and_all_others_by_their_own() -> None:
    assert CALLER.number == "+491"
    assert leg("101", "Ringing").number == "101"


def test_phones_ring_for_the_oldest_party_that_stays() -> None:
    agent, next_agent = leg("101", "Connected"), leg("102", "Ringing", instead_of="10000")
    assert call(CALLER, agent, leg("103", "Ringing")).calling() is CALLER
    assert call(CALLER, agent, next_agent).calling() is agent, "the caller is about to be replaced"
    assert call(leg("103", "Ringing")).calling() is None


def test_who_rings_does_not_talk_and_hosts_are_no_parties() -> None:
    made = call(CALLER, leg("800", "Connected"), leg("101", "Ringing"), leg("102", "Dialing"))
    assert [each.dn.number for each in made.talkers()] == ["10000", "102"]
    assert [each.dn.number for each in made.ringing()] == ["101"]


def test_a_caller_is_held_by_the_first_host_and_a_conference_is_none() -> None:
    queue, voicemail, conference = (
        leg("800", "Connected"),
        leg("999", "Connected"),
        leg("700", "Connected"),
    )
    made = call(CALLER, conference, queue, voicemail)
    assert (made.host, made.conference) == (queue, conference)
    assert made.of_kind("specialmenu", "queue") is queue
    assert call(CALLER).host is call(CALLER).conference is None
