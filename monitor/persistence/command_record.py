"""Define the record of one command and how two copies of it become one. Pure.

Rules:

- Every monitor holds a copy of each record. A command's record is kept before the PBX is asked for
  anything (``BEGUN``), and again when its end is known.
- Of two copies, the one with the later stage is right: BEGUN, then UNKNOWN, then UNDONE or DONE. It
  does not matter which monitor wrote it or in which order the copies arrive. So a monitor that
  reads late or twice holds the same as the others. A new leader may have called an outcome unknown;
  if the old leader was only slow, its better knowledge replaces that.
- A record is found by its request's id. A second attempt under the same Idempotency-Key is a record
  of its own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from monitor.shared.codec import Malformed, decode
from monitor.shared.command_messages import MAX_TEXT

MAX_RECORD_BYTES: Final = 64 * 1024
"""Bytes of a record on Redis. An outcome that makes it larger is left out there."""
LATEST_S: Final = 1e11
"""Latest time of a record in POSIX seconds; no clock shows more."""
BEGUN_RESULT: Final = "begun"
"""The result in the audit log for a command whose end is not known yet."""

_Short = Annotated[str, Meta(max_length=MAX_TEXT)]


class Stage(IntEnum):
    """Represent how far a command's record is."""

    BEGUN = 0
    UNKNOWN = 1
    """Its monitor ended, or the PBX gave no answer. The command may have been done or not."""
    UNDONE = 2
    """Nothing was done, and another attempt may succeed."""
    DONE = 3
    """It was done, or refused for good."""


class CommandRecord(Struct, frozen=True, array_like=True):
    """Hold what the audit log shows of a command and the data of its Idempotency-Key.

    ``request``: the request's id. ``at``: POSIX seconds. ``gateway``: the gateway that waits for
    the answer. ``key``, ``client``, ``arguments`` (masked), ``result``: as in
    :class:`monitor.persistence.audit_entry.AuditEntry`. ``digest``: of the Idempotency-Key; None if
    there is none, or if it had been used before. ``fingerprint``: of the request under that key.
    ``outcome``: in msgpack; None before there is one, or if it is too large.
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
    """Return the right one of two copies; the order of the arguments does not matter."""
    return max(one, other, key=_rank)


def encode_record(record: CommandRecord) -> bytes:
    """Return the record in msgpack.

    The outcome is left out if it makes the record larger than ``MAX_RECORD_BYTES``.
    """
    data = _encoder.encode(record)
    if len(data) <= MAX_RECORD_BYTES:
        return data
    return _encoder.encode(msgspec.structs.replace(record, outcome=None))


def decode_record(data: bytes) -> CommandRecord:
    """Return the record in ``data``. Raises Malformed."""
    if len(data) > MAX_RECORD_BYTES:
        raise Malformed(
            f"a command's record of {len(data)} bytes; {MAX_RECORD_BYTES} at most are allowed"
        )
    record = decode(_decoder, data, "a command's record")
    if not 0 <= record.at <= LATEST_S:
        raise Malformed(f"a command's record with an impossible time: {record.at}")
    return record


def _rank(record: CommandRecord) -> tuple[int, bytes]:
    # Two monitors can write different records of the same stage. Any rule will do if all follow it.
    return record.stage, _encoder.encode(record)
