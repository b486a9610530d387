"""Test that whatever is held otherwise than it was is called a fault."""

from __future__ import annotations

from collections import Counter
from copy import copy
from functools import cache
from itertools import pairwise

import pytest
from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import mix_with
from monitor.statistics.daily_statistics import Statistics
from tests.comparison.differences import Difference, ended, live
from tests.comparison.figure_differences import counts, figures, sums
from tests.comparison.watched import NOON, Watched
from tests.truth.calls import Story

CALLS = 40
_TOLD = mix_with(without=("queue_callback",))
"""The kinds of calls that are held as they are."""
CHANGES: list[tuple[dict[str, object], str]] = [
    ({"direction": "Outbound"}, "live direction"),
    ({"state": "Initiating"}, "state"),
    ({"queue": "899"}, "live queue"),
    ({"started_at": from_unix(NOON - 1)}, "live startedAt too early"),
    ({"answered_at": from_unix(NOON - 1)}, "live answeredAt"),
    ({"legs": ()}, "party missing"),
]
_NOTHING: tuple[dict[str, object], str] = ({}, "")
ENDINGS = [
    ({"direction": "Internal"}, "ended direction"),
    ({"outcome": "unknown"}, "outcome"),
    ({"callee": "nobody"}, "callee"),
    ({"caller": "nobody"}, "caller"),
    ({"queue": "899"}, "ended queue"),
    ({"ended_at": from_unix(NOON - 1)}, "endedAt"),
    ({"answered_at": from_unix(NOON - 1)}, "ended answeredAt"),
]


@cache
def _looks() -> list[tuple[str, Difference]]:
    """All differences of calls in progress after each change, each with the kind expected."""
    pbx, found = Watched(5, Switches(), CALLS, mix=_TOLD), list[tuple[str, Difference]]()

    def look() -> None:
        for story in pbx.watcher.calls.values():
            held = pbx.held.state["calls"][str(story.id)]
            assert isinstance(held, topics.Call)
            for change, kind in (*CHANGES, _NOTHING):
                changed = replace(held, **change)
                evidence = pbx.evidence[id(story)]
                found.extend((kind, it) for it in live(story, changed, evidence))

    pbx.play(look)
    return found


@cache
def _over() -> tuple[Watched, list[tuple[Story, topics.EndedCall, Statistics]]]:
    """Traffic that is over, with every call, how it is held and what it counts for."""
    pbx = Watched(5, Switches(), CALLS, mix=_TOLD)
    found: dict[int, tuple[Story, topics.EndedCall, Statistics]] = {}

    def look() -> None:
        for story in pbx.watcher.over:
            for held in pbx.ended.get((story.id, story.continues), ()):
                alone = None if id(story) in found else pbx.alone(held)
                if alone is not None:
                    found[id(story)] = (story, held, alone)

    pbx.play(look)
    return pbx, list(found.values())


def _faults(found: list[Difference], kind: str) -> list[Difference]:
    return [it for it in found if it.excuse is None and it.kind.startswith(kind)]


@pytest.mark.parametrize("kind", [kind for _, kind in CHANGES])
def test_a_call_in_progress_that_is_held_otherwise_is_a_fault(kind: str) -> None:
    assert _faults([it for changed, it in _looks() if changed == ""], "") == []
    faults = _faults([it for changed, it in _looks() if changed == kind], kind)
    assert len({it.call for it in faults}) > CALLS / 3


def test_a_call_that_is_not_held_is_a_fault_and_so_is_one_that_is_told_twice_to_be_over() -> None:
    pbx, calls = _over()
    for story, held, _ in calls:
        evidence = pbx.evidence[id(story)]
        assert [it.kind for it in live(story, None, evidence)] == ["call missing"]
        assert [it.excuse for it in ended(story, [], evidence)] == [None]
        assert [it.excuse for it in ended(story, [], None)] == ["never told"]
        assert next(ended(story, [held, held], evidence)).kind == "ended more than once"


@pytest.mark.parametrize(("change", "kind"), ENDINGS)
def test_a_call_that_is_over_and_held_otherwise_is_a_fault(
    change: dict[str, object], kind: str
) -> None:
    pbx, calls = _over()
    found: list[Difference] = []
    for story, held, _ in calls:
        found += ended(story, [replace(held, **change)], pbx.evidence[id(story)])
    assert len({it.call for it in _faults(found, kind)}) > CALLS / 3


def test_a_callee_whose_ring_was_over_before_it_was_read_is_no_fault() -> None:
    pbx, calls = _over()
    rung = [
        (story, replace(held, callee="nobody"), pbx.evidence[id(story)])
        for story, held, _ in calls
        if pbx.visible.intersection(story.callees) and story.rang
    ]
    assert rung
    for story, held, evidence in rung:
        assert _faults(list(ended(story, [held], evidence)), "callee")
        unread = copy(evidence)
        unread._first_named = {}
        found = [it.excuse for it in ended(story, [held], unread) if it.kind.startswith("callee")]
        assert found == ["party not named"]


def test_what_another_call_counts_for_is_a_fault() -> None:
    pbx, calls = _over()
    found: list[Difference] = []
    for (story, _, _), (_, _, other) in pairwise(calls):
        found += figures(story, other, pbx.evidence[id(story)])
    for kind in ("queue's offered", "phone's offered", "phone's placed", "PBX's inbound calls"):
        assert _faults(found, kind), kind
    story = calls[0][0]
    assert [it.kind for it in figures(story, None, pbx.evidence[id(story)])] == ["counted nowhere"]


def test_a_day_that_is_not_the_sum_of_its_calls_is_a_fault() -> None:
    pbx, calls = _over()
    parts = Counter[str]()
    for _, _, alone in calls:
        parts.update(counts(alone))
    pbx.statistics.tick(pbx.now + 60)
    assert list(sums(pbx.statistics, parts)) == []
    parts["2023-11-15 inbound calls"] += 1
    assert [it.kind for it in sums(pbx.statistics, parts)] == [
        "day is not the sum of its calls: calls"
    ]
