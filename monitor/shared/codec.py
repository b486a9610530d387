"""How entities, changes and announcements are written: msgpack on the bus, JSON or msgpack on the stream.

The only module that knows msgspec's encoders and the msgpack package. msgspec writes the same msgpack format, typed
and several times faster; the msgpack package reads what untrusted clients send, as it can bound every size.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgpack
import msgspec
from msgspec import Raw, Struct

from monitor.shared.changes import LARGEST_SEQ, Change, Edit, Position, is_epoch
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Call,
    Contact,
    EndedCall,
    Entity,
    Extension,
    Ivr,
    Queue,
    RingGroup,
)
from monitor.shared.timestamps import is_instant

_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_entity_decoders = {topic: msgspec.msgpack.Decoder(kind, strict=True) for topic, kind in (TOPICS | BOOK_TOPICS).items()}


class Malformed(ValueError):
    """What was read is not what this module writes, or not what a client may send."""


class _WireEdit(Struct, frozen=True, array_like=True):
    topic: str
    id: str
    before: Raw
    after: Raw


class _WireChange(Struct, frozen=True, array_like=True, tag="change"):
    epoch: str
    seq: int
    at: str
    edits: tuple[_WireEdit, ...]
    # A reader of before these two overlooks them, and in an entry of before they are as here.
    trace: str = ""
    heard: float = 0.0


class Heartbeat(Struct, frozen=True, array_like=True, tag="position"):
    """Says the position without the change that led to it: a heartbeat, a new epoch, or a change over 64 KiB.

    Whoever is behind it reads the log, or the state if it is of another epoch.
    """

    epoch: str
    seq: int
    at: str

    @property
    def position(self) -> Position:
        """The position that it says."""
        return Position(self.epoch, self.seq)


Announcement: TypeAlias = Change | Heartbeat

_INSTANTS = {"started_at", "answered_at", "ended_at", "queued_at", "since", "presence_since"}
_NIL = _encoder.encode(None)
_announcement_decoder = msgspec.msgpack.Decoder(_WireChange | Heartbeat)


def encode_entity(entity: Entity) -> bytes:
    """The entity in msgpack, as it stands in the state hash."""
    return _encoder.encode(entity)


def decode_entity(topic: str, data: bytes | Raw) -> Entity:
    """The entity that :func:`encode_entity` wrote. Raises Malformed."""
    try:
        return _entity_decoders[topic].decode(data)
    except (KeyError, msgspec.MsgspecError) as error:
        raise Malformed(f"not an entity of topic {topic}: {error}") from error


def check_entity(id_: str, entity: Entity) -> None:
    """Raise Malformed if the entity is not that of this id, or an instant of it is none."""
    own = _id_of(entity)
    if own is not None and own != id_:
        raise Malformed(f"{own[:100]!r} stands where {id_[:100]!r} belongs")
    legs = (*entity.legs, *entity.talk_to, *entity.routing_to) if isinstance(entity, Call) else ()
    for part in (entity, *legs):
        for field in _INSTANTS & set(part.__struct_fields__):
            instant = getattr(part, field)
            if instant is not None and not is_instant(instant):
                raise Malformed(f"{field} is {instant[:100]!r}, which is no instant")


def _id_of(entity: Entity) -> str | None:
    match entity:
        case EndedCall():
            return entity.id
        case Call():
            return str(entity.call_id)
        case Contact():
            return str(entity.id)
        case Extension() | Queue() | RingGroup() | Ivr():
            return entity.num
        case _:
            return None


def encode_change(change: Change) -> bytes:
    """The change in msgpack, as it stands in the log and is announced."""
    edits = tuple(_WireEdit(e.topic, e.id, _raw(e.before), _raw(e.after)) for e in change.edits)
    position = change.position
    return _encoder.encode(_WireChange(position.epoch, position.seq, change.at, edits, change.trace, change.heard))


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """The heartbeat in msgpack."""
    return _encoder.encode(heartbeat)


def decode_announcement(data: bytes) -> Announcement:
    """What :func:`encode_change` or :func:`encode_heartbeat` wrote. Raises Malformed."""
    try:
        message = _announcement_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Malformed(f"not an announcement: {error}") from error
    if not is_epoch(message.epoch) or not 0 <= message.seq <= LARGEST_SEQ or not is_instant(message.at):
        raise Malformed("not an announcement: its position or its instant is none")
    if isinstance(message, Heartbeat):
        return message
    edits = tuple(Edit(e.topic, e.id, _entity(e.topic, e.before), _entity(e.topic, e.after)) for e in message.edits)
    return Change(Position(message.epoch, message.seq), message.at, edits, message.trace, message.heard)


def decode_change(data: bytes) -> Change:
    """A log entry's change. Raises Malformed."""
    message = decode_announcement(data)
    if not isinstance(message, Change):
        raise Malformed("a log entry holds no change")
    return message


def to_json(value: Any) -> bytes:
    """Any value made of entities, structs and plain containers, as JSON."""
    return _json_encoder.encode(value)


def to_msgpack(value: Any) -> bytes:
    """The same as msgpack: maps with the JSON's keys, no extension types."""
    return _encoder.encode(value)


def from_json(data: bytes | str) -> Any:
    """Untrusted JSON as plain containers. Raises Malformed."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error


def from_msgpack(data: bytes) -> Any:
    """Untrusted msgpack as plain containers; extension types and anything larger than its input are refused.

    Raises Malformed.
    """
    try:
        return msgpack.unpackb(data, strict_map_key=True, raw=False, max_ext_len=0)
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        raise Malformed(f"not msgpack: {error}") from error


def _raw(entity: Entity | None) -> Raw:
    return Raw(_NIL if entity is None else _encoder.encode(entity))


def _entity(topic: str, raw: Raw) -> Entity | None:
    return None if bytes(raw) == _NIL else decode_entity(topic, raw)
