"""Define the entities of calls: active ones with their legs, and ended ones."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from monitor.shared.entities.directory import DnType

Direction: TypeAlias = Literal[
    "FromExternal", "FromInternal", "Inbound", "Outbound", "External", "Internal"
]
CallState: TypeAlias = Literal[
    "Unknown", "Initiating", "Routing", "Talking", "Transferring", "Rerouting"
]
Outcome: TypeAlias = Literal[
    "answered", "missed", "abandoned", "unanswered", "handled", "transferred", "unknown"
]
"""The outcome of an ended call. ``answered``: two people (or a person and an outside number)
talked, or a person took the call of an app. ``abandoned``: the caller left while waiting in a queue
or at an IVR. ``missed``: it rang at a phone here and nobody took it. ``unanswered``: a call from
here that the other side did not take.
``handled``: a machine took it and it rang at nobody after that: a fax, an app or AI agent (a route
point); for a call from an extension also voicemail, an IVR or a parking place. A page (a call to a
ring group whose phones play it at once) is ``handled`` too.
``transferred``: a consultation that was handed over before an answer; its phone rang on in the call
for which it was made.
``unknown``: it ended while no monitor was watching, or it was already past its ringing when a
monitor without history first saw it, or such a monitor saw an internal call neither begin nor
ring."""


PROGRAMS: Final = frozenset({"routepoint", "ivr"})
"""Kinds of DN at which a program, not a person, may begin a call."""
_FROM_INSIDE: Final = frozenset({"FromInternal", "Internal", "Outbound"})


class Leg(Struct, frozen=True, gc=False, rename="camel"):
    """One active connection of a call, which 3CX calls ActiveConnection.

    The first four fields are the documented ones. The others are null or empty if the PBX does not
    tell them.
    """

    dn_num: str
    """Number of the DN that owns the leg: extension, queue, IVR, or the trunk's DN (``10000``)."""
    dn_type: DnType
    external_party: str
    """The other side's number, also when it is internal; empty if unknown or hidden."""
    status: str
    """``Dialing``, ``Ringing`` or ``Connected``; other words of the PBX are passed on as they
    are."""
    name: str = ""
    """The owning DN's display name, from the directory."""
    party_name: str = ""
    """The other side's name: the directory's, else the address book's, else what the PBX
    displays."""
    party_dn: str = ""
    """The other side's DN: an extension's number or the trunk's DN."""
    on_behalf_of: str = ""
    """The queue or ring group for which the leg rings or talks."""
    referred_by: str = ""
    """DN that transferred the call here blindly."""
    leg_id: int | None = None
    """Leg number within the call; null for an inferred leg, which the PBX does not list."""
    participant_id: int | None = None
    """Call Control participant id, the handle for actions; null for an inferred leg."""
    device_id: str = ""
    since: str | None = None
    """Time at which the leg took its present status, as seen by the monitor."""
    hidden: bool = False
    """True if the other side's number is withheld; ``externalParty`` is empty then."""
    listening: bool = False
    """True if the extension joined two others who talk: a supervisor who listens, whispers or
    barges in (the PBX does not tell which). True too for a phone that plays a page. The statistics
    leave such a leg out."""


class Call(Struct, frozen=True, gc=False, rename="camel"):
    """An active call with everything that ``pbx.ac.get`` and ``pbx.callsinfo.get`` tell of it.

    Topic ``calls``.
    """

    call_id: int = field(name="callID")
    direction: Direction
    """The last one in which the call had reached somebody; ``FromExternal`` or ``FromInternal`` if
    it has reached nobody yet."""
    state: CallState
    started_at: str
    answered_at: str | None
    did: str
    """Name of the DID rule by which a call from an external line came in; empty if none is
    known."""
    owner: Leg | None
    """The leg of the party that started the call."""
    talk_to: tuple[Leg, ...]
    routing_to: tuple[Leg, ...]
    """The legs that ring. A ring group stands here until one of its members is seen to ring."""
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
    continues: tuple[int, ...] = ()
    """Ids of calls that go on as this one: an attended transfer gave them this call's id. They have
    no end of their own."""


def is_calling_program(call: Call, leg: Leg) -> bool:
    """Return whether a program, at this leg, began the call."""
    return leg.dn_type in PROGRAMS and leg == call.owner and call.direction in _FROM_INSIDE


class EndedCall(Struct, frozen=True, gc=False, rename="camel"):
    """A call that ended, one of at most 1,000 within the last 24 hours. Topic ``ended``.

    If there are more, the oldest are dropped first. Calls from outside that were missed or
    abandoned are dropped only after all others. Each of its lists has at most 500 entries
    with 5,000 characters.
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
    """The party that took the call first; if nobody did, the one that it tried to reach last."""
    callee_name: str
    extensions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    extgroups: tuple[str, ...] = ()
    queued_at: str | None = None
    """Time at which the caller first came into a queue; null if the call was in none."""
    hidden: bool = False
    """True if the caller's number is withheld; ``caller`` is empty then."""
    returned_at: str | None = None
    """Time at which somebody here first talked with the caller of a call that nobody took, in a
    later call in either direction; null if that has not happened or the number is withheld."""
    returned_by: str = ""
    """Extension that talked then; empty if it is not known, or if the key may not see it."""
    mailbox: str = ""
    """Extension whose voicemail took the call; empty if none did or the PBX does not tell."""
    continues: tuple[int, ...] = ()
    """Ids that this call had before attended transfers gave it its last one."""

    @property
    def id(self) -> str:
        """Return its id in the topic: ``<call id>@<start time>``.

        A restarted PBX numbers its calls from the beginning again, so the call id alone would not
        be unique.
        """
        return f"{self.call_id}@{self.started_at}"
