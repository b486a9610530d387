"""Test what is concluded of the beginning of a call: the inbound rule, and an ordered call."""

from __future__ import annotations

import pytest

from monitor.pbx.facts import ActiveCall, ActiveCallsRead, CallOrdered, InboundRuleRow
from tests.monitor.tracking.pbx_facts import NOON, SOURCES, Counted, directory

CALLER = "10001 other (+4930555)"
RULES = (
    InboundRuleRow("Sales", "BasedOnDID", "+49301", "10001", ("800",)),
    InboundRuleRow("Office", "BasedOnDID", "+49302", "10001", ("600", "700")),
    InboundRuleRow("Desk", "BasedOnDID", "+49303", "10001", ("100",)),
    InboundRuleRow("Twice", "BasedOnDID", "+49304", "10001", ("102",)),
    InboundRuleRow("Elsewhere", "BasedOnDID", "+49305", "10000", ("800",)),
)
CALLEES = {
    "600": "600 Office",
    "700": "700 Main",
    "800": "800 Sales",
    "100": "100 Ext 100",
    "101": "101 Ext 101",
    "102": "102 Ext 102",
}


def ruled(source: str, *more: InboundRuleRow) -> Counted:
    """A PBX with inbound rules that lead to its DNs."""
    pbx = Counted(source)
    pbx.tell(directory(inbound_rules=(*RULES, *more)))
    return pbx


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("first", "did"),
    [
        ("800", "Sales"),
        ("700", "Office"),
        ("600", "Office"),
        ("100", "Desk"),
        ("101", "Sales"),  # an agent of 800, to whom no rule leads
        ("102", ""),  # an agent of 800, to whom a rule leads too
    ],
)
def test_the_only_rule_that_leads_where_the_call_came_first_is_its_did(
    source: str, first: str, did: str
) -> None:
    pbx = ruled(source)
    if first[0] == "1":
        pbx.see(first, 1, 7, "Ringing", "10001:+4930555", 4, originated_by_dn="ROUTER")
    pbx.rows((7, CALLER, CALLEES[first], "Routing" if first[0] in "16" else "Talking"))
    assert pbx.call(7).did == did
    pbx.gone(first, 1)
    pbx.rows((7, CALLER, "100 Ext 100", "Rerouting"))
    assert pbx.call(7).did == did, "it was the first one that counts"
    pbx.rows()
    (ended,) = pbx.ended
    assert ended.did == did


def test_a_group_that_the_row_names_tells_for_whom_its_members_ring() -> None:
    pbx = ruled(SOURCES[0], InboundRuleRow("Direct", "BasedOnDID", "+49306", "10001", ("104",)))
    pbx.see("104", 1, 7, "Ringing", "10001:+4930555", 4, originated_by_dn="ROUTER")
    assert pbx.call(7).did == "", "by its own number, or for its group"
    pbx.see("105", 2, 7, "Ringing", "10001:+4930555", 5, originated_by_dn="ROUTER")
    assert pbx.call(7).did == "Office", "both of them ring"
    pbx.see("104", 3, 8, "Ringing", "10001:+4930555", 4, on_behalf_of_dn="600")
    assert pbx.call(8).did == "Office"
    pbx.see("104", 4, 9, "Ringing", "10001:+4930555", 4)
    pbx.rows((9, CALLER, "600 Office", "Routing"))
    assert pbx.call(9).did == "Office"


@pytest.mark.parametrize("source", SOURCES)
def test_a_rule_is_not_inferred_from_where_a_call_is_long_after_its_beginning(source: str) -> None:
    pbx = ruled(source)
    row = ActiveCall(7, CALLER, "800 Sales", "Talking", pbx.now - 60, pbx.now - 60)
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now))
    assert pbx.call(7).did == "", "it may have come there from anywhere"


@pytest.mark.parametrize("source", SOURCES)
def test_the_next_monitor_keeps_the_rule_that_was_found(source: str) -> None:
    pbx = ruled(source)
    pbx.rows((7, CALLER, "800 Sales", "Talking"))
    heir = Counted(source, memories=pbx.tracker.state)
    heir.tell(directory(inbound_rules=RULES))
    row = ActiveCall(7, CALLER, "800 Sales", "Talking", NOON, NOON)
    heir.tell(ActiveCallsRead((row,), heir.now + 60, heir.now + 60))
    assert heir.call(7).did == "Sales"


@pytest.mark.parametrize("first", ["order", "call"])
@pytest.mark.parametrize("source", SOURCES)
def test_an_ordered_call_is_that_of_the_extension_that_was_to_call(source: str, first: str) -> None:
    pbx = Counted(source)
    order = CallOrdered(7, "101", "102", pbx.now)
    if first == "order":
        pbx.tell(order)
    for phone in (1, 2):
        pbx.see("101", phone, 7, "Ringing", "102", phone)
    pbx.rows((7, "MakeCall", "101 Ext 101", "Routing"))
    if first == "call":
        pbx.tell(order)
    call = pbx.call(7)
    assert (call.direction, call.owner and call.owner.dn_num) == ("FromInternal", "101")
    assert pbx.legs(7) == {"101": ("Ringing", "102")}
    (talk,) = pbx.extension("101").talks
    assert talk.num == "102"
    for phone in (1, 2):
        pbx.gone("101", phone)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction) == ("unanswered", "FromInternal")
    assert (ended.caller, ended.callee, ended.callee_name) == ("101", "102", "Ext 102")


@pytest.mark.parametrize("source", SOURCES)
def test_an_ordered_call_to_outside_that_is_answered_is_outbound(source: str) -> None:
    pbx = Counted(source)
    pbx.tell(CallOrdered(7, "101", "+49888", pbx.now))
    pbx.see("101", 1, 7, "Ringing", "10000:+49888")
    pbx.rows((7, "MakeCall", "101 Ext 101", "Routing"))
    assert (pbx.call(7).direction, list(pbx.legs(7))) == ("FromInternal", ["101"])
    pbx.see("101", 1, 7, "Dialing", "10000:+49888")
    pbx.rows((7, "101 Ext 101", "10000 skyetel (+49888)", "Routing"))
    assert (pbx.call(7).direction, pbx.legs(7)["10000"]) == ("Outbound", ("Ringing", "+49888"))
    pbx.see("101", 1, 7, "Connected", "10000:+49888")
    pbx.rows((7, "101 Ext 101", "10000 skyetel (+49888)", "Talking"))
    assert pbx.extension("101").activity == "Talking"
    pbx.gone("101", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.callee) == ("answered", "Outbound", "+49888")
    figure = pbx.figures("extstats", "101")
    assert (figure.offered, figure.placed) == (0, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_an_order_is_not_that_of_a_later_call_with_its_id(source: str) -> None:
    pbx = Counted(source)
    pbx.tell(CallOrdered(7, "101", "102", pbx.now))
    pbx.now += 120
    pbx.see("104", 1, 7, "Ringing", "10001:+4930555", 4)
    pbx.rows((7, CALLER, "104 Ext 104", "Routing"))
    assert pbx.call(7).direction == "Inbound"
    row = ActiveCall(8, CALLER, "100 Ext 100", "Talking", pbx.now - 600, pbx.now - 600)
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now))
    pbx.tell(CallOrdered(8, "101", "102", pbx.now))
    owner = pbx.call(8).owner
    assert owner is not None
    assert owner.dn_num == "10001", "it has lasted ten minutes"
