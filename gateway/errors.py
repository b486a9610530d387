"""Define what the gateway refuses, and the table to HTTP status, error code and close code.

::

    Refused                      the root; its text is a plain sentence for the client
    ├── BadRequest               the client's mistake: do not repeat it unchanged
    │   ├── BadParameter       ├── UnknownParameter   ├── MissingParameter   ├── DuplicateParameter
    │   ├── BadBody            ├── TooLarge           ├── UnsupportedBody
    │   └── WrongMethod        └── UpgradeNeeded
    ├── HostRefused              the request names a host for which this gateway does not answer
    ├── KeyRefused               the key: another one is needed
    │   ├── KeyMissing           ├── KeyUnknown         ├── KeyExpired         ├── KeyAmbiguous
    │   └── ScopeMissing         the key may not do this          └── KeyLimited, AddressRefused
    ├── NotFound                 there is no such thing, or the key may not see it
    │   ├── UnknownCommand       ├── UnknownExtension   ├── UnknownQueue       ├── UnknownGroup
    │   └── UnknownExtgroup      ├── UnknownContact     └── UnknownPbx
    ├── NotAvailable             this gateway does not carry the command out
    ├── CommandFailed            the PBX's own refusal of a command; it has a code of its own
    │   └── IdempotencyKeyReused
    ├── NoAnswer                 nothing came in time
    │   ├── OutcomeUnknown       ├── TooLate            └── PositionNotReached
    ├── TooManyRequests          the key's budget is spent: nothing was done, come back later
    │   ├── TooManyConnections   └── HoldsTooMuch: FiltersTooLarge, AnswersTooLarge,
    │                                             TooManySubscriptions
    └── NotReady                 come back later: nothing was done
        ├── NoKeys               the key table is not loaded: nothing is said of any key
        ├── NoState              no state of the PBX is loaded
        ├── Overloaded           too much is in progress; a key in a header would let this pass
        ├── BusAway              ├── NoMonitor          ├── MonitorBusy
        └── PbxAway              └── NotRecorded

A close code's range tells a subscriber whether to come back: 40xx not unchanged, 41xx later.

The docstrings of the classes that have a row in the table become documentation for users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.shared.errors import CallmonError


class Refused(CallmonError):
    """Signal that the request is answered with an error.

    ``headers``: HTTP headers that the answer needs besides.
    """

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


class BadRequest(Refused):
    """The request itself is wrong."""


class BadParameter(BadRequest):
    """The parameter does not accept this value."""


class UnknownParameter(BadRequest):
    """The command has no such parameter."""


class MissingParameter(BadRequest):
    """A required parameter was not given."""


class DuplicateParameter(BadRequest):
    """A parameter was given twice."""


class BadBody(BadRequest):
    """The body is not what its content type says."""


class TooLarge(BadRequest):
    """The body is larger than any command needs."""


class UnsupportedBody(BadRequest):
    """The body's content type is not supported."""


class WrongMethod(BadRequest):
    """The address does not take this method; ``Allow`` lists the methods that it takes."""


class UpgradeNeeded(BadRequest):
    """The address is for WebSocket only; ``Upgrade`` says so."""


class HostRefused(Refused):
    """The gateway does not answer requests for this host; the setting ``allowed_hosts`` says so."""


class KeyRefused(Refused):
    """Signal that there is no key, or a wrong or insufficient one."""


class KeyMissing(KeyRefused):
    """No key was given."""


class KeyUnknown(KeyRefused):
    """The key is not known here."""


class KeyExpired(KeyRefused):
    """The key has expired."""


class KeyAmbiguous(KeyRefused):
    """Two different keys were given."""


class ScopeMissing(KeyRefused):
    """The key does not have the scope that the request needs."""


class KeyLimited(KeyRefused):
    """The key is limited to extensions, queues or groups. The request covers more than these."""


class AddressRefused(KeyRefused):
    """The key may not be used from this address."""


class NotFound(Refused):
    """Signal that there is no such thing, or that the key may not see it: the two look the same."""


class UnknownCommand(NotFound):
    """There is no such command or address."""


class UnknownExtension(NotFound):
    """There is no such extension."""


class UnknownQueue(NotFound):
    """There is no such queue."""


class UnknownGroup(NotFound):
    """There is no such ring group."""


class UnknownExtgroup(NotFound):
    """There is no such extension group."""


class UnknownContact(NotFound):
    """There is no such contact."""


class UnknownPbx(NotFound):
    """The key's PBX is not served here."""


class NotAvailable(Refused):
    """The command exists, but this gateway does not carry it out."""


class CommandFailed(Refused):
    """Signal that the command was refused where it was to be carried out, and changed nothing.

    ``status``: the HTTP status. ``code``: the error code.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class IdempotencyKeyReused(CommandFailed):
    """Signal that the same Idempotency-Key came with another request."""

    def __init__(self, message: str) -> None:
        super().__init__(409, "idempotency_key_reused", message)


class NoAnswer(Refused):
    """Signal that nothing came in time."""


class OutcomeUnknown(NoAnswer):
    """It is not known whether the command was carried out."""


class TooLate(NoAnswer):
    """The command's turn did not come in time, and nothing was done."""


class PositionNotReached(NoAnswer):
    """The position that ``Callmon-Min-Position`` asks for was not reached in time."""


