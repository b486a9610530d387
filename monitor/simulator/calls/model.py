"""Represent calls and legs of the simulated PBX: plain state. ``exchange`` changes it.

Words:

- A *leg* is a DN's part in a call. A DN has at most one leg in a call. A leg is Dialing (its owner
  called and nobody has answered), Ringing or Connected.
- A *part* is a leg at one device. Call Control calls it a participant. There is one for each
  ringing phone and one for a leg that talks. A DN that is not a telephone (a trunk, a queue, a
  voice menu) has one without a device.
- *Hosts* are the DNs at which a caller stays connected to nobody: queue, voice menu, voicemail,
  parking, fax.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from monitor.simulator.calls.api_rows import ActiveCallRow, ParticipantView, Status, Word
from monitor.simulator.pbx_data.directory import Dn, DnKind

Direction: TypeAlias = Literal[
    "FromExternal", "FromInternal", "Inbound", "Outbound", "External", "Internal"
]
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
"""Kinds of DN whose leg is a party of its own, not a place that holds another party."""
PEOPLE: Final[frozenset[DnKind]] = frozenset(("extension", "externalline", "conference"))
"""Kinds of DN of which two connected to each other make an answered call."""


class OperationRefused(Exception):
    """Signal that an operation is impossible; nothing was changed.

    The call is over, the leg is gone or in another state, or the destination cannot be used.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.text = text


@dataclass(slots=True, eq=False)
class DeviceLeg:
    """Represent a leg at one device. ``device_id`` is empty if it is not a telephone."""

    id: int
    leg_id: int
    device_id: str = ""
    direct: bool = False
    """True if the device can be told to answer."""
    attached: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class SimulatedLeg:
    """Represent a DN's part in a call."""

    dn: Dn
    status: Status
    outside: str = ""
    """Number outside, the caller's or the dialled one; only at a trunk's leg."""
    routed: bool = False
    """True if the PBX's router made the leg, not somebody who dialled."""
    behalf: str = ""
    """DN of the queue or ring group for which it rings or talks."""
    referred_by: str = ""
    """DN that transferred the call here blindly; empty once it is answered."""
    instead_of: str = ""
    """DN of the connected leg that this one replaces when it answers."""
    listens_to: str = ""
    """DN of the talking leg to which this one only listens; empty for a party of the talk."""
    parts: list[DeviceLeg] = field(default_factory=list)

    @property
    def number(self) -> str:
        """Return the number by which the other side knows it."""
        return self.outside if self.dn.kind == "externalline" else self.dn.number

    @property
    def connected(self) -> bool:
        """Return whether it is connected to another party or to a host."""
        return self.status == "Connected"

    @property
    def ringing(self) -> bool:
        """Return whether it rings."""
        return self.status == "Ringing"


@dataclass(slots=True, eq=False)
class SimulatedCall:
    """Represent one call. ``legs`` by DN, oldest first. Times are POSIX seconds."""

    id: int
    external: bool
    """True if it came from outside."""
    originator: str
    """DN that began the call. For a call from outside, this is the trunk."""
    caller: str
    """The caller's number."""
    dialled: str
    """Number that the caller dialled. For a call from outside: the DID, if a rule has it."""
    started_at: float
    story_began_at: float | None = None
    """Start of the first call of an attended transfer that goes on in this one; None if none does.
    """
    rule: str = ""
    """Name of the inbound rule by which a call from outside came in."""
    state: Word = "Initiating"
    changed_at: float = 0.0
    """Time at which ``state`` last changed."""
    established_at: float = 0.0
    """Time of the latest connection; before the first one, the time of the start."""
    answered_at: float | None = None
    parted_at: float | None = None
    """Time after the answer at which nobody talked to anybody for the first time; None if never."""
    legs: dict[str, SimulatedLeg] = field(default_factory=dict)
    group: str = ""
    """DN of the ring group whose phones ring."""
    paging_group: str = ""
    """DN of the group whose phones all hear the originator; empty if the call is not a paging."""
    merged: bool = False
    """True if its parties went on in another call."""
    forward_to: str = ""
    """Destination to call once the originator, which the PBX rings first, has picked up.

    No other phone rings until then."""
    orderer: str = ""
    """DN that ordered the call; empty if a person dialled it or the MakeCall service ordered it."""
    departed: bool = False
    """True if the originator ever left the call. It may be rung again, as any other DN."""
    creator: str = ""
    """Number of the party that opened the conference."""
    over: bool = False
    next_leg: int = 1
    rang: bool = False
    """True if an extension that did not begin the call ever rang."""
    went_out: bool = False
    """True if it ever had a trunk's leg other than the originator's."""
    recorded: bool = False
    """True if voicemail ever took it."""
    last_queue: str = ""
    """DN of the queue in which it waited last."""
    lasting: Direction | None = None
    """Last direction with somebody at both ends; else the last direction."""
    shown: set[str] = field(default_factory=set)
    """DNs of the legs that the answers sent so far have shown."""
    shown_at: float | None = None
    """Time at which a sent answer first showed the call; None if none did."""
    answer_shown_at: float | None = None
    """Time at which a sent answer first showed that it was answered; None if none did."""
    accepted_shown: bool = False
    """True if an answer has shown that the originator was connected, even to a queue or menu."""
    served_row: ActiveCallRow | None = None
    served_row_at: float | None = None
    """Time at which ``served_row``, the last row of ActiveCalls that was sent, was first sent."""
    last_row: ActiveCallRow | None = None
    """Row of ActiveCalls just before the end; None if nobody read it after the last change."""
    driver: object | None = None
    """Object that plays the people of this call."""
    timeout: int | None = None
    """Seconds for which the next phone rings, as the program that ordered the call asked."""
    views: dict[int, ParticipantView] = field(default_factory=dict)
    """Participants as Call Control shows them, by id."""
    row: ActiveCallRow | None = None
    """Row of ActiveCalls; None until somebody reads it after a change."""

    def of_kind(self, *kinds: DnKind) -> SimulatedLeg | None:
        """Return the oldest leg of one of these kinds, or None."""
        return next((leg for leg in self.legs.values() if leg.dn.kind in kinds), None)

    @property
    def host(self) -> SimulatedLeg | None:
        """Return the leg of the queue, menu … to which the caller is connected, or None."""
        return next(
            (leg for leg in self.legs.values() if leg.dn.kind in HOSTS and leg.connected), None
        )

    @property
    def conference(self) -> SimulatedLeg | None:
        """Return the conference's leg, or None."""
        return self.of_kind("conference")

    def ringing(self) -> list[SimulatedLeg]:
        """Return the legs that ring, oldest first."""
        return [leg for leg in self.legs.values() if leg.status == "Ringing"]

    def talkers(self) -> Iterator[SimulatedLeg]:
        """Yield the parties that are connected or dialling."""
        return (
            leg for leg in self.legs.values() if leg.dn.kind in TALKERS and leg.status != "Ringing"
        )

    def calling(self) -> SimulatedLeg | None:
        """Return the party for which the phones ring, or None.

        This is the oldest present party that is not about to be replaced, or the queue or menu that
        calls.
        """
        leaving = {leg.instead_of for leg in self.legs.values() if leg.instead_of}
        parties = (leg for leg in self.talkers() if leg.dn.number not in leaving)
        dialling = (leg for leg in self.legs.values() if leg.status == "Dialing")
        return next(parties, None) or next(dialling, None)
