"""The record of one command, of which every monitor holds a copy, and how two copies become one. Pure.

Rules:

- A command's record is kept before the PBX is asked for anything (``BEGUN``), and again when its end is known.
- Of two copies the one with the later stage is right, whoever wrote it and in whatever order they arrive: BEGUN, then
  UNKNOWN, then UNDONE or DONE. So a monitor that comes late or hears twice holds the same as the others, and what a new
  leader called unknown gives way to what the old one, who was only slow, knows.
- A record is found by its request's id. A second attempt under the same Idempotency-Key is a record of its own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from monitor.shared.codec import Malformed

MAX_RECORD_BYTES: Final = 64 * 1024
"""Of a record on Redis; an outcome that makes it larger is left out there."""
LATEST_S: Final = 1e11
"""POSIX seconds; no clock shows more."""
BEGUN_RESULT: Final = "begun"
"""What the audit log shows of a command whose end is not known yet."""

MAX_TEXT: Final = 300
"""Characters of a record's names and addresses."""

_Short = Annotated[str, Meta(max_length=MAX_TEXT)]


class Stage(IntEnum):
    """How far a command's record is."""

    BEGUN = 0
    UNKNOWN = 1
    """Its monitor ended, or the PBX gave no answer: it may have been done or not."""
    UNDONE = 2
    """Nothing was done, and another attempt may succeed."""
    DONE = 3
    """It was done, or refused for good."""


class CommandRecord(Struct, frozen=True, array_like=True):
    """A command: what the audit log shows of it, and what its Idempotency-Key stands for.

    ``request``: the request's id. ``at``: POSIX seconds. ``gateway``: who waits for the answer. ``key``, ``client``,
    ``arguments`` (masked), ``result``: as :class:`monitor.persistence.audit_entry.AuditEntry` has them. ``digest``,
    ``fingerprint``: of the Idempotency-Key and of what was asked under it; no digest if there is none, or if it had
    been used before. ``outcome``: in msgpack; None before there is one, or if it is too large.
    """

    request: _Short
    pbx: _Short
    at: float
    gateway: _Short
    key: _Short
    client: _Short
    command: _Short
    arguments: Annotated[str, Meta(max_length=20_000)]
    result: _Short = BEGUN_RESULT
    stage: Annotated[int, Meta(ge=0, le=3)] = Stage.BEGUN
    digest: _Short | None = None
    fingerprint: _Short = ""
    outcome: bytes | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CommandRecord)


def merged(one: CommandRecord, other: CommandRecord) -> CommandRecord:
    """Return the one of two copies that is right; the same one, whichever comes first."""
    return max(one, other, key=_rank)


def encode_record(record: CommandRecord) -> bytes:
    """Return the record in msgpack, without its outcome if that makes it larger than MAX_RECORD_BYTES."""
    data = _encoder.encode(record)
    if len(data) <= MAX_RECORD_BYTES:
        return data
    return _encoder.encode(msgspec.structs.replace(record, outcome=None))


def decode_record(data: bytes) -> CommandRecord:
    """Return the record. Raises Malformed."""
    if len(data) > MAX_RECORD_BYTES:
        raise Malformed(f"a command's record of {len(data)} bytes; {MAX_RECORD_BYTES} are allowed")
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a command's record: {error}") from error
    if not 0 <= record.at <= LATEST_S:
        raise Malformed(f"a command's record of the time {record.at}")
    return record


def _rank(record: CommandRecord) -> tuple[int, bytes]:
    # Equal stages with unequal words are the work of two monitors; any rule will do that all of them follow.
    return record.stage, _encoder.encode(record)
