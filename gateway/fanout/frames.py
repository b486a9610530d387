"""The stream's frames, encoded once for all who get them.

A message is text (JSON) or bytes (msgpack), ready to send. The last changes are kept by view and positions, and
snapshots for a second, even if the position has moved on: whoever gets one gets the change from there right after. The
caches are bounded; what is not in them is encoded again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec import Raw, Struct, field

from gateway.fanout.filtered_view import Delta, FilteredView, History
from monitor.shared.changes import Change, Position
from monitor.shared.codec import to_json, to_msgpack
from monitor.shared.entities.topics import Entity, State
from monitor.shared.timestamps import from_unix

Encoding: TypeAlias = Literal["json", "msgpack"]
Message: TypeAlias = str | bytes

PROTOCOL = 1
SIZE_LIMIT = 256 * 1024
"""Bytes: of a part of a snapshot (but an entity is never divided), and of a change that is not sent as a snapshot."""

_SNAPSHOT_AGE = 1.0
"""Seconds for which a snapshot is given out, so that many who come at once share one, also in memory."""
_SNAPSHOTS_KEPT = 64 * 1024 * 1024
"""Bytes of all of them together, but for the last one: many who come at once may each want another view."""
_HEAD = 256
"""Bytes kept for a frame's fields beside its entities."""
_CHANGES_KEPT = 64
_EDITS_AT_ONCE = 2_000
"""So many are looked through for a change, whatever a snapshot would cost."""


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The first frame. ``heartbeat``: seconds between heartbeats. ``topics``: those that the key may see."""

    protocol: int
    server: str
    pbx: str
    heartbeat: float
    server_time: str
    topics: tuple[str, ...]


class Snapshot(Struct, frozen=True, tag_field="type", tag="snapshot"):
    """The whole view at a position, or a part of it: ``more`` is true on all parts but the last."""

    epoch: str
    seq: int
    server_time: str
    state: dict[str, dict[str, Raw]]
    more: bool


class ChangeFrame(Struct, frozen=True, tag_field="type", tag="change"):
    """What brings any position in ``from`` … ``seq`` to ``seq``."""

    epoch: str
    from_seq: int = field(name="from")
    seq: int
    server_time: str
    upsert: State
    remove: dict[str, list[str]]


class ResultFrame(Struct, frozen=True, tag_field="type", tag="result"):
    """The new answer of a watched query."""

    epoch: str
    seq: int
    server_time: str
    result: Raw


class HeartbeatFrame(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Moves the client's position to ``seq``. ``stale_since``: since when the monitor has not been heard, or null."""

    epoch: str
    seq: int
    server_time: str
    stale_since: str | None


class ErrorFrame(Struct, frozen=True, tag_field="type", tag="error"):
    """What was wrong with the client's last message."""

    code: str
    message: str


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping, whose ``at`` it repeats."""

    at: int | float | str | None
    server_time: str


Frame: TypeAlias = Hello | Snapshot | ChangeFrame | ResultFrame | HeartbeatFrame | ErrorFrame | Pong


def encode(frame: Frame, encoding: Encoding) -> Message:
    """The frame as it is sent."""
    return to_json(frame).decode() if encoding == "json" else to_msgpack(frame)


def size(message: Message) -> int:
    """The message's bytes on the wire."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())


@dataclass(frozen=True, slots=True)
class Parts:
    """A snapshot ready to send: its position, and its parts in order."""

    position: Position
    messages: tuple[Message, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(size, self.messages))


