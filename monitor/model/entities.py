"""The entities: everything that anyone can query or watch.

An entity belongs to a *topic*, has an id, and is always sent whole. Field names on the wire are the documented
ones (``callID``, ``dnNum`` …) wherever a field is documented; Python attribute names are their snake_case.
Instants are text: UTC, ISO 8601 with milliseconds (see :mod:`monitor.model.instants`). Durations are never sent.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

from msgspec import Struct, field

from monitor.model.figures import (
    EXTENSION_STATS,
    PBX_STATS,
    QUEUE_STATS,
    ExtensionStats,
    Figure,
    PbxStats,
    QueueStats,
)

Direction: TypeAlias = Literal["FromExternal", "FromInternal", "Inbound", "Outbound", "External", "Internal"]
CallState: TypeAlias = Literal["Unknown", "Initiating", "Routing", "Talking", "Transferring", "Rerouting"]
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
Activity: TypeAlias = Literal["Idle", "Ringing", "Dialing", "Talking"]
Outcome: TypeAlias = Literal["answered", "missed", "abandoned", "unanswered", "unknown"]
"""How a call ended. ``answered``: two people (or a person and an outside number) talked. ``abandoned``: the caller
left while waiting in a queue or at an IVR. ``missed``: it rang at a phone here and nobody took it. ``unanswered``:
a call from here that the other side did not take. ``unknown``: it ended while nobody was looking."""
Connection: TypeAlias = Literal["connecting", "connected", "lost"]


class Leg(Struct, frozen=True, rename="camel"):
    """One active connection of a call: what 3CX calls ActiveConnection.

    The first four fields are the documented ones. The rest is null or empty where the PBX does not say.
    """

    dn_num: str
    """Number of the DN that owns the leg: extension, queue, IVR, or the trunk's DN (``10000``)."""
    dn_type: DnType
    external_party: str
    """The other side's number, also when it is internal; empty if unknown or hidden."""
    status: str
    """``Dialing``, ``Ringing`` or ``Connected``; other words of the PBX are passed on as they are."""
    name: str = ""
    """The owning DN's display name, from the directory."""
    party_name: str = ""
    """The other side's name: the directory's, else the address book's, else what the PBX displays."""
    party_dn: str = ""
    """The other side's DN: an extension's number or the trunk's DN."""
    on_behalf_of: str = ""
    """Queue or ring group for which the leg rings or talks."""
    referred_by: str = ""
    """DN that transferred the call here blindly."""
    leg_id: int | None = None
    """Leg number within the call; null for a leg that the PBX does not list and that was inferred."""
    participant_id: int | None = None
    """Call Control participant id, the handle for actions; null for an inferred leg."""
    device_id: str = ""
    since: str | None = None
    """When the leg took its present status, as seen by the monitor."""


class Call(Struct, frozen=True, rename="camel"):
    """One call with everything that ``pbx.ac.get`` and ``pbx.callsinfo.get`` say of it. Topic ``calls``."""

    call_id: int = field(name="callID")
    direction: Direction
    state: CallState
    started_at: str
    answered_at: str | None
    did: str
    """Name of the DID rule by which a call from an external line came in; empty if none is known."""
    owner: Leg | None
    """The leg of whoever started the call."""
    talk_to: tuple[Leg, ...]
    routing_to: tuple[Leg, ...]
    legs: tuple[Leg, ...] = field(name="AConnList")
    queue: str = ""
    """Queue in which the caller waits or from which the call rings; empty once answered."""
    queued_at: str | None = None
    """Since when the caller waits in ``queue``."""
    extensions: tuple[str, ...] = ()
    """Extensions with a leg in the call."""
    queues: tuple[str, ...] = ()
    """Queues that the call waits in, rings from, or was answered through."""
    groups: tuple[str, ...] = ()
    """Ring groups that the call rings from or was answered through."""
    lines: tuple[str, ...] = ()
    """Trunks with a leg in the call."""
    extgroups: tuple[str, ...] = ()
    """Names of the extension groups to which one of ``extensions`` belongs."""


