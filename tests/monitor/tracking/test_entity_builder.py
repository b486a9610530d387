"""Test what an extension does in a call of many legs, and how a call ended."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.pbx.facts import UserRow
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.tracking.call_inference import CallAnswer, CallPath
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.entity_builder import call_outcome, talks_of
from monitor.tracking.pbx_state import PbxState
from tests.monitor.tracking.pbx_facts import NOON, directory
from tests.steps import steps

OUTSIDE = Originator("10000", external=True, number="+49")
INSIDE = Originator("100", external=False, number="100")


def leg(dn: str, kind: topics.DnType, status: str, since: float | None) -> topics.Leg:
    return topics.Leg(
        dn, kind, "", status, since=None if since is None else from_unix(NOON + since)
    )


def call(*legs: topics.Leg) -> topics.Call:
    at = from_unix(NOON)
    return topics.Call(1, "Inbound", "Talking", at, at, "", legs[0], legs[1:], (), legs)


def done(of: topics.Call) -> dict[str, tuple[str, str | None]]:
    """DN → what it does in the call, and since when."""
    return {dn: (talk.activity, talk.since) for dn, (talk,) in talks_of(of).items()}


def test_each_talks_since_it_and_the_first_of_the_others_have_been_there() -> None:
    talk = call(
        leg("10000", "externalline", "Connected", 0),
        leg("101", "extension", "Connected", 5),
        leg("102", "extension", "Connected", 9),
        leg("103", "extension", "Ringing", 11),
        leg("104", "extension", "Connected", None),
        replace(leg("105", "extension", "Connected", 12), listening=True),
    )
    assert done(talk) == {
        "10000": ("Talking", from_unix(NOON + 5)),
        "101": ("Talking", from_unix(NOON + 5)),
        "102": ("Talking", from_unix(NOON + 9)),
        "103": ("Ringing", from_unix(NOON + 11)),
        "104": ("Talking", None),
        "105": ("Listening", from_unix(NOON + 12)),
    }


def test_who_has_only_a_queue_or_a_phone_that_rings_beside_it_waits() -> None:
    alone = leg("101", "extension", "Connected", 3)
    assert done(call(alone))["101"] == ("Talking", from_unix(NOON + 3)), "nobody knows to whom"
    for other in (leg("800", "queue", "Connected", 7), leg("102", "extension", "Ringing", 7)):
        assert done(call(alone, other))["101"] == ("Waiting", from_unix(NOON + 7))
    both = (leg("800", "queue", "Connected", 7), leg("102", "extension", "Connected", None))
    assert done(call(alone, *both))["101"] == ("Talking", from_unix(NOON + 3))
    twice = call(leg("101", "extension", "Connected", 1), leg("101", "extension", "Connected", 2))
    assert [talk.since for talk in talks_of(twice)["101"]] == [from_unix(NOON + 2)] * 2


def test_the_extensions_of_one_call_cost_a_look_each_and_no_scan_of_all_its_legs() -> None:
    def cost(size: int) -> int:
        numbers = [f"2{n:04}" for n in range(size)]
        held = PbxState("monitor-1")
        held.replace_directory(
            directory(users=tuple(UserRow(n, num) for n, num in enumerate(numbers)))
        )
        held.draw_all()
        legs = (leg(num, "extension", "Connected", n) for n, num in enumerate(numbers))
        held.show(call(*legs))
        work = steps(held.settle)
        extensions = topics.table(held.state, "extensions", topics.Extension)
        assert all(extensions[num].activity == "Talking" for num in numbers)
        return work

    cost(100)  # fills caches
    assert cost(400) < 4.4 * cost(100)


@pytest.mark.parametrize(
    ("originator", "path", "expected"),
    [
        (OUTSIDE, CallPath(stage="queue", reached="101"), "abandoned"),
        (OUTSIDE, CallPath(reached="101"), "missed"),
        (OUTSIDE, CallPath(handled_by="HOL"), "handled"),
        (INSIDE, CallPath(), "unknown"),
        (INSIDE, CallPath(extensions=frozenset({"100"})), "unanswered"),
        (INSIDE, CallPath(extensions=frozenset({"100"}), reached="101"), "missed"),
        (INSIDE, CallPath(lines=frozenset({"10000"}), reached="10000"), "unanswered"),
    ],
)
def test_outcome_of_a_call_without_an_answer(
    originator: Originator, path: CallPath, expected: str
) -> None:
    assert call_outcome(originator, Place(), CallAnswer(), path, looking=True) == expected
    assert call_outcome(originator, Place(), CallAnswer(), path, looking=False) == "unknown"
    waits = path.stage == "queue"
    answered = call_outcome(originator, Place(), CallAnswer(1.0), path, looking=False)
    assert answered == ("abandoned" if waits else "answered")
