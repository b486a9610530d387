"""The figures of the documents' examples add up as counted ones do: readers check them."""

from __future__ import annotations

import pytest

from gateway.docs.example_statistics import extension_stats, pbx_stats, queue_stats
from monitor.shared.entities.statistics import Durations, ExtensionStats, QueueStats, Traffic

FIGURES = (queue_stats(), extension_stats(), pbx_stats())
DURATIONS = [
    value
    for figures in (*FIGURES, pbx_stats().inbound, pbx_stats().outbound, pbx_stats().internal)
    for name in figures.__struct_fields__
    if isinstance(value := getattr(figures, name), Durations)
]


def test_all_are_of_one_day() -> None:
    assert len({figures.date for figures in FIGURES}) == 1


@pytest.mark.parametrize("durations", DURATIONS, ids=str)
def test_an_average_is_the_total_by_the_count(durations: Durations) -> None:
    assert durations.average is not None
    assert durations.average == pytest.approx(durations.total / durations.count, abs=0.05)
    assert durations.average <= (durations.longest or 0.0) <= durations.total


@pytest.mark.parametrize("stats", [queue_stats(), extension_stats()], ids=["queue", "extension"])
def test_who_was_answered_waited_and_who_gave_up_was_counted(
    stats: QueueStats | ExtensionStats,
) -> None:
    assert stats.answered_in_target <= stats.answered == stats.waits.count
    assert stats.abandoned == stats.abandons.count
    assert stats.talks.count <= stats.answered, "the others still talk"


def test_every_caller_of_the_queue_is_somewhere() -> None:
    queue = queue_stats()
    ended = queue.answered + queue.abandoned + queue.short_abandoned + queue.diverted
    assert ended + queue.unknown + queue.waiting == queue.offered


def test_every_call_that_rang_the_extension_came_to_an_end() -> None:
    one = extension_stats()
    assert one.answered + one.abandoned + one.missed + one.elsewhere + one.ringing == one.offered
    assert one.queue_answered <= one.queue_offered <= one.offered
    assert one.placed_answered <= one.placed


@pytest.mark.parametrize("traffic", [pbx_stats().inbound, pbx_stats().outbound], ids=str)
def test_every_call_of_a_direction_has_an_outcome(traffic: Traffic) -> None:
    known = traffic.answered + traffic.missed + traffic.abandoned + traffic.unanswered
    assert known + traffic.unknown + traffic.pending == traffic.calls


def test_the_directions_add_up() -> None:
    pbx = pbx_stats()
    parts = (pbx.inbound, pbx.outbound, pbx.internal)
    assert sum(part.calls for part in parts) == pbx.calls
    assert sum(part.answered for part in parts) == pbx.answered
    assert pbx.active <= pbx.peak <= pbx.calls
    assert pbx.since <= pbx.counted_since <= (pbx.peak_at or "")
