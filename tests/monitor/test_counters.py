"""What happens to one PBX, in numbers."""

from __future__ import annotations

from monitor.counters import CommandCounters, MonitorCounters


def test_commands_are_counted_by_what_became_of_them_and_timed_by_their_kind() -> None:
    counters = CommandCounters()
    counters.done("makecall", "success", 20.0)
    counters.done("makecall", "unknown_extension", 0.01)
    counters.done("ext.del", "success", 1.0)
    assert dict(counters.results) == {
        ("makecall", "success"): 1,
        ("makecall", "unknown_extension"): 1,
        ("ext.del", "success"): 1,
    }
    assert {name: one.count for name, one in counters.durations.items()} == {
        "makecall": 2,
        "ext.del": 1,
    }
    within = dict(counters.durations["makecall"].buckets())
    assert (within["10.0"], within["30.0"]) == (1, 2), "a phone may ring for so long"


def test_no_two_pbxs_and_no_two_spaces_share_a_count() -> None:
    one, other = MonitorCounters(), MonitorCounters()
    one.live.edits += 1
    one.live.publishes.add(0.1)
    one.commands.done("ext.del", "success", 1.0)
    one.pbx.request("GET /callcontrol", 200, 0.1)
    assert one.book.edits == one.book.publishes.count == 0
    assert other.live.edits == other.live.publishes.count == 0
    assert not other.commands.results
    assert not other.pbx.requests
