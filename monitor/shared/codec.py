"""Encode and decode entities, changes and announcements.

The bus has msgpack, the stream JSON or msgpack. This is the only module that knows msgspec's
encoders and the msgpack package. msgspec writes the same msgpack format, typed and several times
faster. The msgpack package reads what untrusted clients send, as it can limit every size.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias, TypeVar

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

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_entity_decoders = {
    topic: msgspec.msgpack.Decoder(kind, strict=True)
    for topic, kind in (TOPICS | BOOK_TOPICS).items()
}


class Malformed(ValueError):
    """Signal that data is not in this module's format, or not what a client may send."""


def decode(decoder: msgspec.msgpack.Decoder[T], data: bytes | Raw, what: str) -> T:
    """Return what the decoder reads from untrusted msgpack. Raises Malformed: it is not ``what``.

    All msgpack from Redis is read here, as msgspec has several errors for what it cannot read.
    """
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not {what}: {error}") from error


class _WireEdit(Struct, frozen=True, gc=False, array_like=True):
    topic: str
    id: str
    before: Raw
    after: Raw


class _WireChange(Struct, frozen=True, gc=False, array_like=True, tag="change"):
    epoch: str
    seq: int
    at: str
    edits: tuple[_WireEdit, ...]
    # Added later: an older reader ignores these two, and an older entry has these defaults.
    trace: str = ""
    heard: float = 0.0


class Heartbeat(Struct, frozen=True, gc=False, array_like=True, tag="position"):
    """Announce a position without the change that led to it.

    It is sent for a heartbeat, a new epoch, or a change over 64 KiB. A follower that is behind it
    reads the log, or the full state if it is in another epoch.
    """

    epoch: str
    seq: int
    at: str

    @property
    def position(self) -> Position:
        """Return the announced position."""
        return Position(self.epoch, self.seq)


Announcement: TypeAlias = Change | Heartbeat

_INSTANTS = {
    "started_at",
    "answered_at",
    "ended_at",
    "queued_at",
    "returned_at",
    "since",
    "presence_since",
}
_BOM: Final = b"\xef\xbb\xbf"
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\\\"
)
"""An escape in a JSON text: a pair of surrogates, one of them alone, or a backslash."""
_MOST_ESCAPES: Final = 100_000
"""Such escapes in a JSON that is mended. Each of them takes its time."""
_MOST_MENDED: Final = 4 * 1024 * 1024
"""Bytes, or characters, of a JSON that is mended. Mending takes ten times as long as reading."""
_NIL = _encoder.encode(None)
_announcement_decoder = msgspec.msgpack.Decoder(_WireChange | Heartbeat)


def encode_entity(entity: Entity) -> bytes:
    """Return the entity in msgpack, as it is stored in the state hash."""
    return _encoder.encode(entity)


def decode_entity(topic: str, data: bytes | Raw) -> Entity:
    """Return the entity that :func:`encode_entity` wrote. Raises Malformed."""
    decoder = _entity_decoders.get(topic)
    if decoder is None:
        raise Malformed(f"there is no topic {topic[:100]}")
    return decode(decoder, data, f"an entity of topic {topic}")


def check_entity(id_: str, entity: Entity) -> None:
    """Raise Malformed if the entity has another id, or if one of its instants is not valid."""
    own = _id_of(entity)
    if own is not None and own != id_:
        raise Malformed(f"{own[:100]!r} stands where {id_[:100]!r} belongs")
    legs = (*entity.legs, *entity.talk_to, *entity.routing_to) if isinstance(entity, Call) else ()
    for part in (entity, *legs):
        for field in _INSTANTS & set(part.__struct_fields__):
            instant = getattr(part, field)
            if instant is not None and not is_instant(instant):
                raise Malformed(f"{field} is {instant[:100]!r}, which is not a time")


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
    """Return the change in msgpack, as it is stored in the log and announced."""
    edits = tuple(_WireEdit(e.topic, e.id, _raw(e.before), _raw(e.after)) for e in change.edits)
    position = change.position
    return _encoder.encode(
        _WireChange(position.epoch, position.seq, change.at, edits, change.trace, change.heard)
    )


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """Return the heartbeat in msgpack."""
    return _encoder.encode(heartbeat)


def decode_announcement(data: bytes) -> Announcement:
    """Return what :func:`encode_change` or :func:`encode_heartbeat` wrote. Raises Malformed."""
    message = decode(_announcement_decoder, data, "an announcement")
    if (
        not is_epoch(message.epoch)
        or not 0 <= message.seq <= LARGEST_SEQ
        or not is_instant(message.at)
    ):
        raise Malformed("not an announcement: its position or its instant is malformed")
    if isinstance(message, Heartbeat):
        return message
    edits = tuple(
        Edit(e.topic, e.id, _entity(e.topic, e.before), _entity(e.topic, e.after))
        for e in message.edits
    )
    return Change(
        Position(message.epoch, message.seq), message.at, edits, message.trace, message.heard
    )


def decode_change(data: bytes) -> Change:
    """Return the change of a log entry. Raises Malformed."""
    message = decode_announcement(data)
    if not isinstance(message, Change):
        raise Malformed("a log entry holds no change")
    return message


def to_json(value: Any) -> bytes:
    """Return a value made of entities, structs and plain containers as JSON."""
    return _json_encoder.encode(value)


def to_msgpack(value: Any) -> bytes:
    """Return the same value as msgpack: maps with the JSON's keys, no extension types."""
    return _encoder.encode(value)


def from_json(data: bytes | str) -> Any:
    """Return untrusted JSON as plain containers. Raises Malformed."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error


def from_lenient_json(data: bytes | str) -> Any:
    """Return JSON as :func:`from_json` does, also if single texts in it are broken.

    A byte order mark is skipped. Bytes that are not UTF-8 and lone surrogates become U+FFFD: .NET
    cuts texts by UTF-16 units and escapes each unit for itself. Control characters in texts stay.
    Raises Malformed for anything else that is not JSON, and for broken texts that are very long or
    have very many surrogates and backslashes. Takes linear time.
    """
    data = data.removeprefix(_BOM) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    try:
        return from_json(data)
    except Malformed as error:
        if len(data) > _MOST_MENDED:
            raise
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        text = text.encode("utf-8", "replace").decode()
        mended, escapes = _ESCAPE.subn(_mend, text, _MOST_ESCAPES)
        if escapes == _MOST_ESCAPES:
            raise
        try:
            return json.loads(mended, strict=False, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            raise error from None


def _mend(escape: re.Match[str]) -> str:
    """Return an escape as it is, or U+FFFD for a surrogate without its other half."""
    return "\ufffd" if escape["lone"] else escape[0]


def refuse_constant(constant: str) -> None:
    """Refuse what Python's parser of JSON takes besides: ``NaN`` and ``Infinity``."""
    raise ValueError(f"{constant} is not JSON")


def from_msgpack(data: bytes) -> Any:
    """Return untrusted msgpack as plain containers.

    Raises Malformed, also for extension types and for anything that claims to be larger than its
    input.
    """
    try:
        return msgpack.unpackb(data, strict_map_key=True, raw=False, max_ext_len=0)
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        raise Malformed(f"not msgpack: {error}") from error


def _raw(entity: Entity | None) -> Raw:
    return Raw(_NIL if entity is None else _encoder.encode(entity))


def _entity(topic: str, raw: Raw) -> Entity | None:
    return None if bytes(raw) == _NIL else decode_entity(topic, raw)
