"""Test which legs a call has: ring groups, listeners, pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.pbx.facts import ParticipantSeen, PeerRow, RingGroupRow
from tests.monitor.tracking.pbx_facts import SOURCES, Counted, directory, participant

CALLER = "10000 skyetel (+4930555)"


def rung(pbx: Counted, id_: int = 7) -> list[str]:
    """The DNs to which the call is being routed."""
    return [leg.dn_num for leg in pbx.call(id_).routing_to]


@pytest.mark.parametrize("source", SOURCES)
def test_a_ring_group_rings_until_its_members_are_seen_to_ring(source: str) -> None:
    pbx = Counted(source)
    pbx.rows((7, CALLER, "600 Office", "Routing"))
    assert rung(pbx) == ["600"]
    assert pbx.call(7).routing_to[0].dn_type == "ringgroup"
    assert pbx.call(7).direction == "Inbound"
    pbx.see("104", 1, 7, "Ringing", "10000:+4930555", 4, on_behalf_of_dn="600")
    pbx.see("105", 2, 7, "Ringing", "10000:+4930555", 5, on_behalf_of_dn="600")
    pbx.rows((7, CALLER, "600 Office", "Routing"))
    assert rung(pbx) == (["104", "105"] if source == SOURCES[0] else ["600"])
    pbx.gone("105", 2)
    pbx.see("104", 1, 7, "Connected", "10000:+4930555", 4, on_behalf_of_dn="600")
    pbx.rows((7, CALLER, "104 Ext 104", "Talking"))
    assert rung(pbx) == []
    assert [leg.dn_num for leg in pbx.call(7).talk_to] == ["104"]
    pbx.gone("104", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.callee, ended.groups) == ("answered", "104", ("600",))


@pytest.mark.parametrize("source", SOURCES)
def test_an_internal_call_to_a_ring_group_that_nobody_takes_is_missed(source: str) -> None:
    pbx = Counted(source)
    pbx.see("100", 1, 7, "Dialing", "600", 1)
    pbx.rows((7, "100 Ext 100", "600 Office", "Routing"))
    assert rung(pbx) == ["600"]
    pbx.gone("100", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.callee) == ("missed", "Internal", "600")


def listeners(pbx: Counted, id_: int = 7) -> list[str]:
    """DNs that listen in the call."""
    return [leg.dn_num for leg in pbx.call(id_).legs if leg.listening]


def counts(pbx: Counted, num: str) -> tuple[int, int, int]:
    """What the figures say of an extension: offered, answered, placed."""
    figure = pbx.figures("extstats", num)
    return figure.offered, figure.answered, figure.placed


def talking(source: str) -> Counted:
    """A caller from outside talks with 101."""
    pbx = Counted(source)
    pbx.see("101", 1, 7, "Ringing", "10000:+4930555", 4, originated_by_dn="ROUTER")
    pbx.rows((7, CALLER, "101 Ext 101", "Routing"))
    pbx.see("101", 1, 7, "Connected", "10000:+4930555", 4, originated_by_dn="ROUTER")
    pbx.rows((7, CALLER, "101 Ext 101", "Talking"))
    pbx.now += 10
    return pbx


@pytest.mark.parametrize("source", SOURCES)
def test_a_supervisor_who_listens_in_has_neither_been_rung_nor_answered(source: str) -> None:
    pbx = talking(source)
    pbx.see("103", 9, 7, "Connected", "101", 9)
    pbx.rows((7, CALLER, "101 Ext 101", "Talking"))
    seen = source == SOURCES[0]
    assert listeners(pbx) == (["103"] if seen else [])
    assert pbx.extension("103").activity == ("Listening" if seen else "Idle")
    assert pbx.extension("101").activity == "Talking"
    assert [leg.dn_num for leg in pbx.call(7).talk_to] == ["101"]
    assert counts(pbx, "103") == (0, 0, 0)
    heir = Counted(source, memories=pbx.tracker.state)
    if seen:
        heir.full(
            participant("101", 1, 7, "Connected", "10000:+4930555", 4),
            participant("103", 9, 7, "Connected", "101", 9),
        )
        assert listeners(heir) == ["103"], "the next monitor knows it"
    pbx.gone("103", 9)
    pbx.gone("101", 1)
    pbx.rows()
    assert (counts(pbx, "103"), counts(pbx, "101")) == ((0, 0, 0), (1, 1, 0))
    (ended,) = pbx.ended
    assert (ended.outcome, ended.callee) == ("answered", "101")


def test_a_supervisor_may_listen_in_at_the_moment_after_the_answer() -> None:
    pbx = Counted(SOURCES[0])
    pbx.see("101", 1, 7, "Ringing", "10000:+4930555", 4, originated_by_dn="ROUTER")
    pbx.see("101", 1, 7, "Connected", "10000:+4930555", 4, originated_by_dn="ROUTER")
    pbx.now += 0.05
    pbx.see("103", 9, 7, "Connected", "101", 9)
    assert listeners(pbx) == ["103"]
    assert counts(pbx, "103") == (0, 0, 0)


def test_a_listener_talks_once_one_of_the_others_has_left() -> None:
    pbx = talking(SOURCES[0])
    pbx.see("103", 9, 7, "Connected", "101", 9)
    pbx.see("103", 9, 7, "Connected", "10000:+4930555", 9)
    pbx.gone("101", 1)
    assert (listeners(pbx), pbx.extension("103").activity) == ([], "Talking")


@pytest.mark.parametrize(
    ("party", "more"),
    [
        ("10000:+4930555", {}),  # the second part of an attended transfer
        ("101", {"referred_by_dn": "101"}),
        ("101", {"originated_by_dn": "ROUTER"}),
        ("101", {"on_behalf_of_dn": "800"}),
        ("997", {"party_dn_type": "Wconference"}),
    ],
)
def test_who_comes_by_a_transfer_a_queue_or_a_conference_is_no_listener(
    party: str, more: dict[str, Any]
) -> None:
    pbx = talking(SOURCES[0])
    kind = more.pop("party_dn_type", None)
    came = participant("103", 9, 7, "Connected", party, 9, **more)
    came = came if kind is None else replace(came, party_dn_type=kind)
    pbx.tell(ParticipantSeen(came, pbx.now, pbx.now))
    assert listeners(pbx) == []


def test_who_rang_first_is_no_listener_and_nor_is_one_of_two_who_have_just_met() -> None:
    pbx = talking(SOURCES[0])
    pbx.see("103", 9, 7, "Ringing", "101", 9)
    pbx.see("103", 9, 7, "Connected", "101", 9)
    assert listeners(pbx) == [], "it was invited"

    pbx = Counted(SOURCES[0])
    pbx.see("100", 1, 7, "Dialing", "101", 1)
    pbx.see("101", 2, 7, "Connected", "100", 2)
    pbx.see("100", 1, 7, "Connected", "101", 1)
    pbx.now -= 1
    pbx.see("103", 3, 7, "Connected", "100", 3)
    assert listeners(pbx) == [], "the two others had not talked before"


def test_who_comes_by_an_attended_transfer_inside_is_no_listener() -> None:
    pbx = Counted(SOURCES[0])
    pbx.see("100", 1, 7, "Dialing", "101", 1)
    pbx.see("101", 2, 7, "Ringing", "100", 2)
    pbx.see("101", 2, 7, "Connected", "100", 2)
    pbx.see("100", 1, 7, "Connected", "101", 1)
    pbx.now += 30
    pbx.gone("101", 2)
    pbx.see("103", 9, 7, "Connected", "100", 9)
    assert listeners(pbx) == [], "the leg that still names 101 is read again later"
    pbx.see("100", 1, 7, "Connected", "103", 1)
    assert listeners(pbx) == []
    assert counts(pbx, "103") == (1, 1, 0)


@pytest.mark.parametrize("named_by", ["caller", "behalf", "row"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_page_is_answered_by_none_of_its_phones(source: str, named_by: str) -> None:
    pbx = Counted(source)
    pbx.tell(
        directory(ring_groups=(RingGroupRow(9, "601", "Hall", ("102", "103", "104"), "Paging"),))
    )
    behalf = {"on_behalf_of_dn": "601"} if named_by == "behalf" else {}
    pbx.see("100", 1, 7, "Dialing", "601" if named_by == "caller" else "", 1)
    for at, phone in enumerate(("102", "103", "104"), start=2):
        pbx.see(phone, at, 7, "Connected", "100", at, **behalf)
    pbx.see("100", 1, 7, "Connected", "601" if named_by == "caller" else "102", 1)
    pbx.rows((7, "100 Ext 100", "601 Hall", "Talking"))
    call = pbx.call(7)
    assert (call.direction, call.answered_at) == ("Internal", None)
    assert listeners(pbx) == (["102", "103", "104"] if source == SOURCES[0] else [])
    assert pbx.extension("100").activity == "Talking"
    for at, phone in enumerate(("100", "102", "103", "104"), start=1):
        pbx.gone(phone, at)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.callee) == ("handled", "Internal", "601")
    assert [counts(pbx, num) for num in ("102", "103", "104")] == [(0, 0, 0)] * 3
    assert counts(pbx, "100") == (0, 0, 1)


@pytest.mark.parametrize(
    ("party", "callee", "activity"),
    [
        ("800", "800 Sales", "Waiting"),
        ("700", "700 Main", "Waiting"),
        ("999", "999 Voicemail", "Waiting"),
        ("102", "102 Ext 102", "Talking"),
        ("10000:+4930555", "10000 skyetel (+4930555)", "Talking"),
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_only_who_is_connected_to_a_person_talks(
    source: str, party: str, callee: str, activity: str
) -> None:
    pbx = Counted(source)
    pbx.tell(directory(peers=(PeerRow("999", "Voicemail", "SpecialMenu"),)))
    pbx.see("101", 1, 7, "Connected", party, 1)
    if party == "102":
        pbx.see("102", 2, 7, "Connected", "101", 2)
    pbx.rows((7, "101 Ext 101", callee, "Talking"))
    found = pbx.extension("101")
    assert (found.status, found.activity) == ("Busy", activity)
    assert found.since is not None


@pytest.mark.parametrize("source", SOURCES)
def test_who_is_transferred_waits_while_the_next_phone_rings(source: str) -> None:
    pbx = Counted(source)
    pbx.see("100", 1, 7, "Connected", "101", 1)
    pbx.see("101", 2, 7, "Connected", "100", 2)
    pbx.rows((7, "100 Ext 100", "101 Ext 101", "Talking"))
    assert pbx.extension("100").activity == "Talking"
    pbx.see("102", 3, 7, "Ringing", "100", 3, referred_by_dn="101")
    pbx.see("100", 1, 7, "Connected", "102", 1)
    pbx.gone("101", 2)
    pbx.rows((7, "100 Ext 100", "102 Ext 102", "Transferring"))
    assert pbx.extension("100").activity == "Waiting"
    waits = pbx.extension("100").since
    pbx.now += 20
    pbx.see("102", 3, 7, "Connected", "100", 3, referred_by_dn="101")
    pbx.rows((7, "100 Ext 100", "102 Ext 102", "Talking"))
    talks = pbx.extension("100")
    assert talks.activity == "Talking"
    assert waits is not None
    assert talks.since is not None
    assert talks.since > waits, "it has not talked while the phone rang"