class NotReady(Refused):
    """Signal that the client should come back later. Nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, {"Retry-After": "1"})


class TooManyRequests(Refused):
    """The key's budget for this minute is used up. ``Retry-After`` says when the next begins."""


class TooManyConnections(TooManyRequests):
    """There are too many connections: of this key, from this address, or in all."""

    def __init__(self, message: str = "There are too many connections.") -> None:
        super().__init__(message, {"Retry-After": "10"})


class HoldsTooMuch(TooManyRequests):
    """Signal that the key's subscriptions hold too much memory together."""

    def __init__(self, message: str) -> None:
        super().__init__(message, {"Retry-After": "10"})


class FiltersTooLarge(HoldsTooMuch):
    """The filters of the key's subscriptions take too much memory together."""


class AnswersTooLarge(HoldsTooMuch):
    """The answers that the key's subscriptions watch take too much memory together."""


class TooManySubscriptions(HoldsTooMuch):
    """The connection, or all of the key's, have too many subscriptions with an id."""


class NoKeys(NotReady):
    """The key table is not loaded."""


class Overloaded(NotReady):
    """Too many requests without a key in address or header are in progress; nothing was done."""


class NoState(NotReady):
    """No state of the PBX is loaded."""


class BusAway(NotReady):
    """Redis cannot be reached; nothing was done."""


class NoMonitor(NotReady):
    """No monitor of this PBX is running; nothing was done."""


class MonitorBusy(NotReady):
    """The monitor, or the PBX's database, has too much to do; nothing was done."""


class NotRecorded(NotReady):
    """The monitor cannot record commands, for instance when its disk is full; nothing was done."""


class PbxAway(NotReady):
    """The monitor cannot reach the PBX; nothing was done."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold how a refusal is shown outside: HTTP status, error code and WebSocket close code."""

    status: int
    code: str
    close: int


_TABLE: dict[type[Refused], Shown] = {
    BadParameter: Shown(400, "bad_parameter", 4000),
    UnknownParameter: Shown(400, "unknown_parameter", 4000),
    MissingParameter: Shown(400, "missing_parameter", 4000),
    DuplicateParameter: Shown(400, "duplicate_parameter", 4000),
    BadBody: Shown(400, "bad_body", 4000),
    TooLarge: Shown(413, "too_large", 4013),
    UnsupportedBody: Shown(415, "unsupported_body", 4000),
    WrongMethod: Shown(405, "wrong_method", 4000),
    UpgradeNeeded: Shown(426, "upgrade_required", 4000),
    BadRequest: Shown(400, "bad_request", 4000),
    HostRefused: Shown(403, "host_not_allowed", 4003),
    KeyMissing: Shown(401, "key_missing", 4001),
    KeyUnknown: Shown(401, "key_unknown", 4001),
    KeyExpired: Shown(401, "key_expired", 4001),
    KeyAmbiguous: Shown(400, "key_ambiguous", 4001),
    ScopeMissing: Shown(403, "scope_missing", 4003),
    UnknownCommand: Shown(404, "unknown_command", 4000),
    UnknownExtension: Shown(404, "unknown_extension", 4000),
    UnknownQueue: Shown(404, "unknown_queue", 4000),
    UnknownGroup: Shown(404, "unknown_group", 4000),
    UnknownExtgroup: Shown(404, "unknown_extgroup", 4000),
    UnknownContact: Shown(404, "unknown_contact", 4000),
    UnknownPbx: Shown(404, "unknown_pbx", 4004),
    NotAvailable: Shown(501, "not_available", 4000),
    KeyLimited: Shown(403, "key_limited", 4003),
    AddressRefused: Shown(403, "address_not_allowed", 4003),
    OutcomeUnknown: Shown(504, "outcome_unknown", 4000),
    TooLate: Shown(504, "too_late", 4000),
    PositionNotReached: Shown(504, "position_not_reached", 4000),
    BusAway: Shown(503, "bus_unreachable", 4103),
    NoMonitor: Shown(503, "no_monitor", 4103),
    MonitorBusy: Shown(503, "busy", 4103),
    NotRecorded: Shown(503, "not_recorded", 4103),
    PbxAway: Shown(503, "pbx_unreachable", 4103),
    TooManyRequests: Shown(429, "too_many_requests", 4101),
    FiltersTooLarge: Shown(429, "filters_too_large", 4100),
    AnswersTooLarge: Shown(429, "answers_too_large", 4100),
    TooManySubscriptions: Shown(429, "too_many_subscriptions", 4100),
    TooManyConnections: Shown(429, "too_many_connections", 4100),
    NoKeys: Shown(503, "no_keys", 4103),
    Overloaded: Shown(503, "overloaded", 4103),
    NoState: Shown(503, "no_state", 4103),
}

INTERNAL = Shown(500, "internal", 1011)
"""Row for a fault of our own: it says only that a fault happened."""


def all_shown() -> Mapping[type[Refused], Shown]:
    """Return the table: every refusal that has a row of its own."""
    return _TABLE


def shown(error: Refused) -> Shown:
    """Return the row of the table for this refusal.

    It is the row of its own class, or of the nearest class above that has one.
    """
    if isinstance(error, CommandFailed):
        return Shown(error.status, error.code, 4000)
    return next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), INTERNAL)
