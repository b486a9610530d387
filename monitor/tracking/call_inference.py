"""Infer one call from what the PBX said of it: the pipeline, and the value that it yields. Pure.

Each stage is a function from values to a value. It takes what the stages before it found, and what
it found itself the last time. The stages in their order, each with its rules at the head of its
module:

1. :mod:`~monitor.tracking.call_evidence`: read participants and row in the directory's terms.
2. :mod:`~monitor.tracking.originator_rules`: who began the call, and the number that was dialled.
3. :mod:`~monitor.tracking.place_rules`: the queue or the machine that has the caller.
4. :mod:`~monitor.tracking.leg_rules`: the legs, those that are listed and those that follow, and
   which of them only listen.
5. :mod:`~monitor.tracking.path_rules`: answer, state and direction, then the path, which is whom
   the call reached, and the outcome.

:mod:`~monitor.tracking.entity_builder` makes entities of the result. A call that the documented
interface tells has a shorter pipeline (:mod:`~monitor.tracking.webapi_call_rules`) to the same
value. What an earlier monitor stored becomes a value too, the ``previous`` of the first inference
(:mod:`~monitor.tracking.call_recovery`); so does the story of a call that goes on under another id
(:mod:`~monitor.tracking.call_transfers`).

*Times.* startedAt is the earliest time that anything says of the call: the first event, or the
row's. ``now`` is the time of the fact that the inference follows from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from monitor.shared.entities import topics
from monitor.tracking.call_evidence import CallEvidence, RowParties, read_evidence
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import DerivedLeg, find_legs, mark_listeners
from monitor.tracking.originator_rules import Originator, find_originator
from monitor.tracking.path_rules import (
    CallAnswer,
    CallPath,
    call_direction,
    call_state,
    find_answer,
    find_unrung,
    follow_path,
    lasting_direction,
    of_originator,
    without_page,
    without_queue,
)
from monitor.tracking.place_rules import Place, find_place, was_withdrawn


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
    answered = before.answer.at is not None
    said = read_evidence(evidence, before.parties, directory_index)
    if before.continues:
        said = replace(said, order=None)
    started_at = min(evidence.started_at, before.started_at)
    originator = find_originator(said, before.originator, directory_index, now - started_at)
    place = find_place(
        said,
        originator,
        before.place,
        directory_index,
        now,
        hosted=before.path.hosted,
        answered=answered,
        visible=visible,
        since=before.path.since,
    )
    if was_withdrawn(before.place, place):
        before = replace(before, path=without_queue(before.path, place))
    legs = find_legs(said, originator, place, directory_index, visible, before.path.since)
    unrung = find_unrung(legs, originator, before.path)
    legs = mark_listeners(
        legs, said, place, unrung, before.path.since, visible, now, before=before.legs
    )
    held, path = before.answer, of_originator(before.path, before.originator, originator)
    if place.paging:
        held, path = without_page(held, path, legs)
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
