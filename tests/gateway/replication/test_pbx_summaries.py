"""The summary of a PBX, and the history of all summaries."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.docs import example_data
from gateway.replication.pbx_summaries import PbxSummaries, summary_of, unknown
from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.topics import (
    TOPICS,
    Line,
    System,
    WaitingCaller,
    empty_state,
)
from tests.gateway.entities import START, call, queue

LATER = "2026-03-04T03:20:00.000Z"
SYSTEM = System("connected", START, "", "20.0.8", "pbx", 3, "activecalls", "m", "", 0)


def test_a_summary_counts_calls_waiting_callers_and_lines() -> None:
    live = empty_state(TOPICS)
    live["system"]["pbx"] = SYSTEM
    live["calls"] = {"1": call(1), "2": call(2)}
    for num, since in (("800", LATER), ("801", START)):
        caller = WaitingCaller(1, "030", "A", since)
        live["queues"][num] = replace(queue(num), waiting=(caller,))
    live["lines"] = {"1": Line("1", "A", True, 2, 8), "2": Line("2", "B", None, 1, None)}
    assert summary_of("east", live, None) == PbxSummary(
        *("east", "connected", START, "", "20.0.8", 3, 2, 2, START, 3, 8, ())
    )
    live["lines"]["2"] = Line("2", "B", False, 0, 4)
    live["calls"]["3"] = call(3)
    told = summary_of("east", live, None)
    assert (told.lines_used, told.lines_total, told.alarms) == (2, 12, ("lines", "licence"))


def test_what_is_not_heard_of_is_said_so_and_keeps_its_last_counts() -> None:
    live = empty_state(TOPICS) | {"calls": {"1": call(1)}, "system": {"pbx": SYSTEM}}
    silent = summary_of("east", live, LATER)
    assert (silent.connection, silent.since, silent.calls) == ("silent", LATER, 1)
    live["system"]["pbx"] = replace(SYSTEM, connection="lost", since=LATER, reason="refused")
    lost = summary_of("east", live, None)
    assert (lost.connection, lost.since, lost.reason) == ("lost", LATER, "refused")
    assert silent.alarms == lost.alarms == unknown("east").alarms == ("connection",)
    assert summary_of("east", empty_state(TOPICS), None) == unknown("east")
    assert summary_of("main", example_data.live_state(), None).lines_total == 8


def test_only_what_is_another_is_a_change() -> None:
    summaries = PbxSummaries("e", log_length=3)
    assert summaries.put(unknown("east"), START)
    assert not summaries.put(unknown("east"), LATER)
    assert summaries.position.seq == 1
    for calls in range(4):
        assert summaries.put(replace(unknown("east"), calls=calls), START)
    assert summaries.since(5) == ()
    assert summaries.since(1) is summaries.since(6) is None
    changes = summaries.since(2)
    assert changes is not None
    assert [change.position.seq for change in changes] == [3, 4, 5]
    assert summaries.since(2, 4) == changes[:2]
