"""Test that the levels of late are those of all visits, however they were added and asked for."""

from __future__ import annotations

import random

import pytest

from monitor.statistics import totals
from monitor.statistics.queue_visits import End
from monitor.statistics.recent_levels import HOUR_MS, RecentLevels
from monitor.statistics.totals import QueueTotals, RecentVisit
from tests.steps import steps

NOON = 1_772_625_600_000
"""A full minute."""
_ENDS: tuple[End, ...] = ("answered", "abandoned", "diverted", "waiting")


def visits(chance: random.Random, count: int, now: int) -> list[RecentVisit]:
    """Return visits of the last two hours."""
    return [
        RecentVisit(
            now - chance.randrange(2 * HOUR_MS), chance.randrange(40_000), chance.choice(_ENDS)
        )
        for _ in range(count)
    ]


def by_hand(seen: list[RecentVisit], since: int, target: int, short: int) -> tuple[int, int]:
    """Return how many visits count, and how many were answered in time."""
    judged = [
        visit
        for visit in seen
        if visit.since >= since
        and not (visit.end == "abandoned" and visit.wait < 1000 * short)
        and not (visit.end == "waiting" and visit.wait <= 1000 * target)
    ]
    answered = [
        visit for visit in judged if visit.end == "answered" and visit.wait <= 1000 * target
    ]
    return len(judged), len(answered)


@pytest.mark.parametrize("most", [totals.MOST_RECENT, 60])
def test_levels_are_those_of_all_visits_at_any_time(most: int) -> None:
    chance = random.Random(5)
    levels, today, yesterday = RecentLevels(), QueueTotals(), visits(chance, 30, NOON)
    minute, target, counted = NOON, 20, list[RecentVisit]()
    for turn in range(200):
        came = visits(chance, chance.randrange(3), minute)
        counted += came
        today.recent += came
        del today.recent[:-most]
        if chance.random() < 0.2:
            minute += 60_000
            today.forget_recent(minute - HOUR_MS - 60_000)
        if chance.random() < 0.1:
            target = 30 - target
            counted = list(today.recent)  # more are not kept to be judged anew
        if turn == 120:  # midnight
            today, yesterday, counted = QueueTotals(), today.recent, []
        waiting = visits(chance, 2, minute)
        now = minute + chance.randrange(60_000)
        found = levels.of("800", [today.recent, yesterday], waiting, now, (target, 5))
        whole = [*counted, *yesterday, *waiting]
        assert found == [
            by_hand(whole, minute - span, target, 5) for span in (HOUR_MS // 2, HOUR_MS)
        ]
        assert found[1][0] > 10


def test_the_oldest_visits_are_forgotten_up_to_one_that_is_not_old() -> None:
    begun = [1, 2, 9, 3]
    totals = QueueTotals(recent=[RecentVisit(since, 0, "answered") for since in begun])
    left = []
    for before in (2, 4, 10):
        totals.forget_recent(before)
        left.append([visit.since for visit in totals.recent])
    assert left == [[2, 9, 3], [9, 3], []]


def test_a_visit_is_looked_at_once() -> None:
    def cost(held: int) -> int:
        levels, chance = RecentLevels(), random.Random(7)
        begun = visits(chance, 60, NOON)
        seen = begun + [chance.choice(begun) for _ in range(held)]
        levels.of("800", [seen], [], NOON, (20, 5))
        seen += visits(chance, 3, NOON)
        del seen[:10]
        return steps(lambda: levels.of("800", [seen], [], NOON + 60_000, (20, 5)))

    assert cost(1_000) < 1.2 * cost(10)
