"""Encode the stream's frames, once for all clients that get them.

A message is text (JSON) or bytes (msgpack), ready to send. The last changes are cached by view
and positions. Snapshots are cached for a second, even if the position has moved on: a client
that gets an older snapshot gets the change from there right after.

A snapshot consists of small parts. Each part is made when the first client takes it, and then
shared by all. So nobody waits until all of it is made, and a client that takes a part holds no
bytes of its own. Once a snapshot is no longer cached and nobody takes it, its bytes are freed.

The caches are bounded. What is not in them is encoded again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType, field

from gateway.fanout.entity_index import EntityIndex
from gateway.fanout.field_selection import Shown, ShownState
from gateway.fanout.filtered_view import Delta, FilteredView, History
from monitor.shared.changes import Change, Position
from monitor.shared.codec import to_json, to_msgpack
from monitor.shared.timestamps import from_unix

Encoding: TypeAlias = Literal["json", "msgpack"]
Message: TypeAlias = str | bytes

PROTOCOL = 1
VERSION: Final = "1.1"
"""Version of the protocol in ``hello``. A client of 1.0 finds all that it knows in 1.1."""
SIZE_LIMIT_BYTES = 256 * 1024
"""Bytes of a change. A larger change is sent as a snapshot."""
PART_BYTES = 64 * 1024
"""Bytes of a part of a snapshot: as many as a socket takes at once. An entity is never divided."""

_SNAPSHOT_AGE_S = 1.0
"""Seconds for which a snapshot is reused, so that many who come at once share one, also in
memory."""
_SNAPSHOTS_KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of all cached snapshots together, not counting the newest: many who come at once may
each want another view."""
_LOOK_S = 0.25
"""Seconds between two looks for snapshots that are too old."""
_HEAD_BYTES = 256
"""Bytes reserved for a frame's fields beside its entities."""
_CHANGES_KEPT = 64
_EDITS_AT_ONCE = 2_000
"""Edits that are always looked through for a change, even if a snapshot would cost less."""


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The first frame.

    ``pbx``: null if the client named none. ``heartbeat``: seconds between heartbeats. ``topics``:
    those that the key may see; for a key for one PBX without ``pbxs``, which it may watch too.
    ``version``: of the protocol; the first version, 1.0, had no such field.
    """

    protocol: int
    server: str
    pbx: str | None
    heartbeat: float
    server_time: str
    topics: tuple[str, ...]
    version: str = VERSION


class Snapshot(Struct, frozen=True, tag_field="type", tag="snapshot"):
    """The whole view at a position, or a part of it: ``more`` is true on all parts but the last."""

    epoch: str
    seq: int
    server_time: str
    state: dict[str, dict[str, Raw]]
    more: bool


class ChangeFrame(Struct, frozen=True, tag_field="type", tag="change"):
    """The change that brings a client from any position in ``from`` … ``seq`` to ``seq``.

    ``patch``: only in a subscription that asked for it.
    """

    epoch: str
    from_seq: int = field(name="from")
    seq: int
    server_time: str
    upsert: ShownState
    remove: dict[str, list[str]]
    patch: dict[str, dict[str, dict[str, Any]]] | UnsetType = UNSET


class ResultFrame(Struct, frozen=True, tag_field="type", tag="result"):
    """The new answer of a watched query."""

    epoch: str
    seq: int
    server_time: str
    result: Raw


class HeartbeatFrame(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Moves the client's position to ``seq``.

    ``stale_since``: since when the gateway has not heard from the monitor; null while it hears
    it.
    """

    epoch: str
    seq: int
    server_time: str
    stale_since: str | None


class ErrorFrame(Struct, frozen=True, tag_field="type", tag="error"):
    """Says what was wrong with the client's last message."""

    code: str
    message: str


