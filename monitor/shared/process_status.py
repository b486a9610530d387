"""What a process of callmon tells of itself on Redis, for who asks how things are. Pure.

It is no part of what gateways serve, and nothing is decided by it: any gateway could write what it likes there.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from monitor.shared.codec import Malformed

Role: TypeAlias = Literal["leading", "standby", "serving"]


class PbxRole(Struct, frozen=True, rename="camel"):
    """What a process does for one PBX. Positions: of a gateway, None while it has no state."""

    role: Role
    since: str | None = None
    """Since when it leads."""
    writer: str = ""
    """A monitor's name as it stands in the lease."""
    position: str | None = None
    book_position: str | None = None
    stale_since: str | None = None
    """Since when a gateway has heard nothing from the monitor."""
    subscribers: int = 0


class ProcessStatus(Struct, frozen=True, rename="camel"):
    """A process. ``started``: an instant. ``pbxs``: PBX's name → what it does for that."""

    program: Literal["monitor", "gateway"]
    name: str
    """A monitor's, as in the settings; of a gateway its host's."""
    pid: int
    version: str
    started: str
    pbxs: dict[str, PbxRole]
    address: str = ""
    """Where a gateway listens."""
    worker: int | None = None
    """The number of a gateway that is one of several on this address."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ProcessStatus)


def encode_process(process: ProcessStatus) -> bytes:
    """Return it in msgpack."""
    return _encoder.encode(process)


def decode_process(data: bytes) -> ProcessStatus:
    """Return what was encoded. Raises Malformed."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a process: {error}") from error
