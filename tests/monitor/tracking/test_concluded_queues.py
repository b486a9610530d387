"""Test which queue follows from the phones that ring, and when that is taken back.

The PBX does not name the queue: ``on_behalf_of`` is empty, and rows name the phone that rings.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.pbx.facts import (
    AgentRow,
    InboundRuleRow,
    ParticipantSeen,
    QueueRow,
    RingGroupRow,
    TrunkRow,
)
from tests.monitor.tracking.pbx_facts import Counted, Told, directory, participant

CALLER = "10000 skyetel (+49)"
OUTSIDE = "10000:+49"
SALES = QueueRow(1, "800", "Sales", (AgentRow("101"), AgentRow("102"), AgentRow("103")))
SUPPORT = QueueRow(9, "801", "Support", (AgentRow("102"), AgentRow("103"), AgentRow("104")))
TO_SALES = InboundRuleRow("Sales line", "BasedOnDID", "+4930100", "10000", ("800",))


@pytest.fixture
def pbx() -> Counted:
    return Counted("callcontrol+activecalls")


def ring(pbx: Told, *numbers: str, call: int = 8, apart: float = 0.01, did: str = "") -> None:
    """Let phones begin to ring, one ``apart`` seconds after the other."""
    began = pbx.now
    for place, number in enumerate(numbers):
        rung = participant(number, int(number), call, "Ringing", OUTSIDE, party_did=did)
        pbx.tell(ParticipantSeen(rung, pbx.now, began + place * apart))


def test_phones_that_ring_together_ring_for_the_only_queue_that_has_them_all(pbx: Counted) -> None:
    ring(pbx, "101", "102")
    call = pbx.call(8)
    assert (call.queue, call.queues) == ("800", ("800",))
    assert pbx.legs(8)["10000"][0] == "Connected", "a queue has accepted the caller"
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    assert pbx.call(8).queue == "800"
    pbx.gone("101", 101)
    pbx.see("102", 102, 8, "Connected", OUTSIDE)
    pbx.gone("102", 102)
    pbx.rows()
    assert (pbx.ended[0].queue, pbx.ended[0].outcome) == ("800", "answered")
    told = pbx.figures("queuestats", "800")
    assert (told.offered, told.answered, told.abandoned) == (1, 1, 0)


def test_a_single_phone_may_be_called_directly(pbx: Counted) -> None:
    ring(pbx, "101")
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    assert pbx.call(8).queues == ()
    assert pbx.figures("queuestats", "800").offered == 0


def test_phones_that_begin_one_after_the_other_are_not_rung_together(pbx: Counted) -> None:
    ring(pbx, "101", "102", apart=3.0)
    assert pbx.call(8).queues == ()


def test_of_several_queues_none_is_chosen_until_another_phone_decides(pbx: Counted) -> None:
    pbx.tell(directory(queues=(SALES, SUPPORT)))
    ring(pbx, "102", "103")
    assert pbx.call(8).queue == ""
    ring(pbx, "104")
    assert pbx.call(8).queue == "", "it began a second later"
    ring(pbx, "102", "103", "104", call=9)
    assert pbx.call(9).queue == "801"


def test_phones_of_one_ring_group_may_ring_for_the_group(pbx: Counted) -> None:
    pbx.tell(directory(ring_groups=(RingGroupRow(2, "600", "Office", ("101", "102"), "RingAll"),)))
    ring(pbx, "101", "102")
    assert pbx.call(8).queues == ()


@pytest.mark.parametrize("refuted_by", ["a phone", "a row"])
def test_a_conclusion_is_taken_back_when_the_pbx_says_otherwise(
    pbx: Counted, refuted_by: str
) -> None:
    ring(pbx, "101", "102")
    assert pbx.figures("queuestats", "800").offered == 1
    if refuted_by == "a phone":
        ring(pbx, "105")
    else:
        pbx.rows((8, CALLER, "600 Office", "Routing"))
    call = pbx.call(8)
    assert (call.queue, call.queues, call.queued_at) == ("", (), None)
    assert pbx.legs(8)["10000"][0] == "Dialing", "nobody has accepted the caller"
    assert pbx.queue().waiting == ()
    told = pbx.figures("queuestats", "800")
    assert (told.offered, told.waiting, told.diverted, told.abandoned) == (0, 0, 0, 0)
    pbx.gone("101", 101)
    pbx.gone("102", 102)
    pbx.gone("105", 105)
    pbx.rows()
    assert (pbx.ended[0].queue, pbx.ended[0].queues, pbx.ended[0].outcome) == ("", (), "missed")


def test_a_conclusion_that_the_pbx_confirms_is_as_good_as_told(pbx: Counted) -> None:
    ring(pbx, "101", "102")
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    ring(pbx, "105")
    assert pbx.call(8).queues == ("800",), "what was told is not taken back"


def test_who_goes_on_elsewhere_after_the_agents_fell_silent_was_in_the_queue(pbx: Counted) -> None:
    ring(pbx, "101", "102")
    pbx.gone("101", 101)
    pbx.gone("102", 102)
    pbx.rows((8, CALLER, "105 Ext 105", "Routing"))
    assert (pbx.call(8).queue, pbx.call(8).queues) == ("", ("800",))


@pytest.mark.parametrize(
    ("rules", "dids", "did", "queue"),
    [
        ((TO_SALES,), ("+4930100",), "", "800"),
        ((TO_SALES,), ("+4930100", "+4930199"), "", ""),
        ((TO_SALES,), ("+4930100", "+4930199"), "+4930100", "800"),
        ((TO_SALES,), ("+4930100",), "+4930199", ""),
        ((TO_SALES, replace(TO_SALES, data="*200", destinations=("101",))), (), "", ""),
        (
            (TO_SALES, replace(TO_SALES, data="*200", destinations=("101",))),
            (),
            "+4930100",
            "800",
        ),
        ((TO_SALES, replace(TO_SALES, data="*200", destinations=("101",))), (), "+4930200", ""),
        ((TO_SALES, replace(TO_SALES, data="*200", destinations=())), (), "", ""),
        ((replace(TO_SALES, destinations=("800", "700")),), (), "", ""),
        ((), (), "", ""),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_single_phone_rings_for_the_queue_to_which_alone_its_line_leads(
    pbx: Counted,
    rules: tuple[InboundRuleRow, ...],
    dids: tuple[str, ...],
    did: str,
    queue: str,
) -> None:
    trunk = TrunkRow(4, "10000", "skyetel", True, 10, did_numbers=dids)
    pbx.tell(directory(inbound_rules=rules, trunks=(trunk,)))
    ring(pbx, "101", did=did)
    assert pbx.call(8).queue == queue


def test_neither_a_transfer_nor_an_order_nor_a_call_inside_is_a_queues(pbx: Counted) -> None:
    for number in ("101", "102"):
        pbx.see(number, int(number), 8, "Ringing", OUTSIDE, referred_by_dn="100")
        pbx.see(number, int(number) + 100, 9, "Ringing", "100")
    assert pbx.call(8).queues == pbx.call(9).queues == ()