class Unsubscribed(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """The answer to ``unsubscribe``. No frame of that subscription follows."""


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping. It repeats the ping's ``at``."""

    at: int | float | str | None
    server_time: str


Frame: TypeAlias = (
    Hello | Snapshot | ChangeFrame | ResultFrame | HeartbeatFrame | ErrorFrame | Unsubscribed | Pong
)


def encode(frame: Frame, encoding: Encoding) -> Message:
    """Encode the frame as it is sent."""
    return to_json(frame).decode() if encoding == "json" else to_msgpack(frame)


def size(message: Message) -> int:
    """Return the message's bytes on the wire."""
    return (
        len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
    )


class SnapshotParts:
    """Hold a snapshot: its position, and its parts, which are made in order as they are wanted.

    ``parts``: yields each part, encoded, with the number of its entities. ``entities``: of all
    parts together. ``text``: whether the parts are text (JSON).
    """

    __slots__ = (
        *("__weakref__", "_entities", "_entities_made", "_made", "_rest"),
        *("grown", "position", "size", "text"),
    )

    def __init__(
        self, position: Position, parts: Iterator[tuple[bytes, int]], entities: int, *, text: bool
    ) -> None:
        self.position = position
        self.text = text
        self.size = 0
        """Bytes of the parts that were made."""
        self.grown: Callable[[int], None] | None = None
        """Called with the bytes of each new part."""
        self._entities = entities
        self._entities_made = 0
        self._made: list[bytes] = []
        self._rest = parts
        self._make()

    @property
    def expected_size(self) -> int:
        """Return about how many bytes all parts will have, by those that were made."""
        return self.size * self._entities // max(1, self._entities_made)

    def payloads(self) -> Iterator[bytes]:
        """Yield the parts as they are sent. Those that nobody has wanted before are made now."""
        at = 0
        while at < len(self._made) or self._make():
            yield self._made[at]
            at += 1

    def _make(self) -> bool:
        """Make one more part. Return whether there was one to make."""
        part, entities = next(self._rest, (None, 0))
        if part is None:
            return False
        self._made.append(part)
        self.size += len(part)
        self._entities_made += entities
        if self.grown is not None:
            self.grown(len(part))
        return True


class TakenSnapshot:
    """Hand a snapshot's parts to one client. ``taken``: called with the bytes of each part.

    Iterating yields messages; :meth:`payloads` yields their bytes, the same for all clients.
    """

    __slots__ = ("_taken", "parts")

    def __init__(self, parts: SnapshotParts, taken: Callable[[int], None]) -> None:
        self.parts = parts
        self._taken = taken

    def __iter__(self) -> Iterator[Message]:
        return (payload.decode() if self.parts.text else payload for payload in self.payloads())

    def payloads(self) -> Iterator[bytes]:
        """Yield the parts as they are sent."""
        for payload in self.parts.payloads():
            self._taken(len(payload))
            yield payload


Messages: TypeAlias = tuple[Message, ...] | TakenSnapshot
"""Messages to send in this order, with nothing in between."""


class FrameCache:
    """Make and cache the frames of one space.

    Do not ask it before ``history`` has a position. ``clock``: POSIX seconds. ``server_time`` in
    a frame is when the frame was encoded.
    """

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self._history = history
        self._clock = clock
        self._changes: OrderedDict[tuple[FilteredView, Encoding, int, int], Message | None] = (
            OrderedDict()
        )
        self._changes_epoch: str | None = None
        self._snapshots: OrderedDict[tuple[FilteredView, Encoding], tuple[float, SnapshotParts]] = (
            OrderedDict()
        )
        self._snapshots_size = 0
        self._looked_at = 0.0
        self._index = EntityIndex(history)

    def heartbeat(
        self, encoding: Encoding, stale_since: str | None, at: Position | None = None
    ) -> Message:
        """Encode a heartbeat at the position now, or at ``at``.

        ``at``: the position of a client that is ahead of us. ``stale_since``: None while the
        monitor is heard.
        """
        now = self._position() if at is None else at
        return encode(
            HeartbeatFrame(now.epoch, now.seq, from_unix(self._clock()), stale_since), encoding
        )

    def change(
        self,
        view: FilteredView,
        encoding: Encoding,
        from_seq: int,
        same_until: int,
        to: Position | None = None,
    ) -> Message | None:
        """Return the change from ``from_seq`` to ``to``, or None if a snapshot must be sent.

        Both are of the present epoch; ``to`` None: now. ``same_until``: the view is known to be
        the same from ``from_seq`` to this position. Only the changes after it are looked at,
        however long ago ``from_seq`` was.
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
            self._changes[key] = (
                None if delta is None else self._encode_change(view, delta, encoding, from_seq, to)
            )
            if len(self._changes) > _CHANGES_KEPT:
                self._changes.popitem(last=False)
        return self._changes[key]

    def snapshot(self, view: FilteredView, encoding: Encoding, at_least: int) -> SnapshotParts:
        """Return the whole view, at the position now or at one that is at most a second old.

        It is a position of the present epoch that the log still reaches, and never before
        ``at_least``. ``at_least`` must not be after now.
        """
        self.forget()
        if view.patch:  # a snapshot is the same for those who ask for patches
            view = replace(view, patch=False)
        kept = self._snapshots.get((view, encoding))
        if kept is not None and self._fresh(kept[0]) and self._usable(kept[1].position, at_least):
            self._snapshots.move_to_end((view, encoding))
            return kept[1]
        parts = self._begin_snapshot(view, encoding)
        if kept is not None:
            self._drop((view, encoding))
        self._snapshots[view, encoding] = (self._clock(), parts)
        parts.grown = self._grow
        self._grow(parts.size)
        return parts

    def forget(self) -> None:
        """Drop the snapshots that are too old to be reused.

        They are looked through a few times a second, however often this is called: there may be
        thousands.
        """
        if 0 <= self._clock() - self._looked_at < _LOOK_S:
            return
        self._looked_at = self._clock()
        for key in [key for key, (at, _) in self._snapshots.items() if not self._fresh(at)]:
            self._drop(key)

    def _fresh(self, at: float) -> bool:
        now = self._clock()
        return now - _SNAPSHOT_AGE_S < at <= now

    def _drop(self, key: tuple[FilteredView, Encoding]) -> None:
        parts = self._snapshots.pop(key)[1]
        parts.grown = None
        self._snapshots_size -= parts.size

    def _grow(self, length: int) -> None:
        """Count a new part in; drop what has not been asked for the longest if that is too much."""
        self._snapshots_size += length
        while self._snapshots_size > _SNAPSHOTS_KEPT_BYTES and len(self._snapshots) > 1:
            self._drop(next(iter(self._snapshots)))

    def _usable(self, position: Position, at_least: int) -> bool:
        now = self._position()
        return (
            position.epoch == now.epoch
            and at_least <= position.seq <= now.seq
            and (position == now or self._history.since(position.seq, position.seq) is not None)
        )

    def _dearer(self, view: FilteredView, changes: Iterable[Change]) -> bool:
        """Return whether looking through these changes costs more than a snapshot.

        Few changes never do.
        """
        edits = sum(len(change.edits) for change in changes)
        if edits <= _EDITS_AT_ONCE:
            return False
        return edits > sum(
            len(entities) for topic, entities in self._history.state.items() if topic in view.topics
        )

    def _encode_change(
        self, view: FilteredView, delta: Delta, encoding: Encoding, from_seq: int, to: Position
    ) -> Message | None:
        server_time = from_unix(self._clock())
        patch = delta.patch if view.patch else UNSET
        frame = ChangeFrame(
            to.epoch, from_seq, to.seq, server_time, delta.upsert, delta.remove, patch
        )
        message = encode(frame, encoding)
        return message if size(message) <= SIZE_LIMIT_BYTES else None

    def _begin_snapshot(self, view: FilteredView, encoding: Encoding) -> SnapshotParts:
        now = self._position()
        state = view.snapshot(self._history, self._index.candidates)
        parts = _encoded_parts(state, encoding, now, from_unix(self._clock()))
        return SnapshotParts(now, parts, sum(map(len, state.values())), text=encoding == "json")

    def _position(self) -> Position:
        position = self._history.position
        if position is None:
            raise ValueError("there is no state yet, so there are no frames")
        return position


def _encoded_parts(
    state: ShownState, encoding: Encoding, at: Position, server_time: str
) -> Iterator[tuple[bytes, int]]:
    """Yield the snapshot's parts, encoded when they are wanted, each with its entities' number."""
    write = to_json if encoding == "json" else to_msgpack
    parts = _parts(state, write)
    part = next(parts, None)
    while part is not None:
        following = next(parts, None)
        frame = Snapshot(at.epoch, at.seq, server_time, part, following is not None)
        yield write(frame), sum(map(len, part.values()))
        part = following


def _parts(
    state: ShownState, write: Callable[[Shown], bytes]
) -> Iterator[dict[str, dict[str, Raw]]]:
    """Yield the state in parts that each fit into a frame; the first part has every topic."""
    part: dict[str, dict[str, Raw]] = {topic: {} for topic in state}
    used = _HEAD_BYTES + sum(len(topic) + 8 for topic in state)
    for topic, id_, entity in _rows(state):
        encoded = write(entity)
        cost = len(encoded) + len(to_json(id_)) + 8
        if used + cost > PART_BYTES and any(part.values()):
            yield part
            part, used = {}, _HEAD_BYTES
        if topic not in part:
            part[topic] = {}
            used += len(topic) + 8
        part[topic][id_] = Raw(encoded)
        used += cost
    yield part


def _rows(state: ShownState) -> Iterable[tuple[str, str, Shown]]:
    return (
        (topic, id_, entity)
        for topic, entities in state.items()
        for id_, entity in entities.items()
    )
