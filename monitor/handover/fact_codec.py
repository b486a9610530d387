"""Encode and decode what a monitor leaves to the next one, as msgpack. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from monitor.pbx.facts import DirectoryRead, HandoverFact, QueueLoginsRead
from monitor.shared import codec
from monitor.shared.codec import Malformed

VERSION: Final = 1
"""Version of the format. Increase it when a row's field gets another meaning; a new field with a
default needs no new version."""


class _Wire(msgspec.Struct, frozen=True):
    version: int
    directory: DirectoryRead | None = None
    logins: QueueLoginsRead | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(facts: Iterable[HandoverFact]) -> bytes:
    """Return the facts as msgpack, some hundreds of bytes per extension.

    The time of reading is left out, so the same rows make the same bytes.
    """
    wire = _Wire(VERSION)
    for fact in facts:
        if isinstance(fact, DirectoryRead):
            wire = msgspec.structs.replace(wire, directory=replace(fact, at=0.0))
        else:
            wire = msgspec.structs.replace(wire, logins=replace(fact, at=0.0))
    return _encoder.encode(wire)


def decode(data: bytes) -> tuple[HandoverFact, ...]:
    """Return the facts that :func:`encode` wrote, the directory first.

    Raises Malformed, also if another version wrote them.
    """
    wire = codec.decode(_decoder, data, "facts that a monitor stored")
    if wire.version != VERSION:
        raise Malformed(f"facts of version {wire.version}; this monitor reads version {VERSION}")
    return tuple(
        replace(fact, at=0.0) for fact in (wire.directory, wire.logins) if fact is not None
    )
