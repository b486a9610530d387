"""Track each view's subscribers, what they were told, and where in the history the view changed.

Pure. Only the hub uses it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final, Protocol

from gateway.fanout.filtered_view import FilteredView, History
from gateway.fanout.frames import Encoding
from gateway.transport.websocket_protocol import ReadyFrame
from monitor.shared.changes import Position

PATIENCE: Final = 2
"""Heartbeats of the monitor after which we stop believing a client that claims to be ahead of
us."""
_TOUCHES_KEPT: Final = 4096
_LOOKED_AT: Final = 64
"""Changes of the log that are read at a time while looking for the first one that touches a
view."""
_MOST_EDITS: Final = 2_000
"""Edits of the log that are read in one go for that, about."""
_PORTION: Final = 64
"""Subscribers that are told between two looks at the clock."""


class DirectWriter(Protocol):
    """Describe a connection that the hub can write to without its session."""

    @property
    def ready(self) -> bool:
        """Return whether a frame can be written now: for example, no buffer is full."""
        ...

    def push(self, frame: ReadyFrame) -> bool:
        """Write a ready-made frame if nothing prevents it. Return whether it was written."""
        ...


class Subscriber:
    """Hold one client's view and the position that it was sent last. Only the hub changes it.

    ``wake()`` is called whenever :meth:`Hub.next_messages` may have something for it. ``line``:
    the connection to which a change may be written at once instead.
    """

    __slots__ = (
        *(
            "at",
            "encoding",
            "heard",
            "heartbeat_due",
            "line",
            "merge",
            "patience",
            "position",
            "resuming",
        ),
        *("slot", "snapshot_due", "view", "wake"),
    )

    def __init__(
        self,
        view: FilteredView,
        encoding: Encoding,
        wake: Callable[[], None],
        slot: int,
        line: DirectWriter | None = None,
    ) -> None:
        self.line = line
        self.at = 0
        """Index in its view's list of subscribers."""
        self.view = view
        self.encoding = encoding
        self.wake = wake
        self.slot = slot
        self.merge = True
        self.position: Position | None = None
        self.snapshot_due = True
        self.resuming = False
        """True while a change from ``position`` is due, even an empty one."""
        self.heartbeat_due = False
        self.heard: str | None = None
        """Instant, by the monitor's clock, of the last sign of life that ``patience`` takes into
        account."""
        self.patience = PATIENCE
        """Heartbeats of the monitor left until we stop believing that the client is ahead of us."""

    @property
    def in_step(self) -> bool:
        """Return whether it wants the next merged change, and nothing else before that."""
        return not (self.snapshot_due or self.resuming) and self.merge


class ViewSubscribers:
    """Hold the subscribers of a view, and the positions at which the view changed.

    The positions are of the present epoch, and known as far as the view was watched. Positions
    between which the view did not change are the same to it. So subscribers that stand at any of
    them get the same bytes.
    """

    def __init__(self, view: FilteredView, history: History) -> None:
        self.subscribers: list[Subscriber] = []
        self.dirty = False
        """True if the view has changed since :attr:`left` was last set to all subscribers."""
        self.left = 0
        """Number of subscribers still to be told. They begin where the last batch ended, and
        wrap around."""
        self._next = 0
        self.view = view
        self._history = history
        self._at: Position | None = None
        self._watched_from = 0
        self._touched: list[int] = []
        self._restart()

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber. While others are still to be told, count it as one of them.

        Else it would take another's turn.
        """
        subscriber.at = len(self.subscribers)
        self.subscribers.append(subscriber)
        self.left = self.left and self.left + 1

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber, and move the last one into its place.

        The next batch might miss the moved one. So if any are still to be told, all are looked
        at again.
        """
        last = self.subscribers.pop()
        if last is not subscriber:
            self.subscribers[subscriber.at] = last
            last.at = subscriber.at
        self.left = self.left and len(self.subscribers)

    def next_batch(self) -> list[Subscriber]:
        """Return some of the subscribers still to be told, and count them as told."""
        start = self._next if self._next < len(self.subscribers) else 0
        some = self.subscribers[start : start + min(_PORTION, self.left)]
        self._next = start + len(some)
        self.left -= len(some)
        return some

    def advance(self) -> bool:
        """Follow the replica. Return whether the view changed, or may have changed."""
        now = self._history.position
        if now is None or now == self._at:
            return False
        at = self._at
        changes = (
            self._history.since(at.seq)
            if at and at.epoch == now.epoch and at.seq < now.seq
            else None
        )
        if changes is None:
            self._restart()
            self.dirty = True
            return True
        self._at = now
        touched = [change.position.seq for change in changes if self.view.affected_by(change)]
        self._touched.extend(touched)
        self.dirty = self.dirty or bool(touched)
        if len(self._touched) > _TOUCHES_KEPT:
            keep = _TOUCHES_KEPT // 2
            self._watched_from = self._touched[-keep - 1]
            del self._touched[:-keep]
        return bool(touched)

    @property
    def changed_at(self) -> int:
        """Return the last position at which the view is known to have changed; 0 if none."""
        return self._touched[-1] if self._touched else 0

    def changes_since(self, seq: int) -> int:
        """Return at how many positions after ``seq`` the view is known to have changed."""
        return len(self._touched) - bisect_right(self._touched, seq)

    def unchanged_range(self, seq: int) -> tuple[int, int] | None:
        """Return the first and last position around ``seq`` between which the view is the same.

        Returns None if the view has not changed since ``seq``.
        """
        self.advance()
        if seq < self._watched_from:
            return self._unwatched(seq)
        at = bisect_right(self._touched, seq)
        if at == len(self._touched):
            return None
        return self._touched[at - 1] if at else self._watched_from, self._touched[at] - 1

    def _unwatched(self, seq: int) -> tuple[int, int] | None:
        """Return the same as :meth:`unchanged_range`, read from the log.

        It is for a position from before the view was watched. The last position may be one after
        which the view does not change either, as the log may be long.
        """
        at, looked = seq, 0
        while (changes := self._history.since(at, at + _LOOKED_AT)) is not None:
            if not changes:
                return None
            for change in changes:
                if looked >= _MOST_EDITS:
                    return seq, at
                if self.view.affected_by(change):
                    return seq, change.position.seq - 1
                at = change.position.seq
                looked += len(change.edits)
        return seq, seq

    def _restart(self) -> None:
        self._at = now = self._history.position
        self._watched_from = now.seq if now is not None else 0
        self._touched = []
