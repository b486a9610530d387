"""How what a monitor leaves to the next one is written: msgpack. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from monitor.pbx.facts import DirectoryRead, HandoverFact, QueueLoginsRead
from monitor.shared.codec import Malformed

VERSION: Final = 1
"""One higher whenever a row's fields get another meaning; new fields with a default need no other."""


class _Wire(msgspec.Struct, frozen=True):
    version: int
    directory: DirectoryRead | None = None
    logins: QueueLoginsRead | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(facts: Iterable[HandoverFact]) -> bytes:
    """Some hundreds of bytes an extension. When it was read is left out: the same rows make the same bytes."""
    wire = _Wire(VERSION)
    for fact in facts:
        if isinstance(fact, DirectoryRead):
            wire = msgspec.structs.replace(wire, directory=replace(fact, at=0.0))
        else:
            wire = msgspec.structs.replace(wire, logins=replace(fact, at=0.0))
    return _encoder.encode(wire)


def decode(data: bytes) -> tuple[HandoverFact, ...]:
    """What :func:`encode` wrote, the directory first. Raises Malformed, also if another version wrote it."""
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not what a monitor leaves: {error}") from error
    if wire.version != VERSION:
        raise Malformed(f"of version {wire.version}, this is {VERSION}")
    return tuple(replace(fact, at=0.0) for fact in (wire.directory, wire.logins) if fact is not None)
