"""What is counted in the gateway. Plain numbers, read when somebody asks for the metrics: to count is an addition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from monitor.shared.histogram import SLOW, Histogram


@dataclass(slots=True)
class ReplicationCounters:
    """Of a feed: how a replica follows."""

    changes: int = 0
    """Taken in."""
    loads: int = 0
    """Whole states read."""
    losses: int = 0
    """Times that the feed was lost and begun anew."""
    catch_ups: Counter[str] = field(default_factory=Counter)
    """Readings of the log or the state, by what led to them: ``gap`` (a change was missing), ``announced`` (only its
    position was told), ``compared`` (the store was ahead), ``subscribed`` (a subscription began)."""
    behind: int = 0
    """Positions that the store was ahead when it was compared last."""


@dataclass(slots=True)
class FanoutCounters:
    """Of a hub: what went to its subscribers."""

    changes: int = 0
    """Frames with changes."""
    change_bytes: int = 0
    merged: int = 0
    """Of those, frames that told several changes as one."""
    snapshots: Counter[str] = field(default_factory=Counter)
    """Whole views, by why: ``subscribed``, ``epoch`` (a new one began), ``log`` (it does not reach back to where the
    client was), ``size`` (the change would have been larger)."""
    snapshot_parts: int = 0
    snapshot_bytes: int = 0
    heartbeats: int = 0
    heartbeat_bytes: int = 0
    written: Histogram = field(default_factory=Histogram)
    """From when the monitor heard of the oldest change in a frame until the hub had written it to the transport."""
    awaited: Histogram = field(default_factory=Histogram)
    """The same for those who take frames themselves when their turn comes: their own slowness is in it."""

    def wrote(self, length: int, times: int, *, merged: bool, seconds: float | None) -> None:
        """The hub wrote a frame of so many bytes to so many. ``seconds``: its age; None if that is not known."""
        self.changes += times
        self.change_bytes += length * times
        if merged:
            self.merged += times
        if seconds is not None:
            self.written.add(seconds, times)

    def took(self, length: int, *, merged: bool, seconds: float | None) -> None:
        """A client took such a frame itself."""
        self.changes += 1
        self.change_bytes += length
        if merged:
            self.merged += 1
        if seconds is not None:
            self.awaited.add(seconds)

    def snapshot(self, why: str, lengths: Collection[int]) -> None:
        """A client took a whole view, in parts of so many bytes."""
        self.snapshots[why] += 1
        self.snapshot_parts += len(lengths)
        self.snapshot_bytes += sum(lengths)

    def beat(self, length: int) -> None:
        """A client got a heartbeat of so many bytes."""
        self.heartbeats += 1
        self.heartbeat_bytes += length


@dataclass(slots=True)
class RequestCounters:
    """Of HTTP requests to the documented interface."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By command and result: ``ok`` or the error's code."""
    durations: dict[str, Histogram] = field(default_factory=dict)
    """By command, until the answer was there; without those that wanted to wait for another answer."""

    def done(self, command: str, result: str, seconds: float | None) -> None:
        """A request is answered. ``seconds``: None if it wanted to wait."""
        self.results[command, result] += 1
        if seconds is None:
            return
        histogram = self.durations.get(command)
        if histogram is None:
            histogram = self.durations[command] = Histogram(SLOW)
        histogram.add(seconds)


@dataclass(slots=True)
class StreamCounters:
    """Of the stream's connections."""

    accepted: Counter[str] = field(default_factory=Counter)
    """By transport: ``websocket`` or ``sse``."""
    refused: Counter[str] = field(default_factory=Counter)
    """By code."""
    ended: Counter[str] = field(default_factory=Counter)
    """By close code; ``gone`` for clients that went by themselves."""
