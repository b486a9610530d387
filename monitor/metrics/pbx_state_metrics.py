"""Sample a PBX's state: calls, queues, agents, lines and the day's statistics.

They are for users who watch by Prometheus alone. Nothing is told of single extensions: how much a
person works is private, and there are many extensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import get_args

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
from monitor.shared.metrics.metric_table import Sample
from monitor.shared.timestamps import moment
from monitor.statistics.figures_comparison import Figure

_QUEUE_OUTCOMES = (
    "answered",
    "answered_in_target",
    "abandoned",
    "short_abandoned",
    "diverted",
    "unknown",
    "offered",
)
_OUTCOMES = (
    "answered",
    "missed",
    "abandoned",
    "unanswered",
    "unknown",
    "handled",
    "transferred",
    "pending",
)


def samples(pbx: str, state: State, now: float | None) -> Iterator[Sample]:
    """Yield the samples of a PBX for which this monitor leads.

    ``state``: its live topics. ``now``: POSIX seconds on its clock; None while not known.
    """
    yield from _system(pbx, state)
    yield from _queues(pbx, state, now)
    yield from _queues_today(pbx, state)
    yield from _calls_today(pbx, state)


def differences(pbx: str, state: State, told: Mapping[tuple[str, Figure], int]) -> Iterator[Sample]:
    """Yield by how much the PBX's own figures of its queues differ from ours."""
    queues = table(state, "queues", Queue)
    for (num, figure), difference in told.items():
        name = queues[num].name if num in queues else ""
        yield "callmon_queue_figures_difference", [pbx, num, name, figure], difference


def _system(pbx: str, state: State) -> Iterator[Sample]:
    system = table(state, "system", System).get(SYSTEM_ID)
    connected = system is not None and system.connection == "connected"
    yield "callmon_pbx_connected", [pbx], connected
    yield "callmon_pbx_licensed_calls", [pbx], system.licence_limit if system else None
    states = Counter(call.state for call in table(state, "calls", Call).values())
    for name in get_args(CallState):
        yield "callmon_calls", [pbx, name.lower()], states[name]
    people = table(state, "extensions", Extension).values()
    activities = Counter(one.activity for one in people)
    for name in get_args(Activity):
        yield "callmon_extensions", [pbx, name.lower()], activities[name]
    yield "callmon_extensions_registered", [pbx], sum(one.registered for one in people)
    for num, line in table(state, "lines", Line).items():
        labels = [pbx, num]  # its DN: the name may be a phone number
        yield "callmon_line_calls", labels, line.in_use
        yield "callmon_line_capacity", labels, line.capacity
        yield "callmon_line_registered", labels, line.registered


def _queues(pbx: str, state: State, now: float | None) -> Iterator[Sample]:
    people = table(state, "extensions", Extension)
    for num, queue in table(state, "queues", Queue).items():
        labels = [pbx, num, queue.name]
        ready = sum(num in people and people[num].available for num in queue.logged_in)
        yield "callmon_queue_waiting", labels, len(queue.waiting)
        yield "callmon_queue_longest_wait_seconds", labels, _longest(queue, now)
        yield "callmon_queue_agents", labels, len(queue.agents)
        yield "callmon_queue_agents_logged_in", labels, len(queue.logged_in)
        yield "callmon_queue_agents_available", labels, ready


def _longest(queue: Queue, now: float | None) -> float:
    if now is None or not queue.waiting:
        return 0.0
    return max(0.0, now - min(moment(caller.since).timestamp() for caller in queue.waiting))


def _queues_today(pbx: str, state: State) -> Iterator[Sample]:
    queues = table(state, "queues", Queue)
    for num, stats in table(state, QUEUE_STATS, QueueStats).items():
        labels = [pbx, num, queues[num].name if num in queues else ""]
        level = stats.service_level
        for outcome in _QUEUE_OUTCOMES:
            yield "callmon_queue_callers_today", [*labels, outcome], getattr(stats, outcome)
        yield "callmon_queue_service_level_ratio", labels, None if level is None else level / 100
        yield "callmon_queue_answer_wait_seconds_today", labels, stats.waits.average


def _calls_today(pbx: str, state: State) -> Iterator[Sample]:
    stats = table(state, PBX_STATS, PbxStats).get(PBX_ID)
    if stats is None:
        return
    for direction in ("inbound", "outbound", "internal"):
        traffic = getattr(stats, direction)
        for outcome in _OUTCOMES:
            labels = [pbx, direction, outcome]
            yield "callmon_calls_today", labels, getattr(traffic, outcome)
    yield "callmon_calls_peak_today", [pbx], stats.peak