class QueueLogin(Struct, frozen=True, rename="camel"):
    """An extension's login to one queue, as in ``ext.state.get``'s ``qStatus``."""

    num: str
    status: Literal["LoggedIn", "LoggedOut"] | None
    """Null where the PBX does not say: 3CX v20's XAPI knows the global login only."""


class Talk(Struct, frozen=True, rename="camel"):
    """One thing that an extension is doing on the phone."""

    call_id: int = field(name="callID")
    activity: Activity
    since: str | None
    num: str
    """The other side's number."""
    name: str
    external: bool
    queue: str = ""


class Extension(Struct, frozen=True, rename="camel"):
    """A user extension: what ``ext.info.get`` and ``ext.state.get`` say, secrets aside. Topic ``extensions``.

    Yes-or-no settings are 0/1 as in ``ext.update``; null where the PBX has no such setting.
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
    """Seconds, of the profile in force."""
    registered: bool
    status: Literal["Free", "Busy"]
    fwd_name: str
    q_global_status: Literal["LoggedIn", "LoggedOut"] | None
    q_status: tuple[QueueLogin, ...]
    activity: Activity
    """The most important thing that it does now: Talking over Ringing over Dialing over Idle."""
    since: str | None
    """Since when ``activity`` holds; null while it has not changed since the monitor started."""
    talks: tuple[Talk, ...]
    available: bool
    """Ready to take a queue's call: enabled, registered, logged in, profile allows it, not in a call."""
    queues: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    extgroups: tuple[str, ...] = ()
    monitored: bool = True
    """Whether the API client sees this extension's calls through Call Control."""
    presence_since: str | None = None
    """Since when it is enabled or not, registered or not, logged in to these queues, in this profile; null while none
    of that has changed since the monitor started. Who is free, is so since the later of this and ``since``."""


class Agent(Struct, frozen=True, rename="camel"):
    """An agent of a queue, in the queue's order of priority."""

    num: str
    name: str
    skill_group: str = ""


class WaitingCaller(Struct, frozen=True, rename="camel"):
    """A caller who waits in a queue."""

    call_id: int = field(name="callID")
    num: str
    name: str
    since: str


class Queue(Struct, frozen=True, rename="camel"):
    """A call queue. Topic ``queues``."""

    num: str
    name: str
    agents: tuple[Agent, ...]
    managers: tuple[str, ...]
    logged_in: tuple[str, ...]
    """Agents logged in to queues, as far as the PBX says."""
    waiting: tuple[WaitingCaller, ...]
    """Oldest first."""
    sla_time: int | None = None
    """Seconds within which a call should be answered, as set at the PBX."""


class RingGroup(Struct, frozen=True, rename="camel"):
    """A ring group. Topic ``groups``."""

    num: str
    name: str
    members: tuple[str, ...]
    strategy: str = ""


class Ivr(Struct, frozen=True, rename="camel"):
    """A digital receptionist. Topic ``ivrs``."""

    num: str
    name: str
    kind: str = ""


class Line(Struct, frozen=True, rename="camel"):
    """A trunk. Topic ``lines``."""

    num: str
    name: str
    registered: bool | None
    in_use: int
    """Calls with a leg on this trunk."""
    capacity: int | None
    """Simultaneous calls that the trunk allows; null if the PBX does not say."""
    external_number: str = ""


class ExtensionGroup(Struct, frozen=True, rename="camel"):
    """An extension group, in v20 a department. Topic ``extgroups``; its id is its name."""

    name: str
    num: str
    members: tuple[str, ...]
    """Numbers of its extensions; queues, IVRs and the like that belong to it are left out."""
    is_default: bool = False


