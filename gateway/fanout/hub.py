"""Fan-out of one space of a PBX: who must be told what, and when.

A subscriber holds its view and the position that its client has been told, nothing else: no queue. When the replica
moves, the hub looks once a view whether the change touches it, makes the frame once, and writes it to all of that
view's connections that can take it at once. Others are woken, and each takes what brings its client from its position
to now when its connection can take it: the change (merged, if there were several), a snapshot if there is no such
change, nothing if its view did not change. So a slow client is simply further behind, and what it costs does not grow.

Nobody is sent back: who says that it holds more than we do (it comes from another gateway, and we are cut off from the
bus, or late) gets nothing older, but a heartbeat at its own position while we are stale. Only once the monitor was
heard twice since, and is not there yet, its word counts for nothing.

Heartbeats move the positions of those whose view did not change; whoever is behind gets the change first. They are
spread over the heartbeat's time, so that thousands are not written to in one go. When the bus falls silent or comes
back, everyone is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from itertools import count
from time import perf_counter

from gateway.fanout.delivery_stats import DeliveryStats
from gateway.fanout.filtered_view import FilteredView, History
from gateway.fanout.frames import Encoding, FrameCache, Message, size
from gateway.fanout.view_subscribers import PATIENCE, DirectWriter, Subscriber, ViewSubscribers
from gateway.transport.websocket_protocol import ready_made
from monitor.shared.changes import Position

_SLOTS = 20
"""Into how many portions heartbeats are divided."""
_SLICE = 0.005
"""Seconds for which subscribers are told without a break."""


class Hub:
    """The subscribers of one space. Everything but :meth:`run` is synchronous.

    ``stale_since`` tells since when the monitor has not been heard, None while it is. ``clock``: POSIX seconds.
    ``heard`` tells when the monitor was heard last, by its own clock; None: whenever it is not stale.
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
        self.measures = self._tally.measures
        self._history = history
        self._stale_since = stale_since
        self._frames = FrameCache(history, clock)
        self._tracks: dict[FilteredView, ViewSubscribers] = {}
        self._slots: tuple[set[Subscriber], ...] = tuple(set() for _ in range(_SLOTS))
        self._next_slot = count()
        self._told_stale: str | None = None
        self._telling: dict[ViewSubscribers, None] = {}
        self._turn: asyncio.Handle | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a state to send."""
        return self._history.position is not None

    @property
    def position(self) -> Position | None:
        """Where the replica is."""
        return self._history.position

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots)

    @property
    def tracks(self) -> Collection[ViewSubscribers]:
        """The views in use, with their subscribers; for looking only."""
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
        """A new subscriber. The caller must :meth:`leave`.

        ``since``: the position at which its client holds this view; then the change from there is due, if the log
        reaches back, else a snapshot. ``merge`` false: every change by itself, as far as the log reaches.
        ``told``: the position of something else that its client has been told; it gets nothing older.
        """
        subscriber = Subscriber(view, encoding, wake, next(self._next_slot) % _SLOTS, line)
        subscriber.position = told
        self._slots[subscriber.slot].add(subscriber)
        self._enter(subscriber, since, merge)
        return subscriber

    def change_view(
        self, subscriber: Subscriber, view: FilteredView, since: Position | None = None, *, merge: bool = True
    ) -> None:
        """From now on it sees ``view``: as for a new one, but never at an older position than it has been told."""
        self._exit(subscriber)
        subscriber.view = view
        self._enter(subscriber, since, merge)

    def leave(self, subscriber: Subscriber) -> None:
        """It is gone."""
        self._slots[subscriber.slot].discard(subscriber)
        self._exit(subscriber)

    def changed(self) -> None:
        """The replica has moved, or the monitor fell silent or was heard again: tell those whom it concerns.

        At once, but only for a moment without a break; what changes while the others wait is told them as one.
        """
        for track in self._tracks.values():
            track.advance()
            if track.dirty:
                track.dirty = False
                track.left = len(track.subscribers)
                self._telling[track] = None
        if self._telling and self._turn is None:
            self._tell_some()
        stale_since = self._stale_since()
        if stale_since != self._told_stale:
            self._told_stale = stale_since
            for slot in self._slots:
                self._beat(slot)

    def _tell_some(self) -> None:
        """Go on telling for a moment; then requests and the bus have their turn."""
        self._turn = None
        until = perf_counter() + _SLICE
        while self._telling:
            track = next(iter(self._telling))
            del self._telling[track]
            while track.left:
                self._tell(track, track.next_batch())
                if perf_counter() >= until:
                    break
            if track.left:
                self._telling[track] = None  # after the others
                try:
                    self._turn = asyncio.get_running_loop().call_soon(self._tell_some)
                except RuntimeError:  # nothing runs that could call us again
                    until = float("inf")
                    continue
                return

    def _tell(self, track: ViewSubscribers, subscribers: list[Subscriber]) -> None:
        """Write the change to every line that can take it; wake the others."""
        now = self._history.position
        told: Position | None = None
        encoding: Encoding | None = None
        frame: bytes | None = None
        sent = 0
        for subscriber in subscribers:
            line = subscriber.line
            # in_step, written out: a call more for each delivery is felt
            if line is not None and subscriber.merge and not (subscriber.snapshot_due or subscriber.resuming):
                if subscriber.position is not told or subscriber.encoding is not encoding:
                    if subscriber.position is now:  # told in this round already
                        continue
                    if not line.ready:  # of those who can take nothing each is elsewhere: a frame for each is dear
                        subscriber.wake()
                        continue
                    if sent and told is not None and frame is not None:
                        self._tally.written(track, told, len(frame), sent)
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
            self._tally.written(track, told, len(frame), sent)

    def _ready_change(self, track: ViewSubscribers, told: Position | None, encoding: Encoding) -> bytes | None:
        now = self._history.position
        if told is None or now is None or told.epoch != now.epoch or told.seq >= now.seq:
            return None
        stretch = track.unchanged_range(told.seq)
        message = None if stretch is None else self._frames.change(track.view, encoding, *stretch, now)
        return None if message is None else ready_made(message)

    def take(self, subscriber: Subscriber) -> tuple[Message, ...]:
        """What to send next, in this order and with nothing in between; empty: nothing until it is woken.

        The subscriber's position is moved: what is returned must be sent, or the connection closed.
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
            return self._snapshot(subscriber, now, told.seq if told is not None and same_epoch else 0, why)
        if told.seq > now.seq:
            return ()
        track = self._tracks[subscriber.view]
        stretch = track.unchanged_range(told.seq)
        if stretch is not None:
            to = now if subscriber.merge else Position(now.epoch, stretch[1] + 1)
            message = self._frames.change(subscriber.view, subscriber.encoding, *stretch, to)
            if message is None:
                return self._snapshot(subscriber, now, told.seq + 1, self._tally.why_none(stretch[1]))
            self._tally.taken(track, size(message), told, stretch, to)
            subscriber.position = to
            return (message,)
        if subscriber.heartbeat_due:
            subscriber.heartbeat_due = False
            subscriber.position = now
            beat = self._frames.heartbeat(subscriber.encoding, self._stale_since())
            self.measures.beat(len(beat))
            return (beat,)
        return ()

    async def run(self) -> None:
        """Give heartbeats. Never returns; whoever starts it awaits it."""
        while True:
            for slot in self._slots:
                await asyncio.sleep(self.heartbeat / _SLOTS)
                self.changed()
                self._frames.forget()
                self._beat(slot)

    def _resume(self, subscriber: Subscriber, now: Position) -> tuple[Message, ...]:
        """The change from where the client says that it is; nothing while it is ahead of us, unless that lasts."""
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
        if not subscriber.merge and self._tracks[subscriber.view].unchanged_range(told.seq) is not None:
            return self.take(subscriber)
        message = self._frames.change(subscriber.view, subscriber.encoding, told.seq, told.seq, now)
        if message is None:
            return self._snapshot(subscriber, now, told.seq, "size")
        self.measures.took(size(message), merged=False, seconds=None)  # what came about while it was away
        subscriber.position = now
        return (message,)

    def _snapshot(self, subscriber: Subscriber, now: Position, at_least: int, why: str) -> tuple[Message, ...]:
        if at_least > now.seq:  # the client knows more than this gateway, or says so
            if subscriber.patience:
                told = subscriber.position
                return () if told is None else self._held_back(subscriber, told)
            at_least = now.seq
        parts = self._frames.snapshot(subscriber.view, subscriber.encoding, at_least)
        self.measures.snapshot(why, [size(message) for message in parts.messages])
        subscriber.snapshot_due = False
        subscriber.position = parts.position
        subscriber.heartbeat_due = subscriber.heartbeat_due or self._stale_since() is not None
        return parts.messages

    def _held_back(self, subscriber: Subscriber, told: Position) -> tuple[Message, ...]:
        """Nothing for one who is ahead of us, but that we are stale, if we are."""
        stale_since = self._stale_since()
        if stale_since is None or not subscriber.heartbeat_due:
            return ()
        subscriber.heartbeat_due = False
        beat = self._frames.heartbeat(subscriber.encoding, stale_since, told)
        self.measures.beat(size(beat))
        return (beat,)

    def _lose_patience(self, subscriber: Subscriber) -> None:
        """The monitor was heard again since the last time, and did not bring us to where this one says that it is."""
        heard = None if self._heard is None else self._heard()
        if self._stale_since() is None and (heard is None or heard != subscriber.heard):
            subscriber.heard = heard
            subscriber.patience = max(0, subscriber.patience - 1)

    def _beat(self, subscribers: set[Subscriber]) -> None:
        frames: dict[Encoding, bytes] = {}
        for subscriber in subscribers:
            subscriber.heartbeat_due = True
            if subscriber.resuming or subscriber.snapshot_due:
                self._lose_patience(subscriber)
            if not self._beat_directly(subscriber, frames):
                subscriber.wake()

    def _beat_directly(self, subscriber: Subscriber, frames: dict[Encoding, bytes]) -> bool:
        """Write a heartbeat if nothing else is due and the line can take it."""
        told, now = subscriber.position, self._history.position
        if subscriber.line is None or not subscriber.in_step or told is None or now is None or told.epoch != now.epoch:
            return False
        if told.seq > now.seq or self._tracks[subscriber.view].unchanged_range(told.seq) is not None:
            return False
        frame = frames.get(subscriber.encoding)
        if frame is None:
            beat = self._frames.heartbeat(subscriber.encoding, self._stale_since())
            frame = frames[subscriber.encoding] = ready_made(beat)
        if not subscriber.line.push(frame):
            return False
        self.measures.beat(len(frame))
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
            self._telling.pop(track, None)
