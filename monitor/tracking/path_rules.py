"""Find out what became of a call: its answer, state, direction, path and outcome: stage 5. Pure.

*State* is the row's word, if the row was asked for after the call's last event. Otherwise it is
what the legs say.

*Direction* follows from the originator and the legs. Inbound and Internal need somebody beside the
originator whom the call has reached: an extension, a ring group, voicemail, a conference. A queue
does not count as somebody, nor does an IVR for a caller from outside. The direction is the last one
in which somebody had been reached: it does not fall back between two rings. If the call has reached
nobody, it is the one that the present legs tell.

*Answer.* answeredAt is the moment of the event with which two people (extension, outside line,
conference) were connected. A program that began the call (a route point, an IVR) counts as one of
them. If nobody saw the answer, it is the row's LastChangeStatus, unless that
time was first told with another callee. 3CX gives participants no time stamps. A row can prove the
answer: it says that a caller whom no queue and no machine had accepted talks to a person. It proves
that even if an event came after the row was asked for. Then the row's callee answered; if it names
several, nobody knows which.

*Pages.* A page is answered by nobody: its phones listen. It is handled by the paging group.

*Path.* A leg has its state since the observation that first showed it so. A leg that comes back
within a few seconds was never gone. The call has reached who answered; before the answer, who rang
last.

*Outcome.* A caller who talked, was sent to a queue and gave up there has abandoned; the answer
stays. A call that was not answered is missed, abandoned, unanswered, or handled: a machine took
it. A call from outside that went on to voicemail is missed all the same. The outcome is unknown
in three cases. Two are that a ringing leg changed and was gone before it could be read, and that
the call was past its ringing when it was first seen: it may have been answered then. The third is a
call inside whose beginning nobody saw and that never showed whom it was for: it may have been
missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from monitor.shared.entities import topics
from monitor.shared.entities.calls import PROGRAMS
from monitor.tracking.call_evidence import (
    ACCEPTING,
    MACHINES,
    PAST_RINGING,
    PEOPLE,
    CallReading,
)
from monitor.tracking.leg_rules import DerivedLeg
from monitor.tracking.originator_rules import Originator
from monitor.tracking.place_rules import Place

_REACHED: Final = frozenset(
    {"extension", "ringgroup", "specialmenu", "conference", "fax", "parking", "routepoint"}
)
_TAKES: Final = PEOPLE | {"ringgroup"}
"""Kinds of DN that ring. A ring group has a leg where the legs of its members are not known."""
_ENDS_OUTSIDE: Final = frozenset({"fax", "routepoint"})
"""Machines that a call from outside is meant for."""
_FROM_OUTSIDE: Final = frozenset({"FromExternal", "Inbound", "External"})
_LINGER: Final = 5.0
"""Seconds that a leg may be missing between two reads and still be the same."""
_STATES: Final[Mapping[str, topics.CallState]] = {
    "Initiating": "Initiating",
    "Routing": "Routing",
    "Talking": "Talking",
    "Transferring": "Transferring",
    "Rerouting": "Rerouting",
}

Stage: TypeAlias = Literal["", "queue", "ivr"]


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """Hold whether and when a call was answered. ``at``: POSIX seconds."""

    at: float | None = None
    time_uncertain: bool = False
    """True if nobody saw the answer: the call was already answered when it was first observed, or
    when it was first read in a row."""
    unseen: bool = False
    """True if the call may have been answered before it was first observed: it was Talking or
    Transferring then, with no queue, no machine and no known answer."""
    by_row: tuple[tuple[str, str], ...] = ()
    """DNs one of which answered according to the row that proved the answer, each with the number
    behind it; empty if no row proved it."""


@dataclass(frozen=True, slots=True)
class CallPath:
    """Hold what the legs of a call were until now."""

    since: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Key of a leg → its state, and the time since which it is in that state."""
    presence: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    """Key of a leg → the time since which it exists, and the time since which it no longer does (or
    None)."""
    lines: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    hosted: bool = False
    """True if a queue or a machine has accepted the caller at any time."""
    recorded: bool = False
    """True if voicemail has taken the call at any time."""
    stage: Stage = ""
    """The place where the caller was last (a queue, an IVR), while the call had any leg."""
    handled_by: str = ""
    """DN of the machine that had the caller when the call had its last leg, and rang nobody else;
    empty if there was none."""
    reached: str = ""
    """DN that answered; before the answer, the DN that rang last."""
    rang_app: str = ""
    """DN of the program's route point that rang last; empty if none did."""
    reached_number: str = ""
    """The number behind ``reached``: an outside number for a trunk, else the DN itself."""
    lasting: topics.Direction | None = None
    """The direction; None if the call has not had any leg."""
    unrung: frozenset[str] = frozenset()
    """Keys of extensions' legs that were Connected when they were first seen, without the
    originator's."""
    aimed: bool = False
    """True once the originator's leg showed for whom the call is."""


