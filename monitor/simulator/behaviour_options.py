"""Offer switches for behaviour of the real 3CX that is not known.

The first value of each switch is the default and the likelier one. Every position is a behaviour
that a real PBX might show. Code that follows a PBX must be right under all of them and must not
rest on one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import msgspec

Monitored: TypeAlias = Literal["extensions", "all", "half"]
Sequence: TypeAlias = Literal["connection", "process", "gaps"]
Callees: TypeAlias = Literal["first", "joined", "target"]
RoutePoint: TypeAlias = Literal["connects", "rings"]


@dataclass(frozen=True, slots=True)
class Switches:
    """Hold one position of every switch."""

    monitored: Monitored = "extensions"
    """DNs that an API client may be given.

    These are all extensions; or also queues, ring groups, IVRs and trunks; or only every second
    extension."""
    on_behalf_of: bool = False
    """True if a leg made for a queue or ring group names it in ``on_behalf_of_dn``.

    The field is documented; no capture shows it filled."""
    party_did: bool = False
    """True if an extension's leg of an inbound call carries the dialled DID."""
    sequence: Sequence = "connection"
    """Rule by which a socket's events are numbered.

    ``connection``: each socket counts its own events from 0. ``process``: one count for all sockets
    and all events, whether this socket sees them or not. ``gaps``: a count that leaves numbers out.
    """
    page_size: int | None = None
    """Maximum number of rows in one XAPI answer. None: no limit.

    ``@odata.nextLink`` leads to the remaining rows."""
    callees: Callees = "first"
    """Callee of ActiveCalls while phones ring for a queue or a ring group.

    The first phone; all phones joined with a comma; or the queue or ring group.

    Seen live: a caller who waits in a queue is told with the queue as callee, as Talking or
    Transferring. Of the time in which agents ring, public programs tell different things. One says
    that the row stays Talking with the queue, one that no agent is named before the answer, one
    that the row becomes Routing with an agent. So ``target`` may be what a real PBX does with
    queues. ``first`` is the default as it tells least: whatever is found under it is found under
    the others too. That nothing but these rows and Call Control tells of the queue, and for how
    long the caller waits before a phone rings (here 0 to 2.5 s), is assumed."""
    established: Literal["call", "last"] = "call"
    """EstablishedAt of ActiveCalls: the start of the call, or the time of the latest connection."""
    socket_at_expiry: Literal["close", "stay"] = "close"
    """Fate of a socket when the token that opened it expires, even if a newer token exists."""
    expires_in: Literal["seconds", "minutes"] = "seconds"
    """Unit of ``expires_in`` in a token answer: minutes up to 20.0.8, seconds since 20.0.9."""
    duplicates: bool = True
    """True if an Upsert often comes twice, as seen live."""
    event_data: bool = False
    """True if an Upsert carries the participant in ``attached_data``; seen live: null."""
    attended: Literal["move", "new"] = "move"
    """Effect of a completed attended transfer on the target's participant.

    It moves to the first call (same id, other ``callid``), or it goes and a new one comes."""
    survivor: Literal["first", "second"] = "first"
    """Call that goes on after an attended transfer: that with the outside caller, or the other.

    ``first``: the call that was to be handed over. ``second``: the one that announced it."""
    route_point: RoutePoint = "connects"
    """Effect of a call that reaches a route point.

    The PBX connects it at once, or it rings until the program answers it."""
    host_devices: bool = True
    """True if a queue or IVR has a device to dial from, as an official sample suggests."""
    routeto_answer: Literal["decided", "at_once"] = "decided"
    """Time of the answer to ``routeto`` and ``transferto`` at a route point.

    Once the target has taken the call or has not; or at once."""
    failed_makecall: Literal["status", "ok"] = "status"
    """Answer to a makecall that fails: an HTTP error status, or 200 without a ``result``."""
    partial_profiles: Literal["replace", "merge"] = "replace"
    """Effect of a PATCH with only some of a user's ForwardingProfiles.

    The profiles that it does not name are dropped or kept."""
    contacts_match: Literal["exact", "tail"] = "exact"
    """Comparison in GetContactsByNumber: the whole number, or its end."""
    secrets: Literal["concealed", "shown"] = "concealed"
    """Presentation of passwords and PINs in XAPI's answers: hidden or shown."""
    governed_login: Literal["obeyed", "ignored"] = "obeyed"
    """Effect of a change of QueueStatus while a profile other than Available is in force."""
    queue_log_out: Literal["no_effect", "logs_out"] = "no_effect"
    """Effect of a profile's OfficeHoursAutoQueueLogOut while it is in force.

    None during office hours, or QueueStatus is LoggedOut and stays so."""
    queues_info: Literal["pushed", "answered", "login"] = "pushed"
    """Way in which the web client is told the queues (``QueuesInfo``).

    Pushed to its socket after a login, when it asks (``GetMyInfo``) and when they change; in the
    answer when it asks, and never pushed; or pushed after a login and when they change, but not
    when it asks."""
    my_info: Literal["answered", "pushed"] = "answered"
    """Way in which ``MyInfo`` comes when the web client asks for it: by HTTP or on the socket."""
    queue_status: Literal["obeyed", "ignored"] = "obeyed"
    """Effect of the web client's ``SetQueueStatus``, which is acknowledged in either case."""
    time_zone: Literal["id", "iana", "windows"] = "id"
    """Form of OfficeHours' TimeZoneId: a row's Id, IanaName or WindowsName in Defs/TimeZones."""
    latency: float = 0.0
    """Seconds by which every HTTP answer is delayed."""


def positions(texts: Iterable[str]) -> Switches:
    """Return switches in the positions that texts such as ``expires_in=minutes`` name.

    The others stay at their default. Latency cannot be set here. Raises ValueError if there is no
    such switch or position; its text says what is valid.
    """
    pairs = [text.partition("=") for text in texts]
    known = [switch.name for switch in fields(Switches) if switch.name != "latency"]
    for name, equals, _ in pairs:
        if not equals or name not in known:
            raise ValueError(
                f"{name!r} is not a switch; write NAME=POSITION, with one of {', '.join(known)}"
            )
    try:
        return msgspec.convert(
            {name: position for name, _, position in pairs}, Switches, strict=False
        )
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
