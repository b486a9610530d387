"""Totals as entities: what a queue, an extension and the PBX are told to have."""

from __future__ import annotations

from monitor.shared.codec import to_json
from monitor.shared.entities.statistics import Durations
from monitor.statistics.day import day_of
from monitor.statistics.durations import DurationTally, Spread
from monitor.statistics.entity_builder import durations, extension, queue
from monitor.statistics.entity_builder import pbx as pbx_day
from monitor.statistics.totals import ExtensionTotals, QueueTotals, TrafficTotals
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import NOON


def test_a_queue_of_which_nobody_came_has_no_service_level(pbx: Counting) -> None:
    it = pbx.queue()
    assert (it.offered, it.service_level, it.waits) == (0, None, Durations(0, 0.0, None, None))
    assert (it.date, it.target, it.short_below) == ("2026-03-04", 20, 5)


def test_the_service_level_is_those_answered_in_time_of_those_offered_without_short_abandons(
    pbx: Counting,
) -> None:
    for id_, wait in enumerate((3, 20, 20.001, 40)):
        pbx.wait_and_answer(id_, wait, 10)
    for id_, wait in enumerate((4.999, 5, 100), start=10):
        pbx.wait_in_vain(id_, wait)
    it = pbx.queue()
    assert (it.offered, it.answered, it.answered_in_target) == (7, 4, 2)
    assert (it.abandoned, it.short_abandoned) == (2, 1)
    assert it.service_level == 33.3, "2 of 4 + 2"
    assert it.abandons == Durations(2, 105.0, 52.5, 100.0)


def test_statistics_are_written_in_camel_case(pbx: Counting) -> None:
    assert b'"shortAbandoned":0' in to_json(pbx.queue())
    assert b'"serviceLevel":null' in to_json(pbx.ext())
    assert b'"countedSince":"2026-03-04T12:00:00.000Z"' in to_json(pbx.pbx)


DAY = day_of(int(NOON * 1000), "UTC")


def test_durations_are_seconds_to_the_tenth() -> None:
    assert durations(DurationTally(3, 10_000, 4_949)) == Durations(3, 10.0, 3.3, 4.9)
    assert durations(DurationTally()) == Durations(0, 0.0, None, None)


def test_who_waits_counts_against_the_level_from_a_millisecond_beyond_the_target_on() -> None:
    tally = QueueTotals(offered=2, waits=spread(5_000), waiting=[20_000])
    assert queue("800", tally, DAY, 20, 5).service_level == 100.0
    late = QueueTotals(offered=2, waits=spread(5_000), waiting=[20_001])
    assert queue("800", late, DAY, 20, 5).service_level == 50.0


def test_a_diverted_caller_counts_against_the_level_and_one_nobody_saw_does_not() -> None:
    tally = QueueTotals(offered=4, waits=spread(5_000), diverted=1, unknown=1)
    tally.abandons.add(None)
    it = queue("800", tally, DAY, 20, 5)
    assert (it.service_level, it.abandoned, it.short_abandoned) == (50.0, 1, 0)


def test_a_call_that_a_colleague_took_counts_neither_for_nor_against_an_extension() -> None:
    tally = ExtensionTotals(offered=4, waits=spread(5_000), missed=1, elsewhere=2)
    assert extension("101", tally, DAY, 20, 5).service_level == 50.0
    only_elsewhere = ExtensionTotals(offered=1, elsewhere=1)
    assert extension("101", only_elsewhere, DAY, 20, 5).service_level is None


def test_calls_without_an_outcome_are_pending() -> None:
    traffic = TrafficTotals(calls=9, answered=1, missed=1, abandoned=1, unanswered=1, unknown=1)
    it = pbx_day({"outbound": traffic}, DAY, DAY.start, 3, None, 4)
    assert (it.calls, it.answered, it.outbound.pending, it.inbound.calls) == (9, 1, 4, 0)
    assert (it.since, it.peak_at, it.active) == ("2026-03-04T00:00:00.000Z", None, 4)


def spread(*milliseconds: int) -> Spread:
    found = Spread()
    for one in milliseconds:
        found.add(one)
    return found
