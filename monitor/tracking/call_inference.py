"""Infer one call from what the PBX said of it: the pipeline, and the value that it yields. Pure.

Each stage is a function from values to a value. It takes what the stages before it found, and what
it found itself the last time. The stages in their order, each with its rules at the head of its
module:

1. :mod:`~monitor.tracking.call_evidence`: read participants and row in the directory's terms.
2. :mod:`~monitor.tracking.caller_rules`: who began the call, and the number that was dialled;
3. then the queue or the machine that has the caller. For a queue that nothing has named yet:
   :mod:`~monitor.tracking.concluded_queues`.
4. :mod:`~monitor.tracking.leg_rules`: the legs, those that are listed and those that follow. If one
   came without ringing: :mod:`~monitor.tracking.listener_rules`, which of them only listen.
5. This module: answer, state and direction, then the path, which is whom the call reached.

:mod:`~monitor.tracking.entity_builder` makes entities of the result, and says how a call ended. A
call that the documented interface tells has a shorter pipeline
(:mod:`~monitor.tracking.webapi_call_rules`) to the same value. What an earlier monitor stored
becomes a value too, the ``previous`` of the first inference
(:mod:`~monitor.tracking.call_recovery`); so does the story of a call that goes on under another id
(:mod:`~monitor.tracking.call_transfers`).

*Times.* startedAt is the earliest time that anything says of the call: the first event, or the
row's. ``now`` is the time of the fact that the inference follows from.

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
    CallEvidence,
    CallReading,
    RowParties,
    read_evidence,
)
from monitor.tracking.caller_rules import Originator, Place, find_originator, find_place
from monitor.tracking.concluded_queues import conclude_queue, is_refuted, without_concluded
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import DerivedLeg, find_legs, presence_of, states_since
from monitor.tracking.listener_rules import mark_listeners

_REACHED: Final = frozenset(
    {"extension", "ringgroup", "specialmenu", "conference", "fax", "parking", "routepoint"}
)
_TAKES: Final = PEOPLE | {"ringgroup"}
"""Kinds of DN that ring. A ring group has a leg where the legs of its members are not known."""
_ENDS_OUTSIDE: Final = frozenset({"fax", "routepoint"})
"""Machines that a call from outside is meant for."""
_FROM_OUTSIDE: Final = frozenset({"FromExternal", "Inbound", "External"})
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


@dataclass(frozen=True, slots=True)
class CallInference:
    """Hold everything that was concluded of one call at one moment."""

    id: int
    started_at: float
    """POSIX seconds on the PBX's clock."""
    originator: Originator = field(default_factory=Originator)
    place: Place = field(default_factory=Place)
    legs: tuple[DerivedLeg, ...] = ()
    answer: CallAnswer = field(default_factory=CallAnswer)
    path: CallPath = field(default_factory=CallPath)
    state: topics.CallState = "Unknown"
    direction: topics.Direction = "FromInternal"
    parties: RowParties | None = None
    """The row's parties, kept for the next inference."""
    continues: tuple[int, ...] = ()
    """Ids of the calls whose story goes on in this one, the oldest first."""

    def may_have_rung(self, dn: str) -> bool:
        """Return whether the call reached this DN, or whether the row names it as callee."""
        callees = self.parties.callees if self.parties is not None else ()
        return self.path.reached == dn or any(party.dn == dn for party, _ in callees)


def infer(
    evidence: CallEvidence,
    previous: CallInference | None,
    directory_index: DirectoryIndex,
    visible: frozenset[str],
    now: float,
) -> CallInference:
    """Return what follows from the evidence.

    ``previous``: the inference before, or None. ``visible``: the DNs whose legs Call Control shows.
    ``now``: POSIX seconds on the PBX's clock.
    """
    new = previous is None
    before = previous or CallInference(evidence.id, evidence.started_at)
    said = read_evidence(evidence, before.parties, directory_index)
    if before.continues:
        said = replace(said, order=None)
    started_at = min(evidence.started_at, before.started_at)
    originator = find_originator(said, before.originator, directory_index, now - started_at)
    place, path = _find_place(said, originator, before, directory_index, visible, now)
    legs = find_legs(said, originator, place, directory_index, visible, path.since)
    unrung = _find_unrung(legs, originator, path)
    if unrung:
        legs = mark_listeners(
            legs, said, place, unrung, path.since, visible, now, before=before.legs
        )
    held, path = before.answer, _of_originator(path, before.originator, originator)
    if place.paging:
        held, path = _without_page(held, path, legs)
    answer = find_answer(said, originator, place, legs, None if new else held, now)
    direction = call_direction(originator, legs, paging=place.paging != "")
    lasting = path.lasting
    if legs:
        lasting = direction = lasting_direction(lasting, direction)
    path = follow_path(
        legs,
        originator,
        place,
        answer,
        path,
        now,
        answered_now=held.at is None and answer.at is not None,
        lasting=lasting,
        unrung=unrung,
    )
    return CallInference(
        id=evidence.id,
        started_at=started_at,
        originator=originator,
        place=place,
        legs=legs,
        answer=answer,
        path=path,
        state=call_state(said, legs),
        direction=lasting or direction,
        parties=said.parties,
        continues=before.continues,
    )


