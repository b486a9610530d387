"""Test what became of a call: answer, direction and path."""

from __future__ import annotations

import pytest

from monitor.shared.entities import topics
from monitor.tracking.call_inference import (
    CallAnswer,
    CallPath,
    call_direction,
    find_answer,
    follow_path,
    lasting_direction,
    state_of_legs,
)
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.leg_rules import DerivedLeg
from tests.monitor.tracking.pbx_facts import NOON, participant
from tests.monitor.tracking.test_call_evidence import reading, row

OUTSIDE = Originator("10000", external=True, number="+49")
INSIDE = Originator("100", external=False, number="100")
TRUNK = DerivedLeg("10000", "externalline", "+49", "Connected")
RINGS = DerivedLeg("101", "extension", "+49", "Ringing")
TALKS = DerivedLeg("101", "extension", "+49", "Connected")
QUEUE = DerivedLeg("800", "queue", "+49", "Connected")
IVR = DerivedLeg("700", "ivr", "100", "Connected")


@pytest.mark.parametrize(
    ("originator", "legs", "direction"),
    [
        (OUTSIDE, (TRUNK, QUEUE), "FromExternal"),
        (OUTSIDE, (TRUNK, IVR), "FromExternal"),
        (OUTSIDE, (TRUNK, RINGS), "Inbound"),
        (OUTSIDE, (TRUNK, DerivedLeg("10001", "externalline", "+48", "Ringing")), "External"),
        (INSIDE, (QUEUE,), "FromInternal"),
        (INSIDE, (IVR,), "Internal"),
        (INSIDE, (TRUNK,), "Outbound"),
    ],
)
def test_direction_follows_from_originator_and_legs(
    originator: Originator, legs: tuple[DerivedLeg, ...], direction: topics.Direction
) -> None:
    assert call_direction(originator, legs) == direction


def test_the_lasting_direction_is_the_last_that_reached_somebody_else_the_last() -> None:
    assert lasting_direction(None, "FromInternal") == "FromInternal"
    assert lasting_direction("FromInternal", "FromExternal") == "FromExternal"
    assert lasting_direction("Inbound", "FromExternal") == "Inbound"
    assert lasting_direction("Inbound", "External") == "External"


def test_the_event_that_connects_two_people_is_the_answer() -> None:
    said = reading(participant("101", 1, 1, "Connected", "10000:+49"))
    found = find_answer(said, OUTSIDE, Place(), (TRUNK, TALKS), CallAnswer(), NOON)
    assert found == CallAnswer(NOON)
    first = find_answer(said, OUTSIDE, Place(), (TRUNK, TALKS), None, NOON)
    assert (first.at, first.time_uncertain) == (NOON, True)
    assert find_answer(said, OUTSIDE, Place(), (TRUNK, TALKS), CallAnswer(1.0), NOON).at == 1.0


def test_a_row_proves_the_answer_of_a_caller_whom_nothing_had_accepted() -> None:
    said = reading(row=row("10000 skyetel (+49)", "101 Ext 101"))
    assert find_answer(said, OUTSIDE, Place(), (TRUNK,), CallAnswer(), NOON + 5).at == NOON
    hosted = Place(hosted=True)
    assert find_answer(said, OUTSIDE, hosted, (TRUNK,), CallAnswer(), NOON + 5).at is None


@pytest.mark.parametrize(
    ("callees", "rang", "reached"),
    [
        ("101 Ext 101", "102", "101"),
        ("101 Ext 101, 102 Ext 102", "102", "102"),
        ("101 Ext 101, 102 Ext 102", "103", ""),
    ],
)
def test_who_rang_last_is_not_credited_with_an_answer_of_which_a_row_names_somebody_else(
    callees: str, rang: str, reached: str
) -> None:
    said = reading(row=row("10000 skyetel (+49)", callees))
    answer = find_answer(said, OUTSIDE, Place(), (TRUNK,), CallAnswer(), NOON)
    before = CallPath(reached=rang, reached_number=rang)
    path = follow_path(
        (TRUNK,), OUTSIDE, Place(), answer, before, NOON, answered_now=True, lasting=None
    )
    assert (path.reached, path.reached_number) == (reached, reached)


def test_state_of_legs() -> None:
    assert state_of_legs((TRUNK, TALKS)) == "Talking"
    assert state_of_legs((TRUNK, RINGS)) == "Routing"
    assert state_of_legs((DerivedLeg("100", "extension", "", "Dialing"),)) == "Initiating"
    assert state_of_legs(()) == "Unknown"


def follow(
    *legs: DerivedLeg,
    before: CallPath,
    now: float,
    answer: CallAnswer = CallAnswer(),  # noqa: B008
) -> CallPath:
    return follow_path(legs, OUTSIDE, Place(), answer, before, now, lasting=None)


def test_a_leg_that_comes_back_within_seconds_was_never_gone() -> None:
    path = follow(TRUNK, RINGS, before=CallPath(), now=NOON)
    gone = follow(TRUNK, before=path, now=NOON + 1)
    assert gone.presence["101"] == (NOON, NOON + 1)
    assert follow(TRUNK, RINGS, before=gone, now=NOON + 4).presence["101"] == (NOON, None)
    assert follow(TRUNK, RINGS, before=gone, now=NOON + 9).presence["101"] == (NOON + 9, None)
    assert gone.extensions == {"101"}


def test_the_call_has_reached_who_answered_and_before_that_who_rang_last() -> None:
    path = follow(TRUNK, RINGS, before=CallPath(), now=NOON)
    assert path.reached == "101"
    other = DerivedLeg("102", "extension", "+49", "Connected")
    answered = follow(TRUNK, other, before=path, now=NOON + 1, answer=CallAnswer(NOON + 1))
    assert answered.reached == "102"
    later = follow(TRUNK, TALKS, before=answered, now=NOON + 2, answer=CallAnswer(NOON + 1))
    assert later.reached == "102"


def test_a_call_that_is_first_seen_at_a_machine_was_not_answered_before() -> None:
    def unseen(*legs: DerivedLeg) -> bool:
        return find_answer(reading(), OUTSIDE, Place(), legs, None, NOON).unseen

    caller = DerivedLeg("100", "extension", "SP0", "Connected")
    for kind in ("routepoint", "fax", "parking", "ivr", "specialmenu"):
        assert not unseen(caller, DerivedLeg("M", kind, "100", "Connected")), kind
    assert not unseen(TRUNK, DerivedLeg("M", "routepoint", "+49", "Connected"))
    assert unseen(TRUNK, DerivedLeg("SP0", "parking", "+49", "Connected")), "who parked it?"
    assert unseen(caller)


def test_a_route_point_that_only_rings_did_not_take_the_call() -> None:
    rings = DerivedLeg("app", "routepoint", "+49", "Ringing")
    dialling = DerivedLeg("10000", "externalline", "+49", "Dialing")
    path = follow(dialling, rings, before=CallPath(), now=NOON)
    assert (path.hosted, path.handled_by, path.rang_app) == (False, "", "app")
    later = follow(dialling, before=path, now=NOON + 1)
    assert later.rang_app == "app"
    took = follow(
        TRUNK, DerivedLeg("app", "routepoint", "+49", "Connected"), before=path, now=NOON + 1
    )
    assert (took.hosted, took.handled_by) == (True, "app")
