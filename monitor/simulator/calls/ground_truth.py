"""Tell what is really going on, by the rules of legs alone. Pure.

The truth does not depend on what Call Control or the XAPI show. The rules:

- The external party of a leg is the number at its other side. A trunk has the number outside. A
  conference has the number of the party that opened it; the other legs in it have the conference's.
  A host and a ringing phone have the caller's number. Any other leg has the number of the party to
  which it is connected, else of the party that it tries to reach. A supervisor who listens has the
  agent's number. A caller who pages has the paging group's.
- The owner is the originator's leg while it is there, else the oldest leg.
- Direction follows from the present legs and from the call's beginning. From outside: Inbound once
  there is an extension, voicemail, a conference, fax, parking or route point; else External with
  two trunks; else FromExternal. From inside: Outbound with a trunk; Internal with any of the others
  beside the originator; else FromInternal.
- A call is answered at the first moment at which two of extension, trunk and conference are
  connected to each other.
- A call that ends unanswered was *handled* if a machine had it and it rang at nobody: a fax, an
  app; for a caller inside also a voice menu, a parking place, voicemail that was dialled itself.
  Else it was *abandoned* if it was in a queue or voice menu. Else it was
  *missed* if it came from outside, rang at a phone or was taken by voicemail. Else it was
  *unanswered*.
- An attended transfer leaves one call with the story of the first: who called, when, since when it
  was answered. If the second call's id goes on, the first call has no end of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from monitor.simulator.calls.api_rows import Status, Word
from monitor.simulator.calls.model import HOSTS, PEOPLE, Direction, SimulatedCall, SimulatedLeg
from monitor.simulator.pbx_data.directory import DnKind

Outcome: TypeAlias = Literal[
    "answered", "missed", "abandoned", "unanswered", "handled", "transferred"
]

_REACHED: Final[frozenset[DnKind]] = frozenset(
    ("extension", "specialmenu", "conference", "fax", "parking", "routepoint")
)


@dataclass(frozen=True, slots=True)
class TruthLeg:
    """Represent a leg as it really is. ``external_party``: the number at its other side."""

    dn: str
    dn_type: DnKind
    external_party: str
    status: Status


@dataclass(frozen=True, slots=True)
class TruthCall:
    """Represent a call in progress as it really is. Times are POSIX seconds."""

    call_id: int
    direction: Direction
    state: Word
    started_at: float
    answered_at: float | None
    did: str
    """Name of the inbound rule by which the call came; empty if by none."""
    legs: tuple[TruthLeg, ...]
    """All legs, oldest first."""
    owner: str
    """DN of the owner's leg."""
    talk_to: tuple[str, ...]
    routing_to: tuple[str, ...]
    queue: str
    """DN of the queue in which the caller waits, or from which it rings; empty if none."""
    shown: frozenset[str]
    """DNs of the legs that the answers sent so far have shown."""
    answer_shown_at: float | None
    """Time at which a sent answer first showed that the call was answered; None if none did."""
    parted_at: float | None
    """Time after the answer at which nobody talked to anybody for the first time; None if never."""
    accepted_shown: bool
    """True if an answer has shown that the originator was connected, even to a queue or menu."""


@dataclass(frozen=True, slots=True)
class TruthEnded:
    """Represent a call that is over. Times are POSIX seconds.

    ``legs``, ``owner`` and ``state`` are as they were just before its end.
    """

    call_id: int
    direction: Direction
    """Last direction with somebody at both ends; else the last direction."""
    state: Word
    started_at: float
    answered_at: float | None
    ended_at: float
    outcome: Outcome
    did: str
    legs: tuple[TruthLeg, ...]
    owner: str
    queue: str
    """DN of the queue in which the call waited last; empty if none."""
    caller: str
    """The caller's number."""
    shown: frozenset[str]
    shown_at: float | None = None
    """POSIX time at which a sent answer first showed the call; None if none did."""
    answer_shown_at: float | None = None
    """POSIX time at which a sent answer first showed that it was answered; None if none did."""
    last_shown_at: float | None = None
    """POSIX time at which ActiveCalls first showed the call's last state; None if it never did."""


def direction(call: SimulatedCall) -> Direction:
    """Return the direction that follows from the present legs."""
    reached = trunks = 0
    for leg in call.legs.values():
        trunks += leg.dn.kind == "externalline"
        there = leg.dn.kind in _REACHED or (leg.dn.kind == "ivr" and not call.external)
        reached += there and (call.external or leg.dn.number != call.originator)
    if call.external:
        return "Inbound" if reached else "External" if trunks > 1 else "FromExternal"
    return "Outbound" if trunks else "Internal" if reached else "FromInternal"