def _find_place(
    said: CallReading,
    originator: Originator,
    call: CallInference,
    directory_index: DirectoryIndex,
    visible: frozenset[str],
    now: float,
) -> tuple[Place, CallPath]:
    """Return where the caller is now, and the path until now as it follows from that."""
    before, path, answered = call.place, call.path, call.answer.at is not None
    if before.concluded and is_refuted(said, originator, before, directory_index):
        before = without_concluded(before)
        path = replace(path, hosted=before.hosted, stage="")
    place = find_place(
        said,
        originator,
        before,
        directory_index,
        now,
        hosted=path.hosted,
        answered=answered,
        visible=visible,
    )
    if said.ringing and not (answered or place.queues or place.groups or place.machine_dn):
        place = conclude_queue(place, said, originator, directory_index, path.since, now)
    return place, path


def _find_unrung(
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


def _of_originator(path: CallPath, before: Originator, originator: Originator) -> CallPath:
    """Return the path until now, without what followed from another originator, or from none."""
    if before.dn not in ("", originator.dn):
        return replace(path, reached="", reached_number="", lasting=None)
    if not before.dn and path.reached == originator.dn:
        return replace(path, reached="", reached_number="")
    return path


def _without_page(
    answer: CallAnswer, path: CallPath, legs: Sequence[DerivedLeg]
) -> tuple[CallAnswer, CallPath]:
    """Return answer and path until now, without what a phone that plays a page was taken for."""
    if not any(leg.listening and leg.dn == path.reached for leg in legs):
        return answer, path
    return CallAnswer(), replace(path, reached="", reached_number="")


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
            at, uncertain = _row_changed(said, now), False
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


def _row_changed(said: CallReading, now: float) -> float:
    """Return when the row changed, as far as it tells; now at the latest."""
    return now if said.changed_at is None else min(said.changed_at, now)


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
    reached = paging or any(_is_reached(leg, originator) for leg in legs)
    if external:
        return "Inbound" if reached else "External" if lines > 1 else "FromExternal"
    if lines:
        return "Outbound"
    return "Internal" if reached else "FromInternal"


def _is_reached(leg: DerivedLeg, originator: Originator) -> bool:
    if leg.kind == "ivr":
        return originator.external is False
    return leg.kind in _REACHED and bool(originator.external or leg.dn != originator.dn)


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
    the inference returned it.
    """
    takers, fresh = _takers(legs, originator, place), answered_now or answer.at == now
    reached, number = _reached(takers, answer, before, fresh=fresh)
    return CallPath(
        since=states_since(legs, before.since, now),
        presence=presence_of(legs, before.presence, now),
        lines=before.lines | _of_kind(legs, "externalline"),
        extensions=before.extensions | _of_kind(legs, "extension"),
        hosted=before.hosted or place.hosted or _has_accepted(legs),
        recorded=before.recorded or bool(_of_kind(legs, "specialmenu")),
        stage=_stage(place, legs) if legs else before.stage,
        handled_by=_handled_by(legs, originator, place) if legs else before.handled_by,
        rang_app=_ringing_app(legs) or before.rang_app,
        reached=reached,
        reached_number=number,
        lasting=lasting,
        unrung=unrung,
    )


def _of_kind(legs: Sequence[DerivedLeg], kind: topics.DnType) -> frozenset[str]:
    return frozenset(leg.dn for leg in legs if leg.kind == kind)


def _ringing_app(legs: Sequence[DerivedLeg]) -> str:
    """Return the program's route point that rings; empty if none does."""
    ringing = (leg.dn for leg in legs if leg.kind == "routepoint" and leg.status == "Ringing")
    return next(ringing, "")


def _has_accepted(legs: Sequence[DerivedLeg]) -> bool:
    """Return whether a queue or a machine has accepted the caller."""
    return any(leg.kind in ACCEPTING and leg.status != "Ringing" for leg in legs)


def _stage(place: Place, legs: Sequence[DerivedLeg]) -> Stage:
    return "queue" if place.queue else "ivr" if _of_kind(legs, "ivr") else ""


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


def _takers(legs: Sequence[DerivedLeg], originator: Originator, place: Place) -> list[DerivedLeg]:
    """Return the legs of those who may take the call or have taken it."""
    return [
        leg
        for leg in legs
        if leg.kind in _TAKES
        and leg.key != originator.dn
        and leg.status != "Dialing"
        and leg.dn != place.paging
        and not leg.listening
    ]


def _reached(
    takers: Sequence[DerivedLeg], answer: CallAnswer, before: CallPath, *, fresh: bool
) -> tuple[str, str]:
    """Return the DN that the call has reached, and the number behind it.

    ``fresh``: the call is answered at this moment.
    """
    taken = [leg for leg in takers if leg.status != "Ringing"]
    if answer.at is None and takers:
        leg = takers[-1]
    elif taken and (fresh or not before.reached):
        leg = taken[0]
    elif fresh and answer.by_row and before.reached not in dict(answer.by_row):
        return answer.by_row[0] if len(answer.by_row) == 1 else ("", "")
    else:
        return before.reached, before.reached_number
    return leg.dn, leg.number
