"""What is really going on, told by the rules of legs alone and not through what Call Control or the XAPI show. Pure.

The rules:

- A leg's other side: a trunk's is the number outside; in a conference everybody's is the conference, and the
  conference's own the number of who opened it; a host's, and a ringing phone's, the caller's; else whoever the leg is
  connected to or reaches for.
- The owner is the originator's leg while it is there, else the oldest.
- Direction follows from the legs there are and from who began the call. From outside: Inbound once there is an
  extension, voicemail, a conference, fax, parking or route point; else External with two trunks; else FromExternal.
  From inside: Outbound with a trunk; Internal with any of the others beside the originator; else FromInternal.
- Answered is the first moment at which two of extension, trunk and conference were connected to each other.
- A call that ends unanswered was abandoned in a queue or voice menu, missed if it came from outside or rang at a phone
  or was taken by voicemail, else unanswered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from monitor.simulator.calls.model import HOSTS, PEOPLE, Direction, SimulatedCall, SimulatedLeg, Status, Word
from monitor.simulator.pbx_data.directory import DnKind

Outcome: TypeAlias = Literal["answered", "missed", "abandoned", "unanswered"]

_REACHED: Final[frozenset[DnKind]] = frozenset(
    ("extension", "specialmenu", "conference", "fax", "parking", "routepoint")
)


@dataclass(frozen=True, slots=True)
class TruthLeg:
    """A leg. ``external_party``: the other side's number."""

    dn: str
    dn_type: DnKind
    external_party: str
    status: Status


@dataclass(frozen=True, slots=True)
class TruthCall:
    """A call that goes on. Times are POSIX seconds."""

    call_id: int
    direction: Direction
    state: Word
    started_at: float
    answered_at: float | None
    did: str
    """Name of the inbound rule by which it came; empty if by none."""
    legs: tuple[TruthLeg, ...]
    """Oldest first."""
    owner: str
    """DN."""
    talk_to: tuple[str, ...]
    routing_to: tuple[str, ...]
    queue: str
    """The queue in which the caller waits, or from which it rings; empty if none."""
    shown: frozenset[str]
    """DNs whose legs an answer that was really given told of."""
    answer_shown_at: float | None
    """When such an answer first told that it had been answered; None if none did."""
    parted_at: float | None
    """When, once it had been answered, nobody talked to anybody for the first time; None if that never was."""
    accepted_shown: bool
    """Whether such an answer was given while its originator was connected, be it to a queue or a voice menu."""


@dataclass(frozen=True, slots=True)
class TruthEnded:
    """A call that is over. ``legs``, ``owner`` and ``state`` as they were just before its end."""

    call_id: int
    direction: Direction
    """The last in which both ends were somebody, else the last."""
    state: Word
    started_at: float
    answered_at: float | None
    ended_at: float
    outcome: Outcome
    did: str
    legs: tuple[TruthLeg, ...]
    owner: str
    queue: str
    """The queue that it waited in last."""
    caller: str
    """The caller's number."""
    shown: frozenset[str]
    shown_at: float | None = None
    """When an answer that was really given first told of it, POSIX seconds; None if none did."""
    answer_shown_at: float | None = None
    """When one first told that it had been answered."""
    last_shown_at: float | None = None
    """When ActiveCalls was first given after its last change before its end."""


def direction(call: SimulatedCall) -> Direction:
    """The direction by the legs of this moment."""
    reached = trunks = 0
    for leg in call.legs.values():
        trunks += leg.dn.kind == "externalline"
        reached += leg.dn.kind in _REACHED and (call.external or leg.dn.number != call.originator)
    if call.external:
        return "Inbound" if reached else "External" if trunks > 1 else "FromExternal"
    return "Outbound" if trunks else "Internal" if reached else "FromInternal"


def remember(call: SimulatedCall, now: float) -> None:
    """Note what the call's end, and those who ask later, need to know of this moment."""
    connected = 0
    for leg in call.legs.values():
        kind, began = leg.dn.kind, leg.dn.number == call.originator
        connected += leg.connected and kind in PEOPLE
        call.rang = call.rang or (kind == "extension" and leg.ringing and not call.forward_to)
        call.went_out = call.went_out or (kind == "externalline" and not began)
        call.recorded = call.recorded or kind == "specialmenu"
        if kind == "queue":
            call.last_queue = leg.dn.number
    if connected > 1 and call.answered_at is None:
        call.answered_at = now
    elif connected < 2 and call.answered_at is not None and call.parted_at is None:
        call.parted_at = now
    call.departed = call.departed or call.originator not in call.legs
    if call.legs:
        present = direction(call)
        if call.lasting is None or not present.startswith("From"):
            call.lasting = present


def truth_of(call: SimulatedCall) -> TruthCall:
    """The truth of a call that goes on."""
    first = _owner(call)
    others = [leg for leg in call.legs.values() if leg is not first]
    waiting = call.of_kind("queue")
    return TruthCall(
        call_id=call.id,
        direction=direction(call),
        state=call.state,
        started_at=call.started_at,
        answered_at=call.answered_at,
        did=call.rule,
        legs=_legs(call),
        owner=first.dn.number,
        talk_to=tuple(leg.dn.number for leg in others if leg.connected and first.connected),
        routing_to=tuple(leg.dn.number for leg in call.legs.values() if leg.ringing),
        queue=waiting.dn.number if waiting else "",
        shown=frozenset(call.shown),
        answer_shown_at=call.answer_shown_at,
        parted_at=call.parted_at,
        accepted_shown=call.accepted_shown,
    )


def truth_of_end(call: SimulatedCall, now: float) -> TruthEnded:
    """The truth of a call at its end; its legs must still be there."""
    return TruthEnded(
        call_id=call.id,
        direction=call.lasting or direction(call),
        state=call.state,
        started_at=call.started_at,
        answered_at=call.answered_at,
        ended_at=now,
        outcome=_outcome(call),
        did=call.rule,
        legs=_legs(call),
        owner=_owner(call).dn.number,
        queue=call.last_queue,
        caller=call.caller,
        shown=frozenset(call.shown),
    )


def _outcome(call: SimulatedCall) -> Outcome:
    if call.answered_at is not None:
        return "answered"
    if call.of_kind("queue", "ivr") is not None:
        return "abandoned"
    if call.external or call.recorded:
        return "missed"
    return "missed" if call.rang and not call.went_out else "unanswered"


def _owner(call: SimulatedCall) -> SimulatedLeg:
    return call.legs.get(call.originator) or next(iter(call.legs.values()))


def _legs(call: SimulatedCall) -> tuple[TruthLeg, ...]:
    return tuple(
        TruthLeg(leg.dn.number, leg.dn.kind, _external_party(call, leg), leg.status) for leg in call.legs.values()
    )


def _external_party(call: SimulatedCall, leg: SimulatedLeg) -> str:
    if leg.dn.kind == "externalline":
        return leg.outside
    if leg.dn.kind == "conference":
        return call.creator
    conference = call.of_kind("conference")
    if conference is not None:
        return conference.dn.number
    others = [other for other in call.legs.values() if other is not leg]
    if leg.dn.kind in HOSTS or (leg.ringing and not call.forward_to):
        replaced = {other.instead_of for other in call.legs.values()}
        there = [other for other in others if not other.ringing and other.dn.kind not in HOSTS]
        return next((other.number for other in there if other.dn.number not in replaced), "")
    held = [other for other in others if other.dn.kind in HOSTS]
    talking = [other for other in others if other.connected and leg.connected]
    if held or talking:
        return (held or talking)[0].number
    if call.group:
        return call.group
    return next((other.number for other in others if other.ringing), call.dialled)
