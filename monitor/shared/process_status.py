"""Encode what a callmon process tells of itself on Redis, for status commands. Pure.

Gateways do not serve it to clients, and nothing is decided by it: any gateway could write there
what it likes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from monitor.shared.codec import decode

Role: TypeAlias = Literal["leading", "standby", "serving", "idle"]


class PbxRole(Struct, frozen=True, rename="camel"):
    """Describe what a process does for one PBX. ``idle``: nobody asks this gateway for it.

    ``position``, ``book_position``: a gateway's positions, None while it has no state.
    """

    role: Role
    since: str | None = None
    """Instant since which a monitor leads."""
    writer: str = ""
    """A monitor's name as it is in the lease."""
    position: str | None = None
    book_position: str | None = None
    stale_since: str | None = None
    """Instant since which a gateway has heard nothing from the monitor."""
    subscribers: int = 0
    notes: tuple[str, ...] = ()
    """Sentences of a leading monitor about what should be looked at."""


class ProcessStatus(Struct, frozen=True, rename="camel"):
    """Describe a running process. ``started``: an instant. ``pbxs``: PBX's name → its role."""

    program: Literal["monitor", "gateway"]
    name: str
    """A monitor's name in the settings, or a gateway's host name."""
    pid: int
    version: str
    started: str
    pbxs: dict[str, PbxRole]
    address: str = ""
    """The address on which a gateway listens."""
    worker: int | None = None
    """The number of a gateway that is one of several on this address."""
    trouble: str = ""
    """A sentence about a monitor's disk if it is full."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ProcessStatus)


def encode_process(process: ProcessStatus) -> bytes:
    """Return the status in msgpack."""
    return _encoder.encode(process)


def decode_process(data: bytes) -> ProcessStatus:
    """Return the status that :func:`encode_process` wrote. Raises Malformed."""
    return decode(_decoder, data, "a process")