class FrameCache:
    """The frames of one space. Not to be asked before ``history`` has a position.

    ``clock``: POSIX seconds. ``server_time`` is when a frame was encoded.
    """

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self._history = history
        self._clock = clock
        self._changes: OrderedDict[tuple[FilteredView, Encoding, int, int], Message | None] = OrderedDict()
        self._changes_epoch: str | None = None
        self._snapshots: OrderedDict[tuple[FilteredView, Encoding], tuple[float, Parts]] = OrderedDict()
        self._snapshots_size = 0

    def heartbeat(self, encoding: Encoding, stale_since: str | None, at: Position | None = None) -> Message:
        """A heartbeat at the position now, or ``at`` that of one who is ahead of us."""
        now = self._position() if at is None else at
        return encode(HeartbeatFrame(now.epoch, now.seq, from_unix(self._clock()), stale_since), encoding)

    def change(
        self, view: FilteredView, encoding: Encoding, from_seq: int, same_until: int, to: Position | None = None
    ) -> Message | None:
        """The change from ``from_seq`` of the present epoch to ``to``; None if a snapshot must be sent instead.

        ``same_until``: the last position known to be no different in this view from ``from_seq`` and all between; only
        what came after it is looked at, be it ever so long since ``from_seq``. ``to`` None: now.
        """
        now = self._position()
        to = now if to is None else to
        if self._changes_epoch != now.epoch:
            self._changes.clear()
            self._changes_epoch = now.epoch
        key = (view, encoding, from_seq, to.seq)  # same_until follows from it
        if key not in self._changes:
            changes = self._history.since(same_until, to.seq)
            delta = None if changes is None or self._dearer(view, changes) else view.delta(changes)
            self._changes[key] = None if delta is None else self._encode_change(delta, encoding, from_seq, to)
            if len(self._changes) > _CHANGES_KEPT:
                self._changes.popitem(last=False)
        return self._changes[key]

    def snapshot(self, view: FilteredView, encoding: Encoding, at_least: int) -> Parts:
        """The whole view at a position of the present epoch that is now, or within the last second and the log.

        Never before ``at_least``, which must not be after now.
        """
        self.forget()
        kept = self._snapshots.get((view, encoding))
        if kept is not None and self._usable(kept[1].position, at_least):
            self._snapshots.move_to_end((view, encoding))
            return kept[1]
        parts = self._encode_snapshot(view, encoding)
        if kept is not None:
            self._drop((view, encoding))
        self._snapshots[view, encoding] = (self._clock(), parts)
        self._snapshots_size += parts.size
        while self._snapshots_size > _SNAPSHOTS_KEPT and len(self._snapshots) > 1:
            self._drop(next(iter(self._snapshots)))
        return parts

    def forget(self) -> None:
        """Let go of snapshots that are too old to give out."""
        oldest = self._clock() - _SNAPSHOT_AGE
        for key in [key for key, (at, _) in self._snapshots.items() if not oldest < at <= self._clock()]:
            self._drop(key)

    def _drop(self, key: tuple[FilteredView, Encoding]) -> None:
        self._snapshots_size -= self._snapshots.pop(key)[1].size

    def _usable(self, position: Position, at_least: int) -> bool:
        now = self._position()
        return (
            position.epoch == now.epoch
            and at_least <= position.seq <= now.seq
            and (position == now or self._history.since(position.seq, position.seq) is not None)
        )

    def _dearer(self, view: FilteredView, changes: Iterable[Change]) -> bool:
        """Whether to look through these changes takes longer than a snapshot; of few it does not matter."""
        edits = sum(len(change.edits) for change in changes)
        if edits <= _EDITS_AT_ONCE:
            return False
        return edits > sum(len(entities) for topic, entities in self._history.state.items() if topic in view.topics)

    def _encode_change(self, delta: Delta, encoding: Encoding, from_seq: int, to: Position) -> Message | None:
        server_time = from_unix(self._clock())
        frame = ChangeFrame(to.epoch, from_seq, to.seq, server_time, delta.upsert, delta.remove)
        message = encode(frame, encoding)
        return message if size(message) <= SIZE_LIMIT else None

    def _encode_snapshot(self, view: FilteredView, encoding: Encoding) -> Parts:
        now = self._position()
        server_time = from_unix(self._clock())
        parts = list(_parts(view.snapshot(self._history), encoding))
        return Parts(
            now,
            tuple(
                encode(Snapshot(now.epoch, now.seq, server_time, part, at + 1 < len(parts)), encoding)
                for at, part in enumerate(parts)
            ),
        )

    def _position(self) -> Position:
        position = self._history.position
        if position is None:
            raise ValueError("there is no state yet, so there are no frames")
        return position


def _parts(state: State, encoding: Encoding) -> Iterator[dict[str, dict[str, Raw]]]:
    """The state in parts that fit a frame each; every topic stands in the first one."""
    part: dict[str, dict[str, Raw]] = {topic: {} for topic in state}
    used = _HEAD + sum(len(topic) + 8 for topic in state)
    for topic, id_, entity in _rows(state):
        raw = Raw(to_json(entity) if encoding == "json" else to_msgpack(entity))
        cost = len(bytes(raw)) + len(to_json(id_)) + 8
        if used + cost > SIZE_LIMIT and any(part.values()):
            yield part
            part, used = {}, _HEAD
        if topic not in part:
            part[topic] = {}
            used += len(topic) + 8
        part[topic][id_] = raw
        used += cost
    yield part


def _rows(state: State) -> Iterable[tuple[str, str, Entity]]:
    return ((topic, id_, entity) for topic, entities in state.items() for id_, entity in entities.items())
