"""What is counted, as the metrics read it."""

from __future__ import annotations

import pytest

from gateway.counters import FanoutCounters, RequestCounters


def test_a_frame_for_many_is_counted_as_often_as_it_was_written() -> None:
    counters = FanoutCounters()
    counters.wrote(100, 3, merged=False, seconds=0.5)
    counters.wrote(10, 2, merged=True, seconds=2.0)
    counters.wrote(1, 4, merged=True, seconds=None)
    assert (counters.changes, counters.change_bytes, counters.merged) == (9, 324, 6)
    assert counters.written.count == 5
    assert counters.written.total == pytest.approx(5.5)
    assert counters.awaited.count == 0


def test_what_a_client_took_itself_is_told_apart() -> None:
    counters = FanoutCounters()
    counters.took(100, merged=True, seconds=0.5)
    counters.took(10, merged=False, seconds=None)
    assert (counters.changes, counters.change_bytes, counters.merged) == (2, 110, 1)
    assert (counters.awaited.count, counters.awaited.total) == (1, 0.5)
    assert counters.written.count == 0


def test_a_snapshot_counts_once_and_its_parts_each() -> None:
    counters = FanoutCounters()
    counters.snapshot("epoch")
    counters.snapshot("epoch")
    counters.snapshot("log")
    for length in (7, 5, 3):
        counters.snapshot_part(length)
    assert counters.snapshots == {"epoch": 2, "log": 1}
    assert (counters.snapshot_parts, counters.snapshot_bytes) == (3, 15)
    counters.beat(9)
    assert (counters.heartbeats, counters.heartbeat_bytes) == (1, 9)


def test_a_request_counts_by_command_and_result_and_a_long_poll_has_no_duration() -> None:
    counters = RequestCounters()
    counters.done("pbx.calls.get", "ok", 0.1)
    counters.done("pbx.calls.get", "ok", 0.2)
    counters.done("pbx.calls.get", "no_state", 0.3)
    counters.done("pbx.ac.get", "ok", None)
    assert counters.results == {
        ("pbx.calls.get", "ok"): 2,
        ("pbx.calls.get", "no_state"): 1,
        ("pbx.ac.get", "ok"): 1,
    }
    assert set(counters.durations) == {"pbx.calls.get"}
    assert counters.durations["pbx.calls.get"].count == 3
    assert counters.durations["pbx.calls.get"].total == pytest.approx(0.6)


def test_two_processes_parts_share_no_counter() -> None:
    one, other = FanoutCounters(), FanoutCounters()
    one.snapshot("log")
    one.wrote(1, 1, merged=False, seconds=1.0)
    assert (other.snapshots, other.written.count) == ({}, 0)
