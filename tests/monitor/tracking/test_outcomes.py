"""Test what is concluded of a call's direction and outcome."""

from __future__ import annotations

import pytest

from monitor.pbx.facts import ConnectionChanged
from tests.monitor.tracking.pbx_facts import SOURCES, Counted, participant

CALLER = "10000 skyetel (+4930555)"


def outcome(pbx: Counted) -> tuple[str, str]:
    """Outcome and direction of the only call that ended."""
    (ended,) = pbx.ended
    return ended.outcome, ended.direction


@pytest.mark.parametrize("source", SOURCES)
def test_a_call_that_has_rung_somebody_stays_inbound_between_two_rings(source: str) -> None:
    pbx = Counted(source)
    pbx.rows((7, CALLER, "800 Sales", "Talking"))
    assert pbx.call(7).direction == "FromExternal", "nobody has been rung"
    pbx.see("101", 1, 7, "Ringing", "10000:+4930555", 4, on_behalf_of_dn="800")
    pbx.rows((7, CALLER, "101 Ext 101", "Routing"))
    assert pbx.call(7).direction == "Inbound"
    pbx.gone("101", 1)
    pbx.rows((7, CALLER, "800 Sales", "Talking"))
    assert pbx.call(7).direction == "Inbound"
    heir = Counted(source, memories=pbx.tracker.state)
    heir.rows((7, CALLER, "800 Sales", "Talking"))
    assert heir.call(7).direction == "Inbound", "the next monitor knows it"
    heir.rows()
    assert outcome(heir) == ("abandoned", "Inbound")


def test_the_direction_follows_the_originator_once_that_is_known() -> None:
    pbx = Counted(SOURCES[0])
    pbx.rows((7, "", "800 Sales", "Talking"))
    assert pbx.call(7).direction == "FromInternal", "nothing tells who calls"
    pbx.rows((7, CALLER, "800 Sales", "Talking"))
    assert pbx.call(7).direction == "FromExternal"
    pbx.rows()
    assert outcome(pbx) == ("abandoned", "FromExternal")


def test_an_internal_call_that_was_found_and_never_showed_its_callee_ends_unknown() -> None:
    dialling = participant("100", 1, 7, "Dialing", "")
    pbx = Counted(SOURCES[0])
    pbx.full(dialling)
    pbx.full()
    pbx.rows()
    assert outcome(pbx)[0] == "unknown", "nobody saw whom it was for"

    pbx = Counted(SOURCES[0])
    pbx.see("100", 1, 7, "Dialing", "")
    pbx.gone("100", 1)
    pbx.rows()
    assert outcome(pbx)[0] == "unanswered", "it was seen from its beginning"

    pbx = Counted(SOURCES[0])
    pbx.full(dialling)
    pbx.see("100", 1, 7, "Dialing", "102")
    pbx.gone("100", 1)
    pbx.rows()
    assert outcome(pbx)[0] == "missed", "it was for 102"


def ring(pbx: Counted) -> None:
    """Ring at 102, and stop."""
    pbx.see("102", 2, 7, "Ringing", "100")
    pbx.gone("102", 2)


@pytest.mark.parametrize("rang", ["", "before", "after"])
def test_an_internal_call_that_the_next_monitor_sees_end_without_a_ring_ends_unknown(
    rang: str,
) -> None:
    dialling = participant("100", 1, 7, "Dialing", "")
    pbx = Counted(SOURCES[0])
    pbx.see("100", 1, 7, "Dialing", "")
    if rang == "before":
        ring(pbx)
    heir = Counted(SOURCES[0], pbx.tracker.state)
    heir.full(dialling)
    if rang == "after":
        ring(heir)
    heir.gone("100", 1)
    heir.rows()
    assert outcome(heir)[0] == ("missed" if rang else "unknown"), "a phone may have rung meanwhile"


def test_a_row_without_a_callee_that_was_found_ends_unknown() -> None:
    pbx = Counted(SOURCES[1])
    pbx.rows((7, "100 Ext 100", "", "Initiating"))
    pbx.rows()
    assert outcome(pbx)[0] == "unanswered", "it was seen from its beginning"
    pbx.tell(ConnectionChanged("lost", "", pbx.now))
    pbx.tell(ConnectionChanged("connected", "", pbx.now, SOURCES[1]))
    pbx.rows((8, "100 Ext 100", "", "Initiating"))
    pbx.rows()
    assert pbx.ended[-1].outcome == "unknown"