def remember(call: SimulatedCall, now: float) -> None:
    """Record in the call what its end and later questions need to know of this moment."""
    connected = 0
    for leg in call.legs.values():
        kind, began = leg.dn.kind, leg.dn.number == call.originator
        connected += leg.connected and kind in PEOPLE
        call.rang = call.rang or (kind == "extension" and leg.ringing and not call.forward_to)
        call.went_out = call.went_out or (kind == "externalline" and not began)
        call.recorded = call.recorded or kind == "specialmenu"
        if kind == "queue" and leg.connected:
            call.last_queue = leg.dn.number
    if call.paging_group:  # its phones only play what is said
        connected = 0
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
    """Return the truth of a call in progress."""
    first = _owner(call)
    others = [leg for leg in call.legs.values() if leg is not first]
    waiting = call.of_kind("queue")
    return TruthCall(
        call_id=call.id,
        direction=direction(call),
        state=call.state,
        started_at=_began(call),
        answered_at=call.answered_at,
        did=call.rule,
        legs=_legs(call),
        owner=first.dn.number,
        talk_to=tuple(
            leg.dn.number
            for leg in others
            if leg.connected and first.connected and not leg.listens_to and not call.paging_group
        ),
        routing_to=tuple(leg.dn.number for leg in call.legs.values() if leg.ringing),
        queue=waiting.dn.number if waiting and waiting.connected else "",
        shown=frozenset(call.shown),
        answer_shown_at=call.answer_shown_at,
        parted_at=call.parted_at,
        accepted_shown=call.accepted_shown,
    )


def truth_of_end(call: SimulatedCall, now: float) -> TruthEnded:
    """Return the truth of a call at its end. Its legs must still be there."""
    return TruthEnded(
        call_id=call.id,
        direction=call.lasting or direction(call),
        state=call.state,
        started_at=_began(call),
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


def continue_story(first: SimulatedCall, second: SimulatedCall) -> None:
    """Let the first call's story go on in the second, after an attended transfer into that one."""
    second.story_began_at = _began(first)
    second.external, second.originator = first.external, first.originator
    second.caller, second.dialled, second.rule = first.caller, first.dialled, first.rule
    second.answered_at, second.parted_at = first.answered_at, first.parted_at
    second.answer_shown_at = first.answer_shown_at
    second.accepted_shown = first.accepted_shown
    second.rang, second.went_out, second.recorded = first.rang, first.went_out, first.recorded
    second.last_queue, second.lasting = first.last_queue, first.lasting
    second.shown |= first.shown


def _began(call: SimulatedCall) -> float:
    return call.started_at if call.story_began_at is None else call.story_began_at


def _outcome(call: SimulatedCall) -> Outcome:
    if call.paging_group:
        return "handled"
    if call.answered_at is not None:
        return "answered"
    if call.merged:
        return "transferred"
    machine = call.of_kind("ivr", "specialmenu", "parking", "fax", "routepoint")
    if machine is not None and not call.rang:
        meant = machine.dn.kind != "specialmenu" or machine.dn.number == call.dialled
        if machine.dn.kind in ("fax", "routepoint") or (meant and not call.external):
            return "handled"
    held = call.of_kind("queue", "ivr")
    if held is not None and held.connected:  # not one that called
        return "abandoned"
    if call.external or call.recorded:
        return "missed"
    return "missed" if call.rang and not call.went_out else "unanswered"


def _owner(call: SimulatedCall) -> SimulatedLeg:
    return call.legs.get(call.originator) or next(iter(call.legs.values()))


def _legs(call: SimulatedCall) -> tuple[TruthLeg, ...]:
    return tuple(
        TruthLeg(leg.dn.number, leg.dn.kind, _external_party(call, leg), leg.status)
        for leg in call.legs.values()
    )


def _external_party(call: SimulatedCall, leg: SimulatedLeg) -> str:
    if leg.dn.kind == "externalline":
        return leg.outside
    if leg.dn.kind == "conference":
        return call.creator
    conference = call.of_kind("conference")
    if conference is not None:
        return conference.dn.number
    if leg.listens_to in call.legs:
        return call.legs[leg.listens_to].number
    if call.paging_group and leg.dn.number == call.originator:
        return call.paging_group
    others = [other for other in call.legs.values() if other is not leg]
    if (leg.dn.kind in HOSTS and leg.status != "Dialing") or (leg.ringing and not call.forward_to):
        return _calling_party(call, others)
    held = [other for other in others if other.dn.kind in HOSTS]
    talking = [
        other for other in others if other.connected and leg.connected and not other.listens_to
    ]
    if held or talking:
        return (held or talking)[0].number
    if call.group:
        return call.group
    return next((other.number for other in others if other.ringing), call.dialled)


def _calling_party(call: SimulatedCall, others: Sequence[SimulatedLeg]) -> str:
    """Return the number of the person who calls a host or a phone that rings."""
    replaced = {other.instead_of for other in call.legs.values()}
    there = [
        other
        for other in others
        if not other.ringing and (other.dn.kind not in HOSTS or other.status == "Dialing")
    ]
    return next((other.number for other in there if other.dn.number not in replaced), "")
