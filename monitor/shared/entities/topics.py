"""Define the topics and collect the entities: everything that a client can query or watch.

An entity belongs to a *topic*, has an id, and is always sent whole. Field names on the wire are the
documented ones (``callID``, ``dnNum`` …) if a field is documented; Python attribute names are their
snake_case. Instants are text: UTC, ISO 8601 with milliseconds (see
:mod:`monitor.shared.timestamps`). How long something has lasted so far is never sent.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

from msgspec import Struct

from monitor.shared.entities.calls import Call, CallState, Direction, EndedCall, Leg, Outcome
from monitor.shared.entities.contacts import Contact
from monitor.shared.entities.directory import (
    Activity,
    Agent,
    DnType,
    Extension,
    ExtensionGroup,
    Ivr,
    Line,
    Queue,
    QueueLogin,
    RingGroup,
    Talk,
    WaitingCaller,
)
from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    PBX_STATS,
    QUEUE_STATS,
    ExtensionStats,
    PbxStats,
    QueueStats,
    StatisticsEntity,
)

__all__ = [
    "BOOK_TOPICS",
    "FLEET_TOPICS",
    "SYSTEM_ID",
    "TOPICS",
    "Activity",
    "Agent",
    "Call",
    "CallState",
    "Connection",
    "Contact",
    "Direction",
    "DnType",
    "EndedCall",
    "Entity",
    "EntityT",
    "Extension",
    "ExtensionGroup",
    "Ivr",
    "Leg",
    "Line",
    "Outcome",
    "Queue",
    "QueueLogin",
    "RingGroup",
    "State",
    "System",
    "Talk",
    "WaitingCaller",
    "empty_state",
    "table",
]

Connection: TypeAlias = Literal["connecting", "connected", "lost"]


class System(Struct, frozen=True, gc=False, rename="camel"):
    """The PBX itself and the connection to it. Topic ``system``; the only id is ``pbx``."""

    connection: Connection
    since: str
    """Time since which ``connection`` holds."""
    reason: str
    """The trouble, in words; empty if there is none. One of these: why the PBX is not connected;
    which interface it is connected without (``Without ActiveCalls: …``, ``Without Call Control:
    …``); what of its directory cannot be read. After it, also while it is connected: ``Values on
    Redis that callmon did not write are left out: …`` with the names of their keys."""
    version: str
    fqdn: str
    licence_limit: int | None
    """Simultaneous calls that the licence allows."""
    source: str
    """Source of the calls: ``callcontrol+activecalls``, ``callcontrol`` or ``activecalls``."""
    monitor: str
    """The name of the monitor that writes."""
    queue_rule: str
    """The rule by which an agent counts as free, in words."""
    unmonitored: int
    """Extensions whose legs Call Control does not show to this API client."""
    time_zone: str = ""
    """The PBX's time zone, an IANA name; empty if it does not tell."""


Entity: TypeAlias = (
    Call
    | Extension
    | Queue
    | RingGroup
    | Ivr
    | Line
    | ExtensionGroup
    | Contact
    | System
    | EndedCall
    | PbxSummary
    | StatisticsEntity
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
"""The topics of the address book. It may hold 100,000 entries, so it has keys, a channel and a
position of its own."""

FLEET_TOPICS: dict[str, type[Entity]] = {"pbxs": PbxSummary}
"""The topics of all PBXs together. Each gateway derives them, with a position of its own; they are
not on Redis."""

SYSTEM_ID = "pbx"

State: TypeAlias = dict[str, dict[str, Entity]]
"""topic → id → entity. Every topic of its space is present, possibly empty."""

EntityT = TypeVar("EntityT", bound=Entity)


def table(state: State, topic: str, kind: type[EntityT]) -> dict[str, EntityT]:
    """Return the topic's entities as their own type.

    ``kind`` must be the topic's type. Raises TypeError if it is another one.
    """
    known = TOPICS.get(topic) or BOOK_TOPICS.get(topic) or FLEET_TOPICS.get(topic)
    if known is not kind:
        raise TypeError(f"topic {topic} does not hold {kind.__name__}")
    return state[topic]  # type: ignore[return-value]  # checked above: a topic holds one type only


def empty_state(topics: dict[str, type[Entity]]) -> State:
    """Return a state in which every topic is present and empty."""
    return {topic: {} for topic in topics}
