"""Count what happens to one PBX in the monitor.

The counters are plain numbers, which are read for the metrics. They outlive the terms of
leadership: each term makes new publishers and a new source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from monitor.pbx.counters import PbxCounters
from monitor.shared.metrics.histogram import Histogram, slow_by_name


@dataclass(slots=True)
class PublishCounters:
    """Count what is published to one space on Redis."""

    publishes: Histogram = field(default_factory=Histogram)
    """Seconds of each publish until Redis had it."""
    ways: Histogram = field(default_factory=Histogram)
    """Seconds from when the monitor heard of a change until it was published."""
    edits: int = 0
    """Published edits."""
    merged: int = 0
    """Edits that were merged into others, or cancelled out with them, before they were
    published."""
    epochs: int = 0
    """Whole states that were written."""
    unreachable: int = 0
    """Number of steps that failed because Redis was unreachable."""
    lost: int = 0
    """Number of times that Redis had lost history."""


@dataclass(slots=True)
class CommandCounters:
    """Count the commands that gateways asked for."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of commands by command and result; see
    :func:`monitor.commands.outcome_rules.result_of`."""
    durations: defaultdict[str, Histogram] = field(default_factory=slow_by_name)
    """Seconds by command, from its claim until its outcome was known."""
    in_hand: int = 0
    left_alone: int = 0
    """Requests that this monitor did not claim: too many were in hand, the lease was not sure,
    or the request was taken or refused elsewhere."""
    unreachable: int = 0
    """Claims and outcomes that were lost with Redis."""
    audited: int = 0
    """Entries of the audit log that were kept."""
    unaudited: int = 0
    """Entries of the audit log that could not be kept."""

    def done(self, command: str, result: str, seconds: float) -> None:
        """Count a finished command. ``seconds``: its duration."""
        self.results[command, result] += 1
        self.durations[command].add(seconds)


@dataclass(slots=True)
class MonitorCounters:
    """Hold all counters of one PBX."""

    pbx: PbxCounters = field(default_factory=PbxCounters)
    live: PublishCounters = field(default_factory=PublishCounters)
    book: PublishCounters = field(default_factory=PublishCounters)
    commands: CommandCounters = field(default_factory=CommandCounters)
    terms: int = 0
    """Number of times that this monitor took the lead."""
    fenced: int = 0
    """Number of times that it stepped down because another monitor has the lease."""
    handovers: int = 0
    """Number of times that it gave the lead to the monitor that should have it."""
    standbys: int = 0
    """Monitors that stand by, as the leader sees them."""
    standbys_level: int = 0
    """Standby monitors that hold everything that must outlive a leader."""
    contests_failed: int = 0
    """Attempts to read or take the lease that Redis did not answer."""
