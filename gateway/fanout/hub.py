"""Send the changes of one space of a PBX (live or book) to its subscribers.

A subscriber holds its view and the position that its client has been told. It has no queue.

- When the replica moves, the hub checks once for each view whether the change touches it. It
  makes the frame once, and writes it to all connections of that view that can take it at once.
  A key may have thousands of views, and a change hundreds of entities. So views are checked for a
  moment, too, and then everything else has its turn. Views that select nothing cost least and are
  first.
- The other subscribers are woken. Each takes what brings its client from its position to now
  when its connection can take it: the change (merged, if there were several), a snapshot if
  there is no such change, or nothing if its view did not change. So a slow client is simply
  further behind, and its cost does not grow.
- No client is sent back. A client may say that it holds more than we do: it comes from another
  gateway, and we are late or cut off from the bus. It gets nothing older, only heartbeats at its
  own position while we are stale. We stop believing it once the monitor was heard twice since
  and has not reached that position.
- Heartbeats move the positions of clients whose view did not change. A client that is behind
  gets the change first. Heartbeats are spread over the heartbeat's interval, so that thousands
  are not written in one go. When the bus falls silent or comes back, all clients are told at
  once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from itertools import count
from time import perf_counter

from gateway.fanout.delivery_stats import DeliveryStats
from gateway.fanout.filtered_view import FilteredView, History
from gateway.fanout.frames import Encoding, FrameCache, Messages, TakenSnapshot, size
from gateway.fanout.view_subscribers import PATIENCE, DirectWriter, Subscriber, ViewSubscribers
from gateway.transport.websocket_protocol import ReadyFrame
from monitor.shared.changes import Position

_SLOTS = 20
"""Groups of subscribers that get their heartbeats at different times."""
_SLICE_S = 0.005
"""Seconds for which subscribers are told without a break."""


class Hub:
    """Hold the subscribers of one space. Everything but :meth:`run` is synchronous.

    ``stale_since``: returns since when the monitor has not been heard; None while it is heard.
    ``clock``: POSIX seconds. ``heartbeat``: seconds between heartbeats. ``heard``: returns when
    the monitor was last heard, by the monitor's clock. Without it (None) the monitor counts as
    heard whenever it is not stale.
    """

    def __init__(
        self,
        history: History,
        stale_since: Callable[[], str | None],
        clock: Callable[[], float],
        heartbeat: float = 5.0,
        heard: Callable[[], str | None] | None = None,
    ) -> None:
        self.heartbeat = heartbeat
        self._heard = heard
        self._tally = DeliveryStats(history, clock)
        self.counters = self._tally.counters
        self._history = history
        self._stale_since = stale_since
        self._frames = FrameCache(history, clock)
        self._tracks: dict[FilteredView, ViewSubscribers] = {}
        self._slots: tuple[set[Subscriber], ...] = tuple(set() for _ in range(_SLOTS))
        self._next_slot = count()
        self._told_stale: str | None = None
        self._unchecked_whole: dict[ViewSubscribers, None] = {}
        self._unchecked: dict[ViewSubscribers, None] = {}
        """Views that may have changed; those without filter and fields are in the other one."""
        self._pending: dict[ViewSubscribers, None] = {}
        self._continuation: asyncio.Handle | None = None

    @property
    def ready(self) -> bool:
        """Return whether there is a state to send."""
        return self._history.position is not None

    @property
    def position(self) -> Position | None:
        """Return the replica's position; None until a state was loaded."""
        return self._history.position

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots)

    @property
    def tracks(self) -> Collection[ViewSubscribers]:
        """Return the views in use, with their subscribers; for reading only."""
        return self._tracks.values()

    def subscribe(
        self,
        view: FilteredView,
        encoding: Encoding,
        wake: Callable[[], None],
        since: Position | None = None,
        *,
        merge: bool = True,
        line: DirectWriter | None = None,
        told: Position | None = None,
    ) -> Subscriber:
        """Add a subscriber and return it. The caller must :meth:`leave`.

        ``since``: the position at which its client holds this view. Then the change from there
        is due if the log reaches back, else a snapshot. ``merge`` false: send every change by
        itself, as far as the log reaches. ``line``: the connection that the hub may write to
        itself. ``told``: the position of something else that its client has been told; it gets
        nothing older.
        """
        subscriber = Subscriber(view, encoding, wake, next(self._next_slot) % _SLOTS, line)
        subscriber.position = told
        self._slots[subscriber.slot].add(subscriber)
        self._enter(subscriber, since, merge)
        return subscriber

    def change_view(
        self,
        subscriber: Subscriber,
        view: FilteredView,
        since: Position | None = None,
        *,
        merge: bool = True,
    ) -> None:
        """Switch the subscriber to ``view``.

        What is due then is as for a new subscriber, but never at a position older than it was
        told.
        """
        self._exit(subscriber)
        subscriber.view = view
        self._enter(subscriber, since, merge)

    def leave(self, subscriber: Subscriber) -> None:
        """Remove the subscriber."""
        self._slots[subscriber.slot].discard(subscriber)
        self._exit(subscriber)

    def changed(self) -> None:
        """Tell the subscribers that the replica moved, or that staleness began or ended.

        It starts at once, but works only for a moment without a break. What changes while the
        others wait is told to them as one change.
        """
        for track in self._tracks.values():
            (self._unchecked_whole if track.view.whole else self._unchecked).setdefault(track)
        if self._continuation is None:
            self._broadcast_slice()
        stale_since = self._stale_since()
        if stale_since != self._told_stale:
            self._told_stale = stale_since
            for slot in self._slots:
                self._send_heartbeats(slot)

    def _broadcast_slice(self) -> None:
        """Check and tell more for a moment; then requests and the bus have their turn."""
        self._continuation = None
        until = perf_counter() + _SLICE_S
        while self._is_unfinished():
            self._check_next()
            if self._pending:
                self._tell_next(until)
            if self._is_unfinished() and perf_counter() >= until:
                try:
                    self._continuation = asyncio.get_running_loop().call_soon(self._broadcast_slice)
                except RuntimeError:  # no event loop runs: finish now
                    until = float("inf")
                    continue
                return

    def _is_unfinished(self) -> bool:
        return bool(self._unchecked_whole or self._unchecked or self._pending)

    def _check_next(self) -> None:
        """Check whether one more view changed."""
        unchecked = self._unchecked_whole or self._unchecked
        if not unchecked:
            return
        track = next(iter(unchecked))
        del unchecked[track]
        track.advance()
        if track.dirty:
            track.dirty = False
            track.left = len(track.subscribers)
            self._pending[track] = None

    def _tell_next(self, until: float) -> None:
        """Tell subscribers of a view that changed; some at least."""
        track = next(iter(self._pending))
        del self._pending[track]
        while track.left:
            self._broadcast(track, track.next_batch())
            if perf_counter() >= until:
                break
        if track.left:
            self._pending[track] = None  # after the others

    def _broadcast(self, track: ViewSubscribers, subscribers: list[Subscriber]) -> None:
        """Write the change to every connection that can take it; wake the other subscribers."""
        now = self._history.position
        told: Position | None = None
        encoding: Encoding | None = None
        frame: ReadyFrame | None = None
        sent = 0
        for subscriber in subscribers:
            line = subscriber.line
            # Subscriber.in_step, inlined: one more call for each delivery costs too much
            if (
                line is not None
                and subscriber.merge
                and not (subscriber.snapshot_due or subscriber.resuming)
            ):
                if subscriber.position is not told or subscriber.encoding is not encoding:
                    if subscriber.position is now:  # told in this round already
                        continue
                    if (
                        not line.ready
                    ):  # full ones are all at different positions: no frame for each
                        subscriber.wake()
                        continue
                    if sent and told is not None and frame is not None:
                        self._tally.written(track, told, len(frame.plain), sent)
                        sent = 0
                    told, encoding = subscriber.position, subscriber.encoding
                    frame = self._ready_change(track, told, encoding)
                if frame is not None and line.push(frame):
                    subscriber.position = now
                    sent += 1
                    continue
            if subscriber.position is not now or subscriber.snapshot_due or subscriber.resuming:
                subscriber.wake()
        if sent and told is not None and frame is not None:
            self._tally.written(track, told, len(frame.plain), sent)

    def _ready_change(
        self, track: ViewSubscribers, told: Position | None, encoding: Encoding
    ) -> ReadyFrame | None:
        now = self._history.position
        if told is None or now is None or told.epoch != now.epoch or told.seq >= now.seq:
            return None
        stretch = track.unchanged_range(told.seq)
        message = (
            None if stretch is None else self._frames.change(track.view, encoding, *stretch, now)
        )
        return None if message is None else ReadyFrame(message)

    def next_messages(self, subscriber: Subscriber) -> Messages:
        """Return the messages to send next, in this order and with nothing in between.

        Empty: nothing is due until the subscriber is woken. This moves the subscriber's
        position: send what is returned, or close the connection.
        """
        now = self._history.position
        if now is None:
            return ()
        if subscriber.resuming:
            return self._resume(subscriber, now)
        told = subscriber.position
        if subscriber.snapshot_due or told is None or told.epoch != now.epoch:
            same_epoch = told is not None and told.epoch == now.epoch
            why = "subscribed" if told is None or same_epoch else "epoch"
            return self._snapshot(
                subscriber, now, told.seq if told is not None and same_epoch else 0, why
            )
        if told.seq > now.seq:
            return ()
        track = self._tracks[subscriber.view]
        stretch = track.unchanged_range(told.seq)
        if stretch is not None:
            to = now if subscriber.merge else Position(now.epoch, stretch[1] + 1)
            message = self._frames.change(subscriber.view, subscriber.encoding, *stretch, to)
            if message is None:
                return self._snapshot(
                    subscriber, now, told.seq + 1, self._tally.why_none(stretch[1])
                )
            self._tally.taken(track, size(message), told, stretch, to)
            subscriber.position = to
            return (message,)
        if subscriber.heartbeat_due:
            subscriber.heartbeat_due = False
            subscriber.position = now
            beat = self._frames.heartbeat(subscriber.encoding, self._stale_since())
            self.counters.beat(len(beat))
            return (beat,)
        return ()

    async def run(self) -> None:
        """Send heartbeats. Never returns; the caller that starts it must await it."""
        while True:
            for slot in self._slots:
                await asyncio.sleep(self.heartbeat / _SLOTS)
                self.changed()
                self._frames.forget()
                self._send_heartbeats(slot)

    def _resume(self, subscriber: Subscriber, now: Position) -> Messages:
        """Return the change from the position that the client named.

        Returns nothing while the client is ahead of us, until we stop believing it.
        """
        told = subscriber.position
        if told is not None and told > now and subscriber.patience:
            return self._held_back(subscriber, told)
        subscriber.resuming = False
        if told is None or told.epoch != now.epoch or told.seq > now.seq:
            return self._snapshot(subscriber, now, 0, "epoch")
        if self._history.since(told.seq, told.seq) is None:
            return self._snapshot(subscriber, now, 0, "log")
        subscriber.snapshot_due = False
        subscriber.heartbeat_due = subscriber.heartbeat_due or self._stale_since() is not None
        if (
            not subscriber.merge
            and self._tracks[subscriber.view].unchanged_range(told.seq) is not None
        ):
            return self.next_messages(subscriber)
        message = self._frames.change(subscriber.view, subscriber.encoding, told.seq, told.seq, now)
        if message is None:
            return self._snapshot(subscriber, now, told.seq, "size")
        self.counters.took(
            size(message), merged=False, seconds=None
        )  # it changed while the client was away
        subscriber.position = now
        return (message,)

    def _snapshot(self, subscriber: Subscriber, now: Position, at_least: int, why: str) -> Messages:
        if at_least > now.seq:  # the client knows more than this gateway, or says so
            if subscriber.patience:
                told = subscriber.position
                return () if told is None else self._held_back(subscriber, told)
            at_least = now.seq
        parts = self._frames.snapshot(subscriber.view, subscriber.encoding, at_least)
        self.counters.snapshot(why)
        subscriber.snapshot_due = False
        subscriber.position = parts.position
        subscriber.heartbeat_due = subscriber.heartbeat_due or self._stale_since() is not None
        return TakenSnapshot(parts, self.counters.snapshot_part)

    def _held_back(self, subscriber: Subscriber, told: Position) -> Messages:
        """Return only a heartbeat if we are stale, else nothing: the client is ahead of us."""
        stale_since = self._stale_since()
        if stale_since is None or not subscriber.heartbeat_due:
            return ()
        subscriber.heartbeat_due = False
        beat = self._frames.heartbeat(subscriber.encoding, stale_since, told)
        self.counters.beat(size(beat))
        return (beat,)

    def _lose_patience(self, subscriber: Subscriber) -> None:
        """Count one heartbeat of the monitor that did not bring us to the client's position."""
        heard = None if self._heard is None else self._heard()
        if self._stale_since() is None and (heard is None or heard != subscriber.heard):
            subscriber.heard = heard
            subscriber.patience = max(0, subscriber.patience - 1)

    def _send_heartbeats(self, subscribers: set[Subscriber]) -> None:
        frames: dict[Encoding, ReadyFrame] = {}
        for subscriber in subscribers:
            subscriber.heartbeat_due = True
            if subscriber.resuming or subscriber.snapshot_due:
                self._lose_patience(subscriber)
            if not self._beat_directly(subscriber, frames):
                subscriber.wake()

    def _beat_directly(self, subscriber: Subscriber, frames: dict[Encoding, ReadyFrame]) -> bool:
        """Write a heartbeat if nothing else is due and the connection can take it.

        Returns whether it was written.
        """
        told, now = subscriber.position, self._history.position
        if (
            subscriber.line is None
            or not subscriber.in_step
            or told is None
            or now is None
            or told.epoch != now.epoch
        ):
            return False
        track = self._tracks[subscriber.view]
        if (
            track in self._unchecked  # its session takes the time to check it in turn with others
            or told.seq > now.seq
            or track.unchanged_range(told.seq) is not None
        ):
            return False
        frame = frames.get(subscriber.encoding)
        if frame is None:
            beat = self._frames.heartbeat(subscriber.encoding, self._stale_since())
            frame = frames[subscriber.encoding] = ReadyFrame(beat)
        if not subscriber.line.push(frame):
            return False
        self.counters.beat(len(frame.plain))
        subscriber.heartbeat_due, subscriber.position = False, now
        return True

    def _enter(self, subscriber: Subscriber, since: Position | None, merge: bool) -> None:
        track = self._tracks.get(subscriber.view)
        if track is None:
            track = self._tracks[subscriber.view] = ViewSubscribers(subscriber.view, self._history)
        subscriber.view = track.view  # equal ones are held once: a filter may be large
        track.add(subscriber)
        subscriber.merge = merge
        subscriber.snapshot_due = True
        told = subscriber.position
        subscriber.resuming = since is not None and (told is None or since >= told)
        if subscriber.resuming:
            subscriber.position = since
        subscriber.patience = PATIENCE
        subscriber.heard = None if self._heard is None else self._heard()
        subscriber.wake()

    def _exit(self, subscriber: Subscriber) -> None:
        track = self._tracks[subscriber.view]
        track.remove(subscriber)
        if not track.subscribers:
            del self._tracks[subscriber.view]
            for waiting in (self._pending, self._unchecked_whole, self._unchecked):
                waiting.pop(track, None)
