"""Encode commands from a gateway to the leading monitor, and their outcomes on the way back. Pure.

A request is ``open`` until its deadline. Redis keeps the deadline as the key's expiry, so no two
clocks need to agree. A monitor claims a request by replacing ``open`` with its own name, in a
transaction, and then carries it out. A gateway that has waited too long turns ``open`` into a
refusal in the same way. So a request is carried out at most once. The outcome is a key with expiry;
pub/sub notifies the gateway of it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from monitor.shared.changes import Position
from monitor.shared.codec import decode

OPEN = "open"
REFUSED = "refused"
VISIBLE = "visible"
"""An argument that gateways add if a key is limited: the extensions that the key sees, joined by
commas. A command that replaces a list keeps the members that are not among these."""

NOT_RECORDED = "not_recorded"
"""Code of a failure of the kind ``unavailable``: the monitor could not keep a record of the
command, and nothing was done."""

BUSY = "busy"
"""Code of a failure of the kind ``unavailable``: what the command needs has too much to do, and
nothing was done."""

FailureKind: TypeAlias = Literal["missing", "conflict", "bad", "unavailable", "too late", "unknown"]
"""``missing``, ``conflict``, ``bad``: the PBX or the command's own rules refused it.
``unavailable``: the PBX cannot be reached and nothing was done. ``too late``: nothing was done.
``unknown``: it may have been done or not."""


MAX_TEXT: Final = 300
"""Characters of a text that logs, messages and commands' records repeat; no gateway's has more."""
_Short: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]


class IdempotencyKey(Struct, frozen=True, array_like=True):
    """Represent an Idempotency-Key.

    ``digest``: of the key and its owner. ``fingerprint``: a digest of what was asked.
    """

    digest: _Short
    fingerprint: _Short


class Request(Struct, frozen=True, array_like=True):
    """Represent a command as a gateway sends it.

    ``arguments``: documented names and values, checked. ``key`` (its name) and ``client`` (address)
    are for the audit log. ``gateway``: the one that waits for the answer. ``trace``: the id under
    which the logs of both sides speak of it; empty from an older gateway. ``takes_body``: the
    gateway reads :attr:`Outcome.body`; an older one does not. ``repeated``: a request under this
    Idempotency-Key was claimed before, and Redis has lost it since.
    """

    id: _Short
    gateway: _Short
    command: _Short
    arguments: dict[str, str]
    key: str
    client: _Short
    once: IdempotencyKey | None = None
    trace: _Short = ""
    takes_body: bool = False
    repeated: bool = False


class CommandFailure(Struct, frozen=True, array_like=True):
    """Represent the reason why a command did not succeed. ``code``: a stable word."""

    kind: FailureKind
    code: str
    message: str


class Outcome(Struct, frozen=True, array_like=True):
    """Represent the outcome of a request: the reply's fields, or a failure.

    ``live``, ``book``: positions of the two histories that contain the change; None if nothing was
    changed there. ``body``: the whole reply as JSON, in place of ``reply``. It may be large, so
    gateways hand it on unread: reading and writing it again would hold up their event loops.
    """

    id: str
    reply: dict[str, Any] | None
    failure: CommandFailure | None = None
    live: Position | None = None
    book: Position | None = None
    body: bytes | None = None

    @property
    def undone(self) -> bool:
        """Return whether nothing was done and another attempt may succeed."""
        return self.failure is not None and self.failure.kind in ("unavailable", "too late")


class Claimed(Struct, frozen=True, array_like=True, tag="claimed"):
    """Tell the gateway that the monitor has claimed the request."""

    id: str


class Completed(Struct, frozen=True, array_like=True, tag="done"):
    """Tell the gateway that the monitor has stored the outcome."""

    id: str


class Busy(Struct, frozen=True, array_like=True, tag="busy"):
    """Tell the gateway that the monitor has too many requests in hand.

    The monitor leaves this one to be refused by its gateway.
    """

    id: str


class PositionReached(Struct, frozen=True, array_like=True, tag="reached"):
    """Tell a gateway that another one has reached the position of its :class:`PositionQuery`."""

    id: str


class PositionQuery(Struct, frozen=True, array_like=True):
    """Ask all gateways to tell when they have reached these positions.

    Each answers with :class:`PositionReached` once it is there or further on.
    """

    id: _Short
    gateway: _Short
    live: Position | None
    book: Position | None


Ring: TypeAlias = Claimed | Completed | Busy | PositionReached

_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(Request)
_outcome = msgspec.msgpack.Decoder(Outcome)
_ring: msgspec.msgpack.Decoder[Ring] = msgspec.msgpack.Decoder(
    Claimed | Completed | Busy | PositionReached
)
_reach = msgspec.msgpack.Decoder(PositionQuery)
_WHAT: Final = "a request's message"


def encode(message: Request | Outcome | Ring | PositionQuery) -> bytes:
    """Return the message in msgpack."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Return the request that :func:`encode` wrote. Raises Malformed."""
    return decode(_request, data, _WHAT)


def decode_outcome(data: bytes) -> Outcome:
    """Return the outcome that :func:`encode` wrote. Raises Malformed."""
    return decode(_outcome, data, _WHAT)


def decode_ring(data: bytes) -> Ring:
    """Return the notification that :func:`encode` wrote. Raises Malformed."""
    return decode(_ring, data, _WHAT)


def decode_reach(data: bytes) -> PositionQuery:
    """Return the position query that :func:`encode` wrote. Raises Malformed."""
    return decode(_reach, data, _WHAT)
