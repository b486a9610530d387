"""Define the entities of DNs: extensions, queues, ring groups, IVRs, trunks, extension groups."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct, field

DnType: TypeAlias = Literal[
    "extension",
    "queue",
    "ringgroup",
    "ivr",
    "externalline",
    "routepoint",
    "parking",
    "fax",
    "conference",
    "specialmenu",
    "unknown",
]
Activity: TypeAlias = Literal["Idle", "Ringing", "Dialing", "Talking", "Listening", "Waiting"]
"""``Listening``: beside two others who talk, or to a page. ``Waiting``: connected to no person, as
in a queue, at a menu or another machine, in a voicemail, parked, or while the next phone rings."""


class QueueLogin(Struct, frozen=True, gc=False, rename="camel"):
    """An extension's login to one queue, as in ``ext.state.get``'s ``qStatus``."""

    num: str
    status: Literal["LoggedIn", "LoggedOut"] | None
    """Null if the PBX does not tell: 3CX v20's XAPI knows the global login only."""


class Talk(Struct, frozen=True, gc=False, rename="camel"):
    """One call activity of an extension: talking, ringing, dialling, listening or waiting."""

    call_id: int = field(name="callID")
    activity: Activity
    since: str | None
    num: str
    """The other side's number."""
    name: str
    external: bool
    queue: str = ""


class Extension(Struct, frozen=True, gc=False, rename="camel"):
    """A user extension: what ``ext.info.get`` and ``ext.state.get`` tell, without secrets.

    Topic ``extensions``. Yes-or-no settings are 0 or 1 as in ``ext.update``; null if the PBX has no
    such setting. ``email``, ``mobile`` and ``authid`` are empty for a key without the scope
    ``contacts``.
    """

    num: str
    name: str
    """First name; the documented field's name."""
    lastname: str
    email: str
    mobile: str
    authid: str
    callerid: str
    enabled: int | None
    deliveraudio: int | None
    recordcalls: int | None
    sipid: str
    reinvite: int | None
    replaces: int | None
    vmemail: int | None
    vmenabled: int | None
    vmplaycallerid: int | None
    vmplaydatetime: int | None
    internal: int | None
    noanswertimeout: int | None
    """Seconds, as set in the profile in force."""
    registered: bool
    status: Literal["Free", "Busy"]
    fwd_name: str
    q_global_status: Literal["LoggedIn", "LoggedOut"] | None
    q_status: tuple[QueueLogin, ...]
    activity: Activity
    """The most important present activity, in the order Talking, Ringing, Dialing, Listening,
    Waiting, Idle. Listening: it joined two others who talk, or plays a page. Waiting: it is
    connected to no person (a queue, a menu or another machine, voicemail, a parking place), or to
    one who is still being rung."""
    since: str | None
    """Time since which ``activity`` holds; null if it has not changed since the monitor started."""
    talks: tuple[Talk, ...]
    """Its calls, at most 1,000."""
    available: bool
    """Ready to take a queue's call: enabled, registered, logged in, not in a call. Where the PBX
    does not tell whether it is logged in, the profile must be one that takes calls."""
    queues: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    extgroups: tuple[str, ...] = ()
    monitored: bool = True
    """True if the API client sees this extension's calls through Call Control."""
    presence_since: str | None = None
    """Time since which these are unchanged: enabled, registered, logins to queues, profile. Null if
    none of them has changed since the monitor started. An agent who is free has been free since the
    later of this time and ``since``."""
    in_ring_groups: bool = True
    """True if ring groups ring it; false if the profile in force takes it out of them."""


class Agent(Struct, frozen=True, gc=False, rename="camel"):
    """An agent of a queue, in the queue's order of priority."""

    num: str
    name: str
    skill_group: str = ""


class WaitingCaller(Struct, frozen=True, gc=False, rename="camel"):
    """A caller waiting in a queue."""

    call_id: int = field(name="callID")
    num: str
    name: str
    since: str
    hidden: bool = False
    """True if the caller's number is withheld; ``num`` is empty then."""


class Queue(Struct, frozen=True, gc=False, rename="camel"):
    """A call queue. Topic ``queues``."""

    num: str
    name: str
    agents: tuple[Agent, ...]
    managers: tuple[str, ...]
    logged_in: tuple[str, ...]
    """Agents logged in to queues in general and to this queue, as far as the PBX tells."""
    waiting: tuple[WaitingCaller, ...]
    """Oldest first, at most 1,000."""
    sla_time: int | None = None
    """Seconds within which a call should be answered, as set at the PBX."""


class RingGroup(Struct, frozen=True, gc=False, rename="camel"):
    """A ring group. Topic ``groups``."""

    num: str
    name: str
    members: tuple[str, ...]
    strategy: str = ""


class Ivr(Struct, frozen=True, gc=False, rename="camel"):
    """A digital receptionist. Topic ``ivrs``."""

    num: str
    name: str
    kind: str = ""


class Line(Struct, frozen=True, gc=False, rename="camel"):
    """A trunk. Topic ``lines``."""

    num: str
    name: str
    registered: bool | None
    in_use: int
    """Calls with a leg on this trunk."""
    capacity: int | None
    """Simultaneous calls that the trunk allows; null if the PBX does not tell."""
    external_number: str = ""


class ExtensionGroup(Struct, frozen=True, gc=False, rename="camel"):
    """An extension group, in v20 a department. Topic ``extgroups``; its id is its name."""

    name: str
    num: str
    members: tuple[str, ...]
    """Numbers of its extensions, without the queues, IVRs and the like that belong to it."""
    is_default: bool = False