def find_unrung(
    legs: Sequence[DerivedLeg], originator: Originator, before: CallPath
) -> frozenset[str]:
    """Return the keys of extensions' legs that were Connected when they were first seen."""
    new = {
        leg.key
        for leg in legs
        if leg.kind == "extension"
        and leg.status == "Connected"
        and leg.key not in before.presence
        and leg.key != originator.dn
    }
    present = {leg.key for leg in legs} | before.presence.keys()
    return (before.unrung & present) | new


def of_originator(path: CallPath, before: Originator, originator: Originator) -> CallPath:
    """Return the path until now, without what followed from another originator, or from none."""
    if before.dn not in ("", originator.dn):
        return replace(path, reached="", reached_number="", lasting=None, aimed=False)
    if not before.dn and path.reached == originator.dn:
        return replace(path, reached="", reached_number="")
    return path


def without_queue(path: CallPath, place: Place) -> CallPath:
    """Return the path until now, without what followed from a queue that the call was not for."""
    return replace(path, hosted=place.hosted, stage="")


def without_page(
    answer: CallAnswer, path: CallPath, legs: Sequence[DerivedLeg]
) -> tuple[CallAnswer, CallPath]:
    """Return answer and path until now, without what a phone that plays a page was taken for."""
    if not any(leg.listening and leg.dn == path.reached for leg in legs):
        return answer, path
    return CallAnswer(), replace(path, reached="", reached_number="")


def call_state(said: CallReading, legs: Sequence[DerivedLeg]) -> topics.CallState:
    """Return the state: the row's word if it is fresh and known, else what the legs say."""
    told = _STATES.get(said.fresh_word)
    return told if told is not None else state_of_legs(legs)


def state_of_legs(legs: Sequence[DerivedLeg]) -> topics.CallState:
    """Return the state that the legs show."""
    statuses = [leg.status for leg in legs]
    if statuses.count("Connected") > 1 and "Ringing" not in statuses:
        return "Talking"
    if "Ringing" in statuses:
        ringing = (leg.participant for leg in legs if leg.status == "Ringing")
        referred = any(p is not None and p.referred_by_dn for p in ringing)
        return "Transferring" if referred else "Routing"
    if "Dialing" in statuses:
        return "Initiating"
    return "Talking" if "Connected" in statuses else "Unknown"


def call_direction(
    originator: Originator, legs: Sequence[DerivedLeg], *, paging: bool = False
) -> topics.Direction:
    """Return the direction that follows from the originator and the present legs.

    ``paging``: whether phones play what the caller says.
    """
    external = originator.external
    lines = sum(leg.kind == "externalline" for leg in legs)
    reached = paging or any(
        (leg.kind in _REACHED and (external or leg.dn != originator.dn))
        or (leg.kind == "ivr" and external is False)
        for leg in legs
    )
    if external:
        return "Inbound" if reached else "External" if lines > 1 else "FromExternal"
    if lines:
        return "Outbound"
    return "Internal" if reached else "FromInternal"


def lasting_direction(
    before: topics.Direction | None, direction: topics.Direction
) -> topics.Direction:
    """Return the direction of the call, whose present legs tell this one.

    ``before``: the direction until now; None if the call has had no leg. It stays if the legs tell
    nobody whom the call has reached, unless it is about another originator.
    """
    same = (before in _FROM_OUTSIDE) == (direction in _FROM_OUTSIDE)
    if before is None or not direction.startswith("From") or before.startswith("From") or not same:
        return direction
    return before


