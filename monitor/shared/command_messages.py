"""Commands on their way from a gateway to the leading monitor, and their outcomes on the way back. Pure.

A request is ``open`` until its deadline, which Redis keeps as the key's expiry: no two clocks need agree. It is carried
out by whoever turns ``open`` into his name, in a transaction; a gateway that waits in vain turns it into a refusal in
the same way, so that it is carried out at most once. The outcome is a key with expiry; pub/sub is its doorbell.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from monitor.shared.changes import Position
from monitor.shared.codec import Malformed

OPEN = "open"
REFUSED = "refused"
VISIBLE = "visible"
"""An argument that gateways add where a key is limited: the extensions that it sees, joined by commas. A command that
replaces a list keeps the members that are not among these."""

NOT_RECORDED = "not_recorded"
"""Code of a failure of the kind ``unavailable``: the monitor could not keep a record, and nothing was done."""

FailureKind: TypeAlias = Literal["missing", "conflict", "bad", "unavailable", "too late", "unknown"]
"""``missing``, ``conflict``, ``bad``: the PBX's or the command's own refusal. ``unavailable``: the PBX cannot be
reached and nothing was done. ``too late``: nothing was done. ``unknown``: it may have been done or not."""


class IdempotencyKey(Struct, frozen=True, array_like=True):
    """An Idempotency-Key: a digest of it and of whose it is, and one of what was asked."""

    digest: str
    fingerprint: str


class Request(Struct, frozen=True, array_like=True):
    """A command as a gateway sends it. ``arguments``: documented names and values, checked.

    ``key`` (its name) and ``client`` (address) are for the audit log. ``gateway``: who waits for the answer. ``trace``:
    the id under which both sides' logs speak of it; empty from a gateway of before there was one.
    """

    id: str
    gateway: str
    command: str
    arguments: dict[str, str]
    key: str
    client: str
    once: IdempotencyKey | None = None
    trace: str = ""


class CommandFailure(Struct, frozen=True, array_like=True):
    """Why there is no success. ``code``: a stable word."""

    kind: FailureKind
    code: str
    message: str


class Outcome(Struct, frozen=True, array_like=True):
    """What became of a request: the reply's fields, or a failure.

    ``live``, ``book``: positions of the two histories that contain what was changed; None if nothing was.
    """

    id: str
    reply: dict[str, Any] | None
    failure: CommandFailure | None = None
    live: Position | None = None
    book: Position | None = None


class Claimed(Struct, frozen=True, array_like=True, tag="claimed"):
    """Rung by the monitor: it has the request in hand."""

    id: str


class Completed(Struct, frozen=True, array_like=True, tag="done"):
    """Rung by the monitor: the outcome stands."""

    id: str


class Busy(Struct, frozen=True, array_like=True, tag="busy"):
    """Rung by the monitor: it has too much in hand and leaves this one to be refused by its gateway."""

    id: str


class PositionReached(Struct, frozen=True, array_like=True, tag="reached"):
    """Rung by another gateway: it is where :class:`PositionQuery` asked for."""

    id: str


class PositionQuery(Struct, frozen=True, array_like=True):
    """Asked of all gateways by one: ring when you are at these positions, or further on."""

    id: str
    gateway: str
    live: Position | None
    book: Position | None


Ring: TypeAlias = Claimed | Completed | Busy | PositionReached

MessageT = TypeVar("MessageT")

_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(Request)
_outcome = msgspec.msgpack.Decoder(Outcome)
_ring: msgspec.msgpack.Decoder[Ring] = msgspec.msgpack.Decoder(Claimed | Completed | Busy | PositionReached)
_reach = msgspec.msgpack.Decoder(PositionQuery)


def encode(message: Request | Outcome | Ring | PositionQuery) -> bytes:
    """The message in msgpack."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Raises Malformed."""
    return _decoded(_request, data)


def decode_outcome(data: bytes) -> Outcome:
    """Raises Malformed."""
    return _decoded(_outcome, data)


def decode_ring(data: bytes) -> Ring:
    """Raises Malformed."""
    return _decoded(_ring, data)


def decode_reach(data: bytes) -> PositionQuery:
    """Raises Malformed."""
    return _decoded(_reach, data)


def _decoded(decoder: msgspec.msgpack.Decoder[MessageT], data: bytes) -> MessageT:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a request's message: {error}") from error
