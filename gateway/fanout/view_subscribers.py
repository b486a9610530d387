"""Who watches a view, what each has been told, and where in the history the view changed. Pure; for the hub alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final, Protocol

from gateway.fanout.filtered_view import FilteredView, History
from gateway.fanout.frames import Encoding
from monitor.shared.changes import Position

PATIENCE: Final = 2
"""So many times the monitor is heard before one who says that it is ahead of us is not believed."""
_TOUCHES_KEPT: Final = 4096
_LOOKED_AT: Final = 64
"""So many changes of the log are looked at for the first that touches a view, and so on."""
_PORTION: Final = 64
"""So many are told between two looks at the clock."""


class DirectWriter(Protocol):
    """A connection that can be written to without its session."""

    @property
    def ready(self) -> bool:
        """Whether nothing stands against a frame, such as a full buffer."""
        ...

    def push(self, frame: bytes) -> bool:
        """Write a ready-made frame if nothing stands against it. Whether it was written."""
        ...


class Subscriber:
    """One client's place: its view and the position that it has been told. The hub alone changes it.

    ``wake`` is called, without more, whenever :meth:`Hub.take` may have something for it. ``line``: where a change may
    be written at once instead.
    """

    __slots__ = (
        *("at", "encoding", "heard", "heartbeat_due", "line", "merge", "patience", "position", "resuming"),
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
        """Where in its view's list it stands."""
        self.view = view
        self.encoding = encoding
        self.wake = wake
        self.slot = slot
        self.merge = True
        self.position: Position | None = None
        self.snapshot_due = True
        self.resuming = False
        """Whether a change from ``position`` is due, be it empty."""
        self.heartbeat_due = False
        self.heard: str | None = None
        """When the monitor had been heard, the last time that patience was lost."""
        self.patience = PATIENCE
        """Heartbeats of the monitor for which a client that knows more than this gateway is left waiting."""

    @property
    def in_step(self) -> bool:
        """Whether it wants the next merged change and nothing else before that."""
        return not (self.snapshot_due or self.resuming) and self.merge


class ViewSubscribers:
    """A view in use: its subscribers, and at which positions of the present epoch it changed, as far as it was watched.

    Positions between which the view did not change are one and the same to it, so those who stand at any of them get
    the same bytes.
    """

    def __init__(self, view: FilteredView, history: History) -> None:
        self.subscribers: list[Subscriber] = []
        self.dirty = False
        """Whether the view has changed since :attr:`left` was last set to all."""
        self.left = 0
        """How many are still to be told, from where it was left off and around."""
        self._next = 0
        self.view = view
        self._history = history
        self._at: Position | None = None
        self._watched_from = 0
        self._touched: list[int] = []
        self._restart()

    def add(self, subscriber: Subscriber) -> None:
        """One more; while others are still to be told, it is one of them, or it would take another's turn."""
        subscriber.at = len(self.subscribers)
        self.subscribers.append(subscriber)
        self.left = self.left and self.left + 1

    def remove(self, subscriber: Subscriber) -> None:
        """One less; the last takes its place, and as it might be passed over so, all are looked at again."""
        last = self.subscribers.pop()
        if last is not subscriber:
            self.subscribers[subscriber.at] = last
            last.at = subscriber.at
        self.left = self.left and len(self.subscribers)

    def next_batch(self) -> list[Subscriber]:
        """Some of those who are left, who then are no longer."""
        start = self._next if self._next < len(self.subscribers) else 0
        some = self.subscribers[start : start + min(_PORTION, self.left)]
        self._next = start + len(some)
        self.left -= len(some)
        return some

    def advance(self) -> bool:
        """Follow the replica. Returns whether the view changed, or may have."""
        now = self._history.position
        if now is None or now == self._at:
            return False
        at = self._at
        changes = self._history.since(at.seq) if at and at.epoch == now.epoch and at.seq < now.seq else None
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
        """The last position at which the view is known to have changed; 0 if it is not known of any."""
        return self._touched[-1] if self._touched else 0

    def changes_since(self, seq: int) -> int:
        """At how many positions after ``seq`` the view is known to have changed."""
        return len(self._touched) - bisect_right(self._touched, seq)

    def unchanged_range(self, seq: int) -> tuple[int, int] | None:
        """First and last of the positions around ``seq`` at which the view is known to be the same; None: up to now."""
        self.advance()
        if seq < self._watched_from:
            return self._unwatched(seq)
        at = bisect_right(self._touched, seq)
        if at == len(self._touched):
            return None
        return self._touched[at - 1] if at else self._watched_from, self._touched[at] - 1

    def _unwatched(self, seq: int) -> tuple[int, int] | None:
        """The same from the log, for a position from before the view was watched."""
        at = seq
        while (changes := self._history.since(at, at + _LOOKED_AT)) is not None:
            first = next((change.position.seq for change in changes if self.view.affected_by(change)), None)
            if first is not None:
                return seq, first - 1
            if not changes:
                return None
            at = changes[-1].position.seq
        return seq, seq

    def _restart(self) -> None:
        self._at = now = self._history.position
        self._watched_from = now.seq if now is not None else 0
        self._touched = []