def find_answer(
    said: CallReading,
    originator: Originator,
    place: Place,
    legs: Sequence[DerivedLeg],
    before: CallAnswer | None,
    now: float,
) -> CallAnswer:
    """Return when the call was answered: at the event, else as the row tells.

    ``before``: None if the call is observed for the first time.
    """
    held = before or CallAnswer()
    at, uncertain, by_row = held.at, held.time_uncertain, held.by_row
    if at is None:
        if _talkers(legs, originator) > 1:
            # Of a phone that was rung for an order, only the row may tell when it was answered.
            at, uncertain = now, before is None or not said.listed or originator.rung
        elif _answered_by_row(said, originator, place):
            at, uncertain = now if said.changed_at is None else min(said.changed_at, now), False
            by_row = _row_takers(said, originator)
    if at is not None and uncertain and said.talking_since is not None:
        at, uncertain = min(at, said.talking_since), False
    unseen = held.unseen if before is not None else at is None and _was_talking(said, place, legs)
    return CallAnswer(at, uncertain, unseen, by_row)


def _talkers(legs: Sequence[DerivedLeg], originator: Originator) -> int:
    """Return how many talk: people, and the program that began the call."""
    return sum(
        leg.talks
        or (leg.key == originator.dn and leg.kind in PROGRAMS and leg.status == "Connected")
        for leg in legs
    )


def _answered_by_row(said: CallReading, originator: Originator, place: Place) -> bool:
    """Return whether the row proves the answer although no leg shows it.

    The leg may be over or not read yet. If a queue or a machine accepted the caller, the row proves
    nothing: its word stays Talking while the next phone rings. Nor does it if its callee is the
    extension that ordered the call, and has picked up its own phone.
    """
    if said.word != "Talking" or place.hosted or place.queues:
        return False
    callees = [
        (party, kind)
        for party, kind in said.parties.callees
        if kind != "extension" or party.dn != originator.dn
    ]
    return bool(callees) and all(kind in PEOPLE for _, kind in callees)


def _row_takers(said: CallReading, originator: Originator) -> tuple[tuple[str, str], ...]:
    """Return the row's callees without the originator, each with the number behind it."""
    return tuple(
        (party.dn, party.number if kind == "externalline" else party.dn)
        for party, kind in said.parties.callees
        if party.dn != originator.dn
    )


def _was_talking(said: CallReading, place: Place, legs: Sequence[DerivedLeg]) -> bool:
    """Return whether a call that was never observed is past its ringing, and not at a machine."""
    kinds = {leg.kind for leg in legs if leg.status not in ("Ringing", "Dialing")}
    # Who called from outside and is parked has talked to somebody before.
    machines = MACHINES - {"parking"} if "externalline" in kinds else MACHINES
    if place.queue or place.paging or not kinds.isdisjoint(machines):
        return False
    return call_state(said, legs) in PAST_RINGING


def follow_path(
    legs: Sequence[DerivedLeg],
    originator: Originator,
    place: Place,
    answer: CallAnswer,
    before: CallPath,
    now: float,
    *,
    answered_now: bool = False,
    lasting: topics.Direction | None,
    unrung: frozenset[str] = frozenset(),
) -> CallPath:
    """Return what the legs were until now.

    ``answered_now``: the answer was not known before. ``lasting``: the direction. ``unrung``: as
    :func:`find_unrung` returned it.
    """
    kinds = {leg.kind for leg in legs}
    accepting = {leg.kind for leg in legs if leg.status != "Ringing"}
    reached, number = _reached(
        [leg for leg in legs if leg.dn != place.paging and not leg.listening],
        originator,
        answer,
        before,
        fresh=answered_now or answer.at == now,
    )
    return CallPath(
        since=_since(legs, before, now),
        presence=_presence(legs, before, now),
        lines=before.lines.union([leg.dn for leg in legs if leg.kind == "externalline"]),
        extensions=before.extensions.union([leg.dn for leg in legs if leg.kind == "extension"]),
        hosted=before.hosted or place.hosted or not ACCEPTING.isdisjoint(accepting),
        recorded=before.recorded or "specialmenu" in kinds,
        stage=_stage(place, kinds) if legs else before.stage,
        handled_by=_handled_by(legs, originator, place) if legs else before.handled_by,
        rang_app=next(
            (leg.dn for leg in legs if leg.kind == "routepoint" and leg.status == "Ringing"),
            before.rang_app,
        ),
        reached=reached,
        reached_number=number,
        lasting=lasting,
        unrung=unrung,
        aimed=before.aimed or any(leg.key == originator.dn and leg.external_party for leg in legs),
    )


