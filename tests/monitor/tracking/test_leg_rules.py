"""Test which legs a call has: ring groups, listeners, pages."""

from __future__ import annotations

import pytest

from tests.monitor.tracking.pbx_facts import SOURCES, Counted

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
