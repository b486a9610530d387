"""What nobody knows of the real 3CX, as switches: nothing that follows a PBX may rest on one of their positions.

The first value of each is the default and the likelier one. Every position is a behaviour that a real PBX might show;
code that follows it must be right under all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import msgspec

Monitored: TypeAlias = Literal["extensions", "all", "half"]
Sequence: TypeAlias = Literal["connection", "process", "gaps"]
Callees: TypeAlias = Literal["first", "joined", "target"]
Established: TypeAlias = Literal["call", "last"]
SocketAtExpiry: TypeAlias = Literal["close", "stay"]
ExpiresIn: TypeAlias = Literal["seconds", "minutes"]
Attended: TypeAlias = Literal["move", "new"]
FailedMakecall: TypeAlias = Literal["status", "ok"]
PartialProfiles: TypeAlias = Literal["replace", "merge"]
ContactsMatch: TypeAlias = Literal["exact", "tail"]
Secrets: TypeAlias = Literal["concealed", "shown"]
TimeZoneId: TypeAlias = Literal["id", "iana", "windows"]
RoutePoint: TypeAlias = Literal["connects", "rings"]
GovernedLogin: TypeAlias = Literal["obeyed", "ignored"]


@dataclass(frozen=True, slots=True)
class Switches:
    """One position of every switch."""

    monitored: Monitored = "extensions"
    """Which DNs an API client may be given: extensions; also queues, ring groups, IVRs and trunks; or only every
    second extension."""
    on_behalf_of: bool = False
    """Whether a leg made for a queue or ring group names it in ``on_behalf_of_dn``."""
    party_did: bool = False
    """Whether an extension's leg of an inbound call carries the dialled DID."""
    sequence: Sequence = "connection"
    """What numbers a socket's events: a count of its own from 0; one count of the process for all sockets and all
    events, seen by this one or not; or a count that leaves numbers out."""
    page_size: int | None = None
    """The most rows in one XAPI answer; what is left is named by ``@odata.nextLink``. None: no such limit."""
    callees: Callees = "first"
    """ActiveCalls' Callee while several phones ring: the first; all joined with a comma; the queue or ring group."""
    established: Established = "call"
    """ActiveCalls' EstablishedAt: the start of the call, or of the last establishment."""
    socket_at_expiry: SocketAtExpiry = "close"
    """What becomes of a socket when the token that opened it expires, renewed by another meanwhile or not."""
    expires_in: ExpiresIn = "seconds"
    """The unit of ``expires_in`` in a token answer: minutes up to 20.0.8, seconds since 20.0.9."""
    duplicates: bool = True
    """Whether an Upsert often comes twice, as seen live."""
    event_data: bool = False
    """Whether an Upsert carries the participant in ``attached_data``; seen live: null."""
    attended: Attended = "move"
    """When an attended transfer completes, the target's participant moves to the first call (same id, other
    ``callid``), or goes and a new one comes."""
    route_point: RoutePoint = "connects"
    """What becomes of a call that reaches a route point: the PBX connects it at once, or it rings until the program
    answers it."""
    failed_makecall: FailedMakecall = "status"
    """A makecall that fails answers with an HTTP status of failure, or with 200 and no ``result``."""
    partial_profiles: PartialProfiles = "replace"
    """What a PATCH with some of a user's ForwardingProfiles does to those it does not name: drop them or keep them."""
    contacts_match: ContactsMatch = "exact"
    """How GetContactsByNumber compares: the whole number, or its end."""
    secrets: Secrets = "concealed"
    """Whether XAPI shows passwords and PINs in what it answers."""
    governed_login: GovernedLogin = "obeyed"
    """What becomes of a change of QueueStatus while another profile than Available is in force."""
    time_zone: TimeZoneId = "id"
    """What OfficeHours' TimeZoneId is: an Id of Defs/TimeZones, or that row's IanaName or WindowsName."""
    latency: float = 0.0
    """Seconds by which every HTTP answer is delayed."""


def positions(texts: Iterable[str]) -> Switches:
    """Switches in the positions that texts such as ``expires_in=minutes`` name, the others at their default.

    Latency is none of them. Raises ValueError, which says what there is.
    """
    pairs = [text.partition("=") for text in texts]
    known = [switch.name for switch in fields(Switches) if switch.name != "latency"]
    for name, equals, _ in pairs:
        if not equals or name not in known:
            raise ValueError(f"{name!r} is no switch; write NAME=POSITION, with one of {', '.join(known)}")
    try:
        return msgspec.convert({name: position for name, _, position in pairs}, Switches, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