def _since(
    legs: Sequence[DerivedLeg], before: CallPath, now: float
) -> Mapping[str, tuple[str, float]]:
    since: dict[str, tuple[str, float]] = {}
    for leg in legs:
        held = before.since.get(leg.key)
        since[leg.key] = held if held is not None and held[0] == leg.status else (leg.status, now)
    return since


def _presence(
    legs: Sequence[DerivedLeg], before: CallPath, now: float
) -> Mapping[str, tuple[float, float | None]]:
    """Return since when each leg is there.

    A leg that comes back within :data:`_LINGER` seconds counts as never gone: only its removal was
    read before its return.
    """
    kept = {
        key: held
        for key, held in before.presence.items()
        if held[1] is None or now - held[1] < _LINGER
    }
    present = {leg.key: (kept[leg.key][0] if leg.key in kept else now, None) for leg in legs}
    gone = {
        key: (since, now if left is None else left)
        for key, (since, left) in kept.items()
        if key not in present
    }
    return gone | present


def _stage(place: Place, kinds: set[topics.DnType]) -> Stage:
    return "queue" if place.queue else "ivr" if "ivr" in kinds else ""


def _handled_by(legs: Sequence[DerivedLeg], originator: Originator, place: Place) -> str:
    """Return the DN of the machine or the paging group that has the caller now.

    Empty if people are rung or talk. An outside caller in an IVR is still on the way to somebody,
    and so is one who is parked.
    """
    kinds = _ENDS_OUTSIDE if originator.external else MACHINES
    machines = [leg.dn for leg in legs if leg.kind in kinds and leg.status == "Connected"]
    machines += [place.paging] * bool(place.paging)
    others = any(
        leg.key != originator.dn and leg.kind in PEOPLE and not leg.listening for leg in legs
    )
    return machines[0] if machines and not others else ""


def _reached(
    legs: Sequence[DerivedLeg],
    originator: Originator,
    answer: CallAnswer,
    before: CallPath,
    *,
    fresh: bool,
) -> tuple[str, str]:
    """Return the DN that the call has reached, and the number behind it.

    ``fresh``: the call is answered at this moment.
    """
    others = [
        leg
        for leg in legs
        if leg.key != originator.dn and leg.kind in _TAKES and leg.status != "Dialing"
    ]
    taken = [leg for leg in others if leg.status != "Ringing"]
    if answer.at is None and others:
        leg = others[-1]
    elif taken and (fresh or not before.reached):
        leg = taken[0]
    elif fresh and answer.by_row and before.reached not in dict(answer.by_row):
        return answer.by_row[0] if len(answer.by_row) == 1 else ("", "")
    else:
        return before.reached, before.reached_number
    return leg.dn, leg.external_party if leg.kind == "externalline" else leg.dn


def call_owner(
    legs: Sequence[DerivedLeg], originator: Originator, path: CallPath
) -> DerivedLeg | None:
    """Return the originator's leg, else the oldest leg, else None."""
    for leg in legs:
        if leg.key == originator.dn:
            return leg
    return min(legs, key=lambda leg: (path.presence[leg.key][0], leg.key), default=None)


def call_outcome(
    originator: Originator,
    place: Place,
    answer: CallAnswer,
    path: CallPath,
    *,
    looking: bool,
    found: bool = False,
    transferred: bool = False,
) -> topics.Outcome:
    """Return how the call ended.

    ``looking``: whether an answer would have been seen until the end. If not, and if none was seen,
    the outcome is ``unknown``. ``found``: whether its beginning was not seen. ``transferred``:
    whether it went on in another call.
    """
    if answer.at is not None:
        return "abandoned" if path.stage == "queue" else "answered"
    if transferred:
        return "transferred"
    if not looking or answer.unseen:
        return "unknown"
    meant = originator.external or place.mailbox in ("", originator.dn)  # else for a person
    if path.handled_by and not path.reached and meant:
        return "handled"
    if path.stage:
        return "abandoned"
    if originator.external:
        return "missed"
    if not path.extensions and not path.lines:  # ActiveCalls listed it, but no leg of it was seen
        return "unknown"
    if path.lines:
        return "unanswered"
    if path.reached or path.recorded:
        return "missed"
    return "unknown" if found and not path.aimed else "unanswered"
