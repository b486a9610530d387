"""Collect the monitor's metrics when Prometheus asks, from the counters of its parts.

Labels are names from the settings (``pbx``), words of the program, and numbers of queues and lines:
no caller's number, and nothing secret. Only the monitor that leads tells of the PBX itself, its
calls and its queues, so that two monitors never tell it twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from monitor.leadership.pbx_service import PbxService
from monitor.metrics import pbx_client, pbx_state_metrics
from monitor.shared.metrics.metric_table import MetricTable, Sample

TABLE: Final = MetricTable(Path(__file__).with_name("metrics.json"))
"""Metrics of each PBX."""


class MonitorCollector(Collector):
    """Collect the metrics of all PBXs that this process watches."""

    def __init__(self, watching: Sequence[PbxService[Any]]) -> None:
        self._watching = watching

    def collect(self) -> Collection[Metric]:
        """Return all metrics with their present values."""
        return TABLE.families(sample for one in self._watching for sample in _samples(one))


def _samples(one: PbxService[Any]) -> Iterator[Sample]:
    yield from _leadership(one)
    yield from _publishing(one)
    yield from _commands(one)
    yield from pbx_client.samples(one.pbx, one.counters.pbx)
    if one.state is not None:
        yield from pbx_state_metrics.samples(one.pbx, one.state, one.pbx_time)
        if one.comparison is not None:
            differences = one.comparison.differences
            yield from pbx_state_metrics.differences(one.pbx, one.state, differences)


def _leadership(one: PbxService[Any]) -> Iterator[Sample]:
    pbx, counters = one.pbx, one.counters
    yield "callmon_monitor_leads", [pbx], one.leading
    yield "callmon_monitor_lease_sure", [pbx], one.lease.sure()
    yield "callmon_monitor_terms", [pbx], counters.terms
    yield "callmon_monitor_fenced", [pbx], counters.fenced
    yield "callmon_monitor_handovers", [pbx], counters.handovers
    if one.membership is not None:
        yield "callmon_monitor_members", [pbx], one.membership.count(pbx)
    if one.leading:
        in_step = counters.standbys_level
        yield "callmon_monitor_standbys", [pbx, "in_step"], in_step
        yield "callmon_monitor_standbys", [pbx, "behind"], counters.standbys - in_step


def _publishing(one: PbxService[Any]) -> Iterator[Sample]:
    for space, counters in (("live", one.counters.live), ("book", one.counters.book)):
        labels = [one.pbx, space]
        yield "callmon_monitor_publish_duration_seconds", labels, counters.publishes
        yield "callmon_monitor_event_to_publish_seconds", labels, counters.ways
        yield "callmon_monitor_edits_published", labels, counters.edits
        yield "callmon_monitor_edits_merged", labels, counters.merged
        yield "callmon_monitor_epochs", labels, counters.epochs
        yield "callmon_monitor_history_lost", labels, counters.lost
        yield "callmon_monitor_redis_errors", labels, counters.unreachable
    yield "callmon_monitor_redis_errors", [one.pbx, "lease"], one.counters.contests_failed


def _commands(one: PbxService[Any]) -> Iterator[Sample]:
    pbx, counters = one.pbx, one.counters.commands
    for (command, result), count in counters.results.items():
        yield "callmon_monitor_commands", [pbx, command, result], count
    for command, histogram in counters.durations.items():
        yield "callmon_monitor_command_duration_seconds", [pbx, command], histogram
    yield "callmon_monitor_commands_in_hand", [pbx], counters.in_hand
    yield "callmon_monitor_commands_left_alone", [pbx], counters.left_alone
    yield "callmon_monitor_audit_entries", [pbx, "kept"], counters.audited
    yield "callmon_monitor_audit_entries", [pbx, "lost"], counters.unaudited
    yield "callmon_monitor_redis_errors", [pbx, "commands"], counters.unreachable
