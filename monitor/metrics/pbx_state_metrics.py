"""Collect metrics of a PBX's state: calls, queues, agents, lines and the day's statistics.

They are for users who watch by Prometheus alone. Nothing is told of single extensions: how much a
person works is private, and there are many extensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TypeAlias, get_args

from prometheus_client.core import GaugeMetricFamily, Metric

from monitor.shared.entities.statistics import PBX_ID, PBX_STATS, QUEUE_STATS, PbxStats, QueueStats
from monitor.shared.entities.topics import (
    SYSTEM_ID,
    Activity,
    Call,
    CallState,
    Extension,
    Line,
    Queue,
    State,
    System,
    table,
)
from monitor.shared.timestamps import moment

Known: TypeAlias = Collection[tuple[str, State, float | None]]
"""PBX's name, its live topics, the time on its clock (None: not known)."""

_QUEUE = ["pbx", "queue", "name"]
_QUEUE_OUTCOMES = (
    "answered",
    "answered_in_target",
    "abandoned",
    "short_abandoned",
    "diverted",
    "unknown",
    "offered",
)
_OUTCOMES = ("answered", "missed", "abandoned", "unanswered", "unknown", "pending")


def collect(known: Known) -> Iterator[Metric]:
    """Yield the metrics of all PBXs for which this monitor leads."""
    yield from _system(known)
    yield from _now(known)
    yield from _queues(known)
    yield from _lines(known)
    yield from _queues_today(known)
    yield from _calls_today(known)


def _system(known: Known) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "callmon_pbx_connected", "1 if the PBX is connected, else 0.", labels=["pbx"]
    )
    licence = GaugeMetricFamily(
        "callmon_pbx_licensed_calls",
        "Simultaneous calls that the PBX's licence allows.",
        labels=["pbx"],
    )
    for pbx, state, _ in known:
        system = table(state, "system", System).get(SYSTEM_ID)
        connected.add_metric([pbx], float(system is not None and system.connection == "connected"))
        if system is not None and system.licence_limit is not None:
            licence.add_metric([pbx], system.licence_limit)
    yield from (connected, licence)


def _now(known: Known) -> Iterator[Metric]:
    calls = GaugeMetricFamily("callmon_calls", "Calls now, by state.", labels=["pbx", "state"])
    extensions = GaugeMetricFamily(
        "callmon_extensions", "Extensions now, by activity.", labels=["pbx", "activity"]
    )
    registered = GaugeMetricFamily(
        "callmon_extensions_registered", "Extensions with a registered phone.", labels=["pbx"]
    )
    for pbx, state, _ in known:
        states = Counter(call.state for call in table(state, "calls", Call).values())
        for name in get_args(CallState):
            calls.add_metric([pbx, name.lower()], states[name])
        people = table(state, "extensions", Extension).values()
        activities = Counter(one.activity for one in people)
        for name in get_args(Activity):
            extensions.add_metric([pbx, name.lower()], activities[name])
        registered.add_metric([pbx], sum(one.registered for one in people))
    yield from (calls, extensions, registered)


def _queues(known: Known) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "callmon_queue_waiting", "Callers waiting in the queue.", labels=_QUEUE
    )
    longest = GaugeMetricFamily(
        "callmon_queue_longest_wait_seconds",
        "Seconds that the first caller in the queue has waited; 0 if no caller waits.",
        labels=_QUEUE,
    )
    agents = GaugeMetricFamily("callmon_queue_agents", "Agents of the queue.", labels=_QUEUE)
    logged_in = GaugeMetricFamily(
        "callmon_queue_agents_logged_in", "Agents of the queue that are logged in.", labels=_QUEUE
    )
    free = GaugeMetricFamily(
        "callmon_queue_agents_available", "Agents of the queue that can take a call.", labels=_QUEUE
    )
    for pbx, state, now in known:
        people = table(state, "extensions", Extension)
        for num, queue in table(state, "queues", Queue).items():
            labels = [pbx, num, queue.name]
            waiting.add_metric(labels, len(queue.waiting))
            longest.add_metric(labels, _longest(queue, now))
            agents.add_metric(labels, len(queue.agents))
            logged_in.add_metric(labels, len(queue.logged_in))
            ready = [num for num in queue.logged_in if num in people and people[num].available]
            free.add_metric(labels, len(ready))
    yield from (waiting, longest, agents, logged_in, free)


def _longest(queue: Queue, now: float | None) -> float:
    if now is None or not queue.waiting:
        return 0.0
    return max(0.0, now - min(moment(caller.since).timestamp() for caller in queue.waiting))


def _lines(known: Known) -> Iterator[Metric]:
    labels = ["pbx", "line"]  # its DN: the name may be a phone number
    in_use = GaugeMetricFamily("callmon_line_calls", "Calls with a leg on the line.", labels=labels)
    capacity = GaugeMetricFamily(
        "callmon_line_capacity", "Simultaneous calls that the line allows.", labels=labels
    )
    registered = GaugeMetricFamily(
        "callmon_line_registered", "1 if the line is registered, else 0.", labels=labels
    )
    for pbx, state, _ in known:
        for num, line in table(state, "lines", Line).items():
            in_use.add_metric([pbx, num], line.in_use)
            if line.capacity is not None:
                capacity.add_metric([pbx, num], line.capacity)
            if line.registered is not None:
                registered.add_metric([pbx, num], float(line.registered))
    yield from (in_use, capacity, registered)


def _queues_today(known: Known) -> Iterator[Metric]:
    today = GaugeMetricFamily(
        "callmon_queue_callers_today",
        "The queue's callers since midnight at the PBX; answered_in_target is a part of answered.",
        labels=[*_QUEUE, "outcome"],
    )
    level = GaugeMetricFamily(
        "callmon_queue_service_level_ratio",
        "Share of the counted callers that were answered in time; 0 to 1.",
        labels=_QUEUE,
    )
    wait = GaugeMetricFamily(
        "callmon_queue_answer_wait_seconds_today",
        "Average wait in seconds of the callers answered today.",
        labels=_QUEUE,
    )
    for pbx, state, _ in known:
        queues = table(state, "queues", Queue)
        for num, stats in table(state, QUEUE_STATS, QueueStats).items():
            labels = [pbx, num, queues[num].name if num in queues else ""]
            for outcome in _QUEUE_OUTCOMES:
                today.add_metric([*labels, outcome], getattr(stats, outcome))
            if stats.service_level is not None:
                level.add_metric(labels, stats.service_level / 100)
            if stats.waits.average is not None:
                wait.add_metric(labels, stats.waits.average)
    yield from (today, level, wait)


def _calls_today(known: Known) -> Iterator[Metric]:
    today = GaugeMetricFamily(
        "callmon_calls_today",
        "Calls that began since midnight at the PBX.",
        labels=["pbx", "direction", "outcome"],
    )
    peak = GaugeMetricFamily(
        "callmon_calls_peak_today", "Most calls at the same time today.", labels=["pbx"]
    )
    for pbx, state, _ in known:
        stats = table(state, PBX_STATS, PbxStats).get(PBX_ID)
        if stats is None:
            continue
        for direction in ("inbound", "outbound", "internal"):
            traffic = getattr(stats, direction)
            for outcome in _OUTCOMES:
                today.add_metric([pbx, direction, outcome], getattr(traffic, outcome))
        peak.add_metric([pbx], stats.peak)
    yield from (today, peak)
