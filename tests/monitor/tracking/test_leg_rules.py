"""Test which legs a call has."""

from __future__ import annotations

from monitor.tracking.call_evidence import CallReading
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import find_legs
from monitor.tracking.originator_rules import Originator
from monitor.tracking.place_rules import Place
from tests.monitor.tracking.pbx_facts import EXTENSIONS, directory, participant
from tests.monitor.tracking.test_call_evidence import reading, row

INDEX = DirectoryIndex(directory())
OUTSIDE = Originator("10000", external=True, number="+49")


def legs(
    said: CallReading,
    place: Place = Place(),  # noqa: B008  # it is frozen
    originator: Originator = OUTSIDE,
    visible: frozenset[str] = frozenset(EXTENSIONS),
) -> list[tuple[str, str, str, bool]]:
    return [
        (leg.key, leg.status, leg.external_party, leg.withheld)
        for leg in find_legs(said, originator, place, INDEX, visible)
    ]


def test_the_other_side_of_a_listed_leg_is_a_leg_in_the_matching_state() -> None:
    inside = Originator("100", external=False, number="100")
    dialling = reading(participant("100", 1, 1, "Dialing", "101"))
    assert legs(dialling, originator=inside) == [
        ("100", "Dialing", "101", False),
        ("101", "Ringing", "100", False),
    ]
    ringing = reading(participant("101", 1, 1, "Ringing", "10000:+49"))
    assert legs(ringing) == [("10000", "Dialing", "+49", False), ("101", "Ringing", "+49", False)]
    accepted = Place(caller_connected=True)
    assert legs(ringing, accepted)[0] == ("10000", "Connected", "+49", False)


def test_the_phone_that_rings_next_rings_though_the_callers_leg_names_it_as_connected() -> None:
    own = reading(participant("10000", 1, 1, "Connected", "101:+49"))
    assert legs(own)[1][:2] == ("101", "Connected")
    assert legs(own, Place(routed_on=True, caller_connected=True))[1][:2] == ("101", "Ringing")


def test_a_row_adds_only_legs_that_call_control_does_not_show() -> None:
    said = reading(row=row("10000 skyetel (+49)", "101 Ext 101", "Routing"))
    assert legs(said) == [("10000", "Dialing", "+49", False)]
    assert legs(said, visible=frozenset())[1] == ("101", "Ringing", "+49", False)
    again = reading(row=row("10000 skyetel (+49)", "10000 skyetel (+48)", "Routing"))
    assert legs(again)[1] == ("10000/2", "Ringing", "+48", False)


def test_a_queue_keeps_its_leg_while_agents_ring() -> None:
    ringing = reading(participant("101", 1, 1, "Ringing", "10000:+49"))
    held = legs(ringing, Place(queue="800", caller_connected=True))
    assert ("800", "Connected", "+49", False) in held


def test_a_leg_without_a_number_is_withheld_if_it_says_so_or_the_caller_is() -> None:
    said = reading(participant("101", 1, 1, "Ringing", "10000:", withheld=False))
    hidden = Originator("10000", external=True, withheld=True)
    bare = Originator("10000", external=True)
    queue = Place(queue="800", caller_connected=True)
    assert [leg for leg in legs(said, queue, hidden) if leg[3]] == [("800", "Connected", "", True)]
    assert [leg for leg in legs(said, queue, bare) if leg[3]] == []
