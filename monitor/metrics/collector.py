"""Collect the monitor's metrics when Prometheus asks, from the counters of its parts.

Labels are names from the settings (``pbx``), words of the program, and numbers of queues and lines:
no caller's number, and nothing secret. Only the monitor that leads tells of the PBX itself, its
calls and its queues, so that two monitors never tell it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from monitor.counters import MonitorCounters, PublishCounters
from monitor.lease import Lease
from monitor.metrics import pbx_client, pbx_state_metrics
from monitor.shared.entities.topics import State


class Watching(Protocol):
    """Describe what the collector needs of one PBX's service.

    See :mod:`monitor.leadership.pbx_service`.
    """

    @property
    def pbx(self) -> str:
        """Return the PBX's name."""
        ...

    @property
    def leading(self) -> bool:
        """Return whether this monitor leads."""
        ...

    @property
    def lease(self) -> Lease:
        """Return the lease that decides which monitor leads."""
        ...

    @property
    def counters(self) -> MonitorCounters:
        """Return the counters."""
        ...

    @property
    def state(self) -> State | None:
        """Return the live topics; None while another monitor leads."""
        ...

    @property
    def pbx_time(self) -> float | None:
        """Return POSIX seconds on the PBX's clock; None while it is not known."""
        ...


class MonitorCollector(Collector):
    """Collect the metrics of all PBXs that this process watches."""

    def __init__(self, watching: Sequence[Watching]) -> None:
        self._watching = watching

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics with their present values."""
        yield from _leadership(self._watching)
        yield from _publishing(self._watching)
        yield from _redis(self._watching)
        yield from _commands(self._watching)
        yield from pbx_client.collect([(one.pbx, one.counters.pbx) for one in self._watching])
        yield from pbx_state_metrics.collect(
            [(one.pbx, one.state, one.pbx_time) for one in self._watching if one.state is not None]
        )


def _leadership(watching: Iterable[Watching]) -> Iterator[Metric]:
    leads = GaugeMetricFamily(
        "callmon_monitor_leads", "1 if this monitor leads, else 0.", labels=["pbx"]
    )
    sure = GaugeMetricFamily(
        "callmon_monitor_lease_sure",
        "1 if this monitor is sure that no other monitor leads, else 0.",
        labels=["pbx"],
    )
    terms = CounterMetricFamily(
        "callmon_monitor_terms", "Times that this monitor took the lead.", labels=["pbx"]
    )
    fenced = CounterMetricFamily(
        "callmon_monitor_fenced",
        "Times that this monitor stepped down because another one has the lease.",
        labels=["pbx"],
    )
    standbys = GaugeMetricFamily(
        "callmon_monitor_standbys",
        "Standby monitors that the leader sees; in step: they hold all data that must outlive "
        "the leader.",
        labels=["pbx", "state"],
    )
    for one in watching:
        if one.leading:
            level = one.counters.standbys_level
            standbys.add_metric([one.pbx, "in_step"], level)
            standbys.add_metric([one.pbx, "behind"], one.counters.standbys - level)
        leads.add_metric([one.pbx], float(one.leading))
        sure.add_metric([one.pbx], float(one.lease.sure()))
        terms.add_metric([one.pbx], one.counters.terms)
        fenced.add_metric([one.pbx], one.counters.fenced)
    yield from (leads, sure, terms, fenced, standbys)


def _publishing(watching: Iterable[Watching]) -> Iterator[Metric]:
    labels = ["pbx", "space"]
    publishes = HistogramMetricFamily(
        "callmon_monitor_publish_duration_seconds",
        "Seconds from sending a change to Redis until Redis had it.",
        labels=labels,
    )
    ways = HistogramMetricFamily(
        "callmon_monitor_event_to_publish_seconds",
        "Seconds from when the monitor heard of the first part of a change until the change was "
        "in Redis.",
        labels=labels,
    )
    edits = CounterMetricFamily(
        "callmon_monitor_edits_published", "Changes of entities that were published.", labels=labels
    )
    merged = CounterMetricFamily(
        "callmon_monitor_edits_merged",
        "Changes of entities that were merged into later changes before publishing.",
        labels=labels,
    )
    epochs = CounterMetricFamily(
        "callmon_monitor_epochs", "Whole states written under a new epoch.", labels=labels
    )
    lost = CounterMetricFamily(
        "callmon_monitor_history_lost", "Times that Redis had lost history.", labels=labels
    )
    for pbx, space, counters in _spaces(watching):
        publishes.add_metric([pbx, space], counters.publishes.buckets(), counters.publishes.total)
        ways.add_metric([pbx, space], counters.ways.buckets(), counters.ways.total)
        edits.add_metric([pbx, space], counters.edits)
        merged.add_metric([pbx, space], counters.merged)
        epochs.add_metric([pbx, space], counters.epochs)
        lost.add_metric([pbx, space], counters.lost)
    yield from (publishes, ways, edits, merged, epochs, lost)


def _redis(watching: Iterable[Watching]) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "callmon_monitor_redis_errors",
        "Requests that Redis did not carry out.",
        labels=["pbx", "where"],
    )
    for one in watching:
        errors.add_metric([one.pbx, "lease"], one.counters.contests_failed)
        errors.add_metric([one.pbx, "live"], one.counters.live.unreachable)
        errors.add_metric([one.pbx, "book"], one.counters.book.unreachable)
        errors.add_metric([one.pbx, "commands"], one.counters.commands.unreachable)
    yield errors


def _commands(watching: Iterable[Watching]) -> Iterator[Metric]:
    results = CounterMetricFamily(
        "callmon_monitor_commands",
        "Commands carried out or refused.",
        labels=["pbx", "command", "result"],
    )
    durations = HistogramMetricFamily(
        "callmon_monitor_command_duration_seconds",
        "Seconds from a command's claim until its outcome was known.",
        labels=["pbx", "command"],
    )
    in_hand = GaugeMetricFamily(
        "callmon_monitor_commands_in_hand", "Commands under way.", labels=["pbx"]
    )
    alone = CounterMetricFamily(
        "callmon_monitor_commands_left_alone",
        "Commands that this monitor heard of but did not take.",
        labels=["pbx"],
    )
    audit = CounterMetricFamily(
        "callmon_monitor_audit_entries",
        "Entries of the audit log, kept or lost.",
        labels=["pbx", "result"],
    )
    for one in watching:
        counters = one.counters.commands
        for (command, result), count in counters.results.items():
            results.add_metric([one.pbx, command, result], count)
        for command, histogram in counters.durations.items():
            durations.add_metric([one.pbx, command], histogram.buckets(), histogram.total)
        in_hand.add_metric([one.pbx], counters.in_hand)
        alone.add_metric([one.pbx], counters.left_alone)
        audit.add_metric([one.pbx, "kept"], counters.audited)
        audit.add_metric([one.pbx, "lost"], counters.unaudited)
    yield from (results, durations, in_hand, alone, audit)


def _spaces(watching: Iterable[Watching]) -> Iterator[tuple[str, str, PublishCounters]]:
    for one in watching:
        yield one.pbx, "live", one.counters.live
        yield one.pbx, "book", one.counters.book
