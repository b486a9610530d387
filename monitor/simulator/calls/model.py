"""Calls and legs as the simulated PBX holds them: plain state, changed by ``call_store`` alone.

Words:

- A *leg* is a DN's part in a call; a call has at most one a DN. It is Dialing (its owner called and nobody took it),
  Ringing or Connected.
- A *part* is a leg at one device, what Call Control calls a participant: one for each ringing phone, one for a leg that
  talks, one without a device for what is no telephone (a trunk, a queue, a voice menu).
- *Hosts* are the DNs at which a caller stays connected to nobody: queue, voice menu, voicemail, parking, fax.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from monitor.simulator.pbx_data.directory import Dn, DnKind

if TYPE_CHECKING:
    from monitor.simulator.calls.views import ActiveCallRow, ParticipantView

Status: TypeAlias = Literal["Dialing", "Ringing", "Connected"]
Word: TypeAlias = Literal["Initiating", "Routing", "Talking", "Transferring", "Rerouting"]
Direction: TypeAlias = Literal["FromExternal", "FromInternal", "Inbound", "Outbound", "External", "Internal"]
Reason: TypeAlias = Literal[
    "NotSpecified",
    "OperationTimeout",
    "UnknownDestination",
    "DestinationBusy",
    "DestinationNoAnswer",
    "DestinationIsNotRegistered",
    "DestinationIsNotReachable",
    "PartyConnectionLost",
    "ParentConnectionTerminated",
    "CompletedElsewhere",
    "Cancelled",
    "SubjectNotFound",
    "RoutingLoopDetected",
]
"""Result reasons of Call Control (.NET ``CallControlResult``)."""

HOSTS: Final[frozenset[DnKind]] = frozenset(("queue", "ivr", "specialmenu", "parking", "fax"))
TALKERS: Final[frozenset[DnKind]] = frozenset(("extension", "externalline", "routepoint"))
"""Kinds of DN whose leg is a party of its own, not a place where another party is kept."""
PEOPLE: Final[frozenset[DnKind]] = frozenset(("extension", "externalline", "conference"))
"""Two of these connected to each other is an answered call."""


class OperationRefused(Exception):
    """An operation that cannot be: the call is over, the leg gone or in another state, the destination of no use."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.text = text


@dataclass(slots=True, eq=False)
class DeviceLeg:
    """A leg at one device. ``device_id`` is empty for what is no telephone."""

    id: int
    leg_id: int
    device_id: str = ""
    direct: bool = False
    """Whether the device can be told to answer."""
    attached: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class SimulatedLeg:
    """A DN's part in a call."""

    dn: Dn
    status: Status
    outside: str = ""
    """A trunk's leg: the number outside, the caller's or the dialled one."""
    routed: bool = False
    """Whether the PBX's router made it, not somebody who dialled."""
    behalf: str = ""
    """Queue or ring group for which it rings or talks."""
    referred_by: str = ""
    """Who transferred the call here blindly; empty once it is answered."""
    instead_of: str = ""
    """DN of the connected leg in whose place this one comes when it answers."""
    parts: list[DeviceLeg] = field(default_factory=list)

    @property
    def number(self) -> str:
        """The number by which the other side knows it."""
        return self.outside if self.dn.kind == "externalline" else self.dn.number

    @property
    def connected(self) -> bool:
        """Whether it is in a talk, or connected to a host."""
        return self.status == "Connected"

    @property
    def ringing(self) -> bool:
        """Whether it rings."""
        return self.status == "Ringing"


@dataclass(slots=True, eq=False)
class SimulatedCall:
    """One call. ``legs`` by DN, oldest first. Times are POSIX seconds."""

    id: int
    external: bool
    """Whether it came from outside."""
    originator: str
    """DN that began it: the trunk of a call from outside."""
    caller: str
    """The caller's number."""
    dialled: str
    """The number that the caller dialled; of a call from outside, the DID if there is a rule for it."""
    started_at: float
    rule: str = ""
    """Name of the inbound rule by which a call from outside came in."""
    state: Word = "Initiating"
    changed_at: float = 0.0
    """When ``state`` took its present word."""
    established_at: float = 0.0
    """When the latest connection was made; the start before there is any."""
    answered_at: float | None = None
    parted_at: float | None = None
    """When, once it had been answered, nobody talked to anybody for the first time."""
    legs: dict[str, SimulatedLeg] = field(default_factory=dict)
    group: str = ""
    """The ring group whose phones ring."""
    forward_to: str = ""
    """Where the call goes once its originator, whom the PBX rings first, has picked up; no other phone rings then."""
    departed: bool = False
    """Whether its originator ever left it; he may be rung again, as any other."""
    creator: str = ""
    """Number of who opened the conference."""
    over: bool = False
    next_leg: int = 1
    rang: bool = False
    """Whether an extension that did not begin it ever rang."""
    went_out: bool = False
    """Whether it ever had a leg to the outside that it did not come from."""
    recorded: bool = False
    """Whether voicemail took it at some time."""
    last_queue: str = ""
    """The queue that it waited in last."""
    lasting: Direction | None = None
    """The last direction with somebody at both ends, else the last."""
    shown: set[str] = field(default_factory=set)
    """DNs of legs that an answer really given told of."""
    shown_at: float | None = None
    """When one was first given."""
    answer_shown_at: float | None = None
    """When one first told that it had been answered."""
    accepted_shown: bool = False
    """Whether one was given while its originator was connected to somebody or something."""
    served_row: ActiveCallRow | None = None
    served_row_at: float | None = None
    """The last row of ActiveCalls that was really given, and when it was first."""
    last_row: ActiveCallRow | None = None
    """Its row just before its end, if anybody asked for it after the last change."""
    driver: object | None = None
    """Whoever plays the people of this call."""
    timeout: int | None = None
    """Seconds for which whoever ordered it lets the next phone ring."""
    views: dict[int, ParticipantView] = field(default_factory=dict)
    """What Call Control shows, by participant id."""
    row: ActiveCallRow | None = None
    """What ActiveCalls shows, made when it is asked for."""

    def of_kind(self, *kinds: DnKind) -> SimulatedLeg | None:
        """The oldest leg of one of these kinds."""
        return next((leg for leg in self.legs.values() if leg.dn.kind in kinds), None)

    @property
    def host(self) -> SimulatedLeg | None:
        """The queue, menu … that the caller is connected to."""
        return next((leg for leg in self.legs.values() if leg.dn.kind in HOSTS), None)

    @property
    def conference(self) -> SimulatedLeg | None:
        """The conference's leg."""
        return self.of_kind("conference")

    def ringing(self) -> list[SimulatedLeg]:
        """Legs that ring, oldest first."""
        return [leg for leg in self.legs.values() if leg.status == "Ringing"]

    def talkers(self) -> Iterator[SimulatedLeg]:
        """Parties that are there: connected, or dialling."""
        return (leg for leg in self.legs.values() if leg.dn.kind in TALKERS and leg.status != "Ringing")

    def calling(self) -> SimulatedLeg | None:
        """The party for whom the ringing phones ring: the oldest there that is not about to be replaced."""
        leaving = {leg.instead_of for leg in self.legs.values() if leg.instead_of}
        return next((leg for leg in self.talkers() if leg.dn.number not in leaving), None)
