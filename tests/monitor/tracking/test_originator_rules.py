"""Test who began a call."""

from __future__ import annotations

import pytest

from monitor.pbx.facts import Participant
from monitor.tracking.call_evidence import CallReading
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.originator_rules import Originator, find_originator
from tests.monitor.tracking.pbx_facts import directory, participant
from tests.monitor.tracking.test_call_evidence import reading, row

INDEX = DirectoryIndex(directory())


def begun(said: CallReading) -> tuple[str, bool | None, str]:
    found = find_originator(said, Originator(), INDEX, 0.0)
    return found.dn, found.external, found.number


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (participant("100", 1, 1, "Dialing", "101"), ("100", False, "100")),
        (participant("101", 1, 1, "Ringing", "100"), ("100", False, "100")),
        (participant("101", 1, 1, "Ringing", "10000:+49"), ("10000", True, "+49")),
        (participant("10000", 1, 1, "Connected", "800:+49", 1), ("10000", True, "+49")),
        (
            participant("100", 1, 1, "Ringing", "", originated_by_dn="100"),
            ("100", False, "100"),
        ),
        (
            participant("101", 1, 1, "Connected", "10000:+49", 2, originated_by_dn="ROUTER"),
            ("10000", True, "+49"),
        ),
        (participant("101", 1, 1, "Ringing", "100", referred_by_dn="102"), ("", None, "")),
    ],
)
def test_a_participant_tells_who_began(
    seen: Participant, expected: tuple[str, bool | None, str]
) -> None:
    assert begun(reading(seen)) == expected


def test_the_row_tells_who_began_and_whom_an_ordered_call_is_for() -> None:
    assert begun(reading(row=row("10000 skyetel (+491701)", ""))) == ("10000", True, "+491701")
    assert begun(reading(row=row("MakeCall", "101 Ext 101"))) == ("101", False, "101")
    assert begun(reading(row=row("", "101 Ext 101"))) == ("", None, "")


def test_the_originator_is_kept_and_its_number_may_still_be_told() -> None:
    before = Originator("10000", external=True)
    said = reading(row=row("10000 skyetel (+491701)", "101 Ext 101"))
    assert find_originator(said, before, INDEX, 0.0).number == "+491701"
    inside = Originator("100", external=False, number="100")
    assert find_originator(said, inside, INDEX, 0.0) == inside


def test_a_withheld_number_stays_withheld() -> None:
    hidden = find_originator(
        reading(row=row("10000 skyetel (anonymous)", "")), Originator(), INDEX, 0.0
    )
    assert (hidden.external, hidden.number, hidden.withheld) == (True, "", True)
    said = reading(row=row("10000 skyetel (+491701)", ""))
    assert find_originator(said, hidden, INDEX, 0.0).withheld


def test_a_queue_or_menu_that_calls_back_through_an_agents_phone_orders_the_call() -> None:
    for caller in ("800 Sales", "700 Main"):
        back = reading(row=row(caller, "101 Ext 101", "Routing"))
        assert begun(back) == ("101", False, "101")
    out = reading(row=row("800 Sales", "10000 skyetel (+49)", "Routing"))
    assert begun(out)[0] == "800"