class Contact(Struct, frozen=True, rename="lower"):
    """An entry of the company's address book. Topic ``contacts``, in the keyspace ``book``.

    ``phone`` Mobile, ``data0`` Mobile2, ``data1`` Home, ``data2`` Home2, ``data3`` Business, ``data4`` Business2,
    ``data5`` Email, ``data6`` Other, ``data7`` Businessfax, ``data8`` Homefax, ``data9`` Pager.
    """

    id: int
    firstname: str = ""
    lastname: str = ""
    company: str = ""
    tag: str = ""
    phone: str = ""
    data0: str = ""
    data1: str = ""
    data2: str | None = None
    """Null: 3CX v20 has no Home2."""
    data3: str = ""
    data4: str = ""
    data5: str = ""
    data6: str = ""
    data7: str = ""
    data8: str | None = None
    """Null: 3CX v20 has no Homefax."""
    data9: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its phone numbers as written, the e-mail address left out."""
        fields = (
            self.phone,
            self.data0,
            self.data1,
            self.data2,
            self.data3,
            self.data4,
            self.data6,
            self.data7,
            self.data8,
            self.data9,
        )
        return tuple(number for number in fields if number)

    @property
    def display_name(self) -> str:
        """First and last name, or the company's."""
        return " ".join(part for part in (self.firstname, self.lastname) if part) or self.company


class System(Struct, frozen=True, rename="camel"):
    """The PBX itself and the connection to it. Topic ``system``; the only id is ``pbx``."""

    connection: Connection
    since: str
    """Since when ``connection`` holds."""
    reason: str
    """Why it is not connected, in words; empty while it is."""
    version: str
    fqdn: str
    licence_limit: int | None
    """Simultaneous calls that the licence allows."""
    source: str
    """Where calls come from: ``callcontrol+activecalls``, ``callcontrol`` or ``activecalls``."""
    monitor: str
    """The name of the monitor that writes."""
    queue_rule: str
    """By which rule an agent counts as free, in words."""
    unmonitored: int
    """Extensions whose legs Call Control does not show to this API client."""
    time_zone: str = ""
    """The PBX's time zone, an IANA name; empty if it does not say."""


class EndedCall(Struct, frozen=True, rename="camel"):
    """A call that ended: 1,000 of the last 24 hours. Topic ``ended``.

    Of more than that the oldest are dropped, but callers from outside who were missed or gave up only after all others.
    """

    call_id: int = field(name="callID")
    direction: Direction
    did: str
    queue: str
    """The queue through which it was answered or in which it was abandoned; empty if none."""
    started_at: str
    answered_at: str | None
    ended_at: str
    outcome: Outcome
    caller: str
    """The caller's number."""
    caller_name: str
    callee: str
    """Who took the call; if nobody, whom it reached for last."""
    callee_name: str
    extensions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    extgroups: tuple[str, ...] = ()
    queued_at: str | None = None
    """When the caller first came into a queue; null if into none."""

    @property
    def id(self) -> str:
        """Its id in the topic: call ids start anew when the PBX does, so the start time is part of it."""
        return f"{self.call_id}@{self.started_at}"


Entity: TypeAlias = (
    Call | Extension | Queue | RingGroup | Ivr | Line | ExtensionGroup | Contact | System | EndedCall | Figure
)

TOPICS: dict[str, type[Entity]] = {
    "system": System,
    "calls": Call,
    "extensions": Extension,
    "queues": Queue,
    "groups": RingGroup,
    "ivrs": Ivr,
    "lines": Line,
    "extgroups": ExtensionGroup,
    "ended": EndedCall,
    QUEUE_STATS: QueueStats,
    EXTENSION_STATS: ExtensionStats,
    PBX_STATS: PbxStats,
}
"""The live topics, in the order in which they are listed to clients."""

BOOK_TOPICS: dict[str, type[Entity]] = {"contacts": Contact}
"""The address book may hold 100,000 entries: it has keys, a channel and a position of its own."""

SYSTEM_ID = "pbx"

State: TypeAlias = dict[str, dict[str, Entity]]
"""topic → id → entity. Every topic of its space is present, possibly empty."""

EntityT = TypeVar("EntityT", bound=Entity)


def table(state: State, topic: str, kind: type[EntityT]) -> dict[str, EntityT]:
    """The topic's entities as their own type. ``kind`` must be the topic's type."""
    if (TOPICS.get(topic) or BOOK_TOPICS.get(topic)) is not kind:
        raise TypeError(f"topic {topic} does not hold {kind.__name__}")
    return state[topic]  # type: ignore[return-value]  # checked above: a topic holds one type only


def empty_state(topics: dict[str, type[Entity]]) -> State:
    """A state in which every topic is present and empty."""
    return {topic: {} for topic in topics}
