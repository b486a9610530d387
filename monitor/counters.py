"""What is counted of one PBX in the monitor. Plain numbers, read when somebody asks for the metrics.

They outlive the terms of office, in each of which publishers and source are made anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from monitor.pbx.counters import PbxCounters
from monitor.shared.histogram import SLOW, Histogram


@dataclass(slots=True)
class PublishCounters:
    """Of one space's way to Redis."""

    publishes: Histogram = field(default_factory=Histogram)
    """How long each took until Redis had it."""
    ways: Histogram = field(default_factory=Histogram)
    """From when the monitor heard of something until it was published."""
    edits: int = 0
    """Published."""
    merged: int = 0
    """Edits that went into others, or cancelled out with them, before they were published."""
    epochs: int = 0
    """Whole states that were written."""
    unreachable: int = 0
    """Times that Redis did not do what it was asked."""
    lost: int = 0
    """Times that Redis had lost history."""


@dataclass(slots=True)
class CommandCounters:
    """Of the commands that gateways asked for."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By command and result, as :func:`monitor.commands.outcome_rules.result_of` says."""
    durations: dict[str, Histogram] = field(default_factory=dict)
    """By command, from its claim until its outcome was known."""
    in_hand: int = 0
    left_alone: int = 0
    """Not claimed by us: too many were in hand, or the lease was not sure, or somebody had refused it."""
    unreachable: int = 0
    """Claims and outcomes that were lost with Redis."""
    audited: int = 0
    """Entries of the audit log that were kept."""
    unaudited: int = 0
    """Entries that could not be kept."""

    def done(self, command: str, result: str, seconds: float) -> None:
        """A command is over."""
        self.results[command, result] += 1
        histogram = self.durations.get(command)
        if histogram is None:
            histogram = self.durations[command] = Histogram(SLOW)
        histogram.add(seconds)


@dataclass(slots=True)
class MonitorCounters:
    """Of one PBX."""

    pbx: PbxCounters = field(default_factory=PbxCounters)
    live: PublishCounters = field(default_factory=PublishCounters)
    book: PublishCounters = field(default_factory=PublishCounters)
    commands: CommandCounters = field(default_factory=CommandCounters)
    terms: int = 0
    """Times that this monitor took the lead."""
    fenced: int = 0
    """Times that it stepped down because another one has the lease."""
    standbys: int = 0
    """Monitors that stand by, as the leader sees them."""
    standbys_level: int = 0
    """Of these, those that hold all that must outlive a leader."""
    contests_failed: int = 0
    """Looks at the lease that Redis did not answer."""
