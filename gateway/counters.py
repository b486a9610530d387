"""Count what happens in the gateway.

The counters are plain numbers that are read when somebody asks for the metrics. So counting is a
mere addition.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from monitor.shared.metrics.histogram import Histogram, slow_by_name


@dataclass(slots=True)
class ReplicationCounters:
    """Count how a replica follows its space."""

    changes: int = 0
    """Changes applied."""
    loads: int = 0
    """Whole states read."""
    losses: int = 0
    """Times that the connection to the monitor's changes was lost and opened again."""
    catch_ups: Counter[str] = field(default_factory=Counter)
    """Readings of the log or the state, by reason: ``gap`` (a change was missing), ``announced``
    (only its position was told), ``compared`` (the store was ahead), ``subscribed`` (a
    subscription began)."""
    behind: int = 0
    """Positions by which the store was ahead when it was last compared."""


@dataclass(slots=True)
class FanoutCounters:
    """Count what a hub sent to its subscribers."""

    changes: int = 0
    """Frames with changes."""
    change_bytes: int = 0
    merged: int = 0
    """Frames with changes that told several changes as one."""
    snapshots: Counter[str] = field(default_factory=Counter)
    """Whole views sent, by reason: ``subscribed``, ``epoch`` (a new one began), ``log`` (it does
    not reach back to the client's position), ``size`` (the change would have been larger)."""
    snapshot_parts: int = 0
    snapshot_bytes: int = 0
    heartbeats: int = 0
    heartbeat_bytes: int = 0
    written: Histogram = field(default_factory=Histogram)
    """Seconds from when the monitor heard of the oldest change in a frame until the hub wrote
    the frame to the transport."""
    awaited: Histogram = field(default_factory=Histogram)
    """Seconds like :attr:`written`, for clients that take frames in their own tasks: their own
    slowness is included."""

    def wrote(self, length: int, times: int, *, merged: bool, seconds: float | None) -> None:
        """Count a frame of ``length`` bytes that the hub wrote to ``times`` subscribers.

        ``merged``: whether it told several changes as one. ``seconds``: its age; None if not
        known.
        """
        self.changes += times
        self.change_bytes += length * times
        if merged:
            self.merged += times
        if seconds is not None:
            self.written.add(seconds, times)

    def took(self, length: int, *, merged: bool, seconds: float | None) -> None:
        """Count such a frame that a client's own task took."""
        self.changes += 1
        self.change_bytes += length
        if merged:
            self.merged += 1
        if seconds is not None:
            self.awaited.add(seconds)

    def snapshot(self, why: str) -> None:
        """Count a whole view that a client begins to take.

        ``why``: the reason, as in :attr:`snapshots`.
        """
        self.snapshots[why] += 1

    def snapshot_part(self, length: int) -> None:
        """Count a part of ``length`` bytes that a client took."""
        self.snapshot_parts += 1
        self.snapshot_bytes += length

    def beat(self, length: int) -> None:
        """Count a heartbeat of ``length`` bytes that a client got."""
        self.heartbeats += 1
        self.heartbeat_bytes += length


@dataclass(slots=True)
class RequestCounters:
    """Count the HTTP requests to the documented interface."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by command and result: ``ok`` or the error's code."""
    durations: defaultdict[str, Histogram] = field(default_factory=slow_by_name)
    """Seconds until the answer, by command; without requests that wanted to wait for another
    answer."""

    def done(self, command: str, result: str, seconds: float | None) -> None:
        """Count a request that was answered. ``seconds``: None if it wanted to wait."""
        self.results[command, result] += 1
        if seconds is not None:
            self.durations[command].add(seconds)


@dataclass(slots=True)
class StreamCounters:
    """Count the stream's connections."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Connections let in, by transport: ``websocket`` or ``sse``."""
    refused: Counter[str] = field(default_factory=Counter)
    """Connections not let in, by code."""
    ended: Counter[str] = field(default_factory=Counter)
    """Connections that ended, by close code; ``gone`` for clients that went by themselves."""
