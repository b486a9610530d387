"""Test which legs a call has."""

from __future__ import annotations

from dataclasses import replace

from monitor.pbx.facts import Participant
from monitor.tracking.call_evidence import CallReading
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import find_legs
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


def test_a_phone_whose_calls_are_forwarded_has_no_leg_though_the_dialling_leg_names_it() -> None:
    inside = Originator("100", external=False, number="100")
    own = participant("100", 1, 1, "Dialing", "101")
    there = participant("103", 2, 1, "Ringing", "100", on_behalf_of_dn="101")
    said = reading(own, there, row=row("100 Ext 100", "103 Ext 103", "Routing"))
    assert [leg[0] for leg in legs(said, originator=inside)] == ["100", "103"]
    bridged = legs(said, originator=inside, visible=frozenset(("100", "103")))
    assert [leg[0] for leg in bridged] == ["100", "103", "101"], "nothing tells that it has none"
    held = {"100": ("Dialing", 0.0), "103": ("Ringing", 0.0)}
    taken = reading(replace(own, status="Connected"), replace(there, status="Connected"))
    found = find_legs(taken, inside, Place(), INDEX, frozenset(EXTENSIONS), held)
    assert [leg.dn for leg in found] == ["100", "103"]


def test_a_leg_that_tells_no_other_side_has_the_originator_there() -> None:
    silent = participant("101", 1, 1, "Ringing", "")
    assert legs(reading(silent)) == [("101", "Ringing", "+49", False)]
    own = participant("100", 1, 1, "Dialing", "")
    inside = Originator("100", external=False, number="100")
    assert legs(reading(own), originator=inside) == [("100", "Dialing", "", False)]


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


def test_a_phone_that_takes_a_partners_place_is_no_talker_before_its_own_leg_is_read() -> None:
    inside = Originator("100", external=False, number="100")
    said = reading(participant("100", 1, 1, "Connected", "102"))
    place = Place(caller_connected=True)
    talked = {"100": ("Connected", 1.0), "101": ("Connected", 1.0)}

    def rung(held: dict[str, tuple[str, float]], said: CallReading = said) -> list[str]:
        legs = find_legs(said, inside, place, INDEX, frozenset(EXTENSIONS), held)
        return [leg.status for leg in legs if leg.dn == "102"]

    assert rung(talked) == []
    assert rung(talked | {"102": ("Ringing", 2.0)}) == ["Ringing"]
    assert rung({"100": ("Dialing", 1.0)}) == ["Connected"]
    ringing = participant("102", 2, 1, "Ringing", "100")
    both = reading(participant("100", 1, 1, "Connected", "102"), ringing)
    assert rung(talked, both) == ["Ringing"]
    row_says = reading(
        participant("100", 1, 1, "Connected", "102"), row=row("100 Ext 100", "102 Ext 102")
    )
    assert rung(talked, row_says) == ["Connected"]
    before = reading(
        participant("100", 1, 1, "Connected", "102"), row=row("100 Ext 100", "101 Ext 101")
    )
    old = replace(before, fresh=False)
    legs = find_legs(old, inside, place, INDEX, frozenset({"100"}), talked)
    assert [leg.status for leg in legs if leg.dn == "102"] == ["Ringing"], "a row will tell"


TALKED = {"100": ("Connected", 1.0), "10000": ("Connected", 1.0), "104": ("Ringing", 2.0)}
HALF = frozenset({"101", "103"})


def after_a_row(
    *participants: Participant,
    callee: str = "10000 skyetel (+49)",
    held: dict[str, tuple[str, float]] = TALKED,
) -> list[tuple[str, str]]:
    """Return the legs after an event that came after the row."""
    said = replace(reading(*participants, row=row("100 Ext 100", callee)), fresh=False)
    inside = Originator("100", external=False, number="100")
    place = Place(caller_connected=True)
    return [(leg.dn, leg.status) for leg in find_legs(said, inside, place, INDEX, HALF, held)]


def test_who_was_told_by_a_row_stays_as_held_if_an_event_does_not_contradict_it() -> None:
    assert after_a_row() == [("100", "Connected"), ("10000", "Connected")]
    rings = participant("101", 1, 1, "Ringing", "10000:+49")
    assert after_a_row(rings)[-1] == ("10000", "Connected")
    assert ("104", "Ringing") in after_a_row(rings, callee="104 Ext 104")
    guest = participant("101", 1, 1, "Connected", "990")
    assert ("100", "Connected") in after_a_row(guest)
    assert after_a_row(held={}) == [], "an old row tells of nobody new"


def test_who_was_told_by_a_row_is_gone_if_an_event_contradicts_it() -> None:
    answered = participant("101", 1, 1, "Connected", "100")
    assert "104" not in dict(after_a_row(answered, callee="104 Ext 104"))
    assert "10000" not in dict(after_a_row(answered)), "101 talks with 100"
    sent_on = participant("101", 1, 1, "Ringing", "10000:+49", referred_by_dn="100")
    assert "100" not in dict(after_a_row(sent_on))
    assert dict(after_a_row(callee="101 Ext 101", held=TALKED | {"101": ("Connected", 1.0)})) == {
        "100": "Connected"
    }, "Call Control shows the legs of 101"


def test_a_queue_or_menu_that_calls_back_has_no_leg_while_the_agents_phone_rings() -> None:
    agent = Originator("101", external=False, number="101")
    for caller in ("800 Sales", "700 Main"):
        said = reading(
            participant("101", 1, 1, "Ringing", ""), row=row(caller, "101 Ext 101", "Routing")
        )
        assert [leg[:2] for leg in legs(said, originator=agent)] == [("101", "Ringing")]
    queue = Originator("800", external=False)
    out = reading(row=row("800 Sales", "10000 skyetel (+49)", "Routing"))
    assert [leg[0] for leg in legs(out, originator=queue)] == ["800", "10000"]


def test_a_machine_has_the_party_that_is_still_there_once_the_originator_has_left() -> None:
    inside = Originator("100", external=False, number="100")
    said = reading(participant("101", 1, 1, "Connected", "999"))
    assert ("999", "Connected", "101", False) in legs(said, originator=inside)
    own = reading(participant("100", 1, 1, "Connected", "999"))
    assert ("999", "Connected", "100", False) in legs(own, originator=inside)
