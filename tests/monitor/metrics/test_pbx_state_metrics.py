"""What is going on at a PBX, as metrics."""

from __future__ import annotations

from monitor.metrics import pbx_state_metrics
from monitor.metrics.collector import TABLE
from monitor.shared.entities.topics import TOPICS, Queue, WaitingCaller, empty_state


def test_the_longest_wait_is_counted_by_the_pbxs_clock() -> None:
    state = empty_state(TOPICS)
    callers = (
        WaitingCaller(2, "n2", "", "2026-03-04T08:15:30.000Z"),
        WaitingCaller(1, "n1", "", "2026-03-04T08:15:10.000Z"),
    )
    state["queues"]["800"] = Queue("800", "Sales", (), (), (), callers)
    state["queues"]["801"] = Queue("801", "Support", (), (), (), ())
    now = 1_772_612_140.0  # 08:15:40
    families = TABLE.families(pbx_state_metrics.samples("main", state, now))
    found = {family.name: family for family in families}
    waits = {
        sample.labels["queue"]: sample.value
        for sample in found["callmon_queue_longest_wait_seconds"].samples
    }
    assert waits == {"800": 30.0, "801": 0.0}
    assert [sample.value for sample in found["callmon_queue_waiting"].samples] == [2, 0]


def test_differences_of_the_pbxs_own_figures_are_told_by_queue_and_figure() -> None:
    state = empty_state(TOPICS)
    state["queues"]["800"] = Queue("800", "Sales", (), (), (), ())
    told = pbx_state_metrics.differences(
        "main", state, {("800", "answered"): 2, ("801", "offered"): 0}
    )
    found = {family.name: family for family in TABLE.families(told)}
    assert [
        (*sample.labels.values(), sample.value)
        for sample in found["callmon_queue_figures_difference"].samples
    ] == [("main", "800", "Sales", "answered", 2), ("main", "801", "", "offered", 0)]
