"""Say how what callmon holds of a call differs from its story, and whether that can be known.

A difference is *excused* by the name of a row of tests/truth/README.md if the PBX did not tell what
would be needed. Every other difference is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from monitor.shared.entities import topics
from monitor.shared.timestamps import moment
from tests.comparison.evidence import Evidence
from tests.truth.calls import Story, direction

Excuse: TypeAlias = Literal[
    "never told",
    "party not named",
    "acceptance between two reads",
    "answer between two reads",
    "answer without a time",
    "start before the first word",
    "end between two reads",
    "phone not monitored",
    "queue between two reads",
    "owner of the voicemail not told",
]
BETWEEN_READS: Final = 1.05
"""Seconds between two reads of ActiveCalls, at most."""
_EXACT: Final = 0.002
"""Seconds; instants have milliseconds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of one call. ``kind``: words without numbers, to count by."""

    call: int
    kind: str
    held: str
    true: str
    excuse: Excuse | None = None


def live(story: Story, held: topics.Call | None, evidence: Evidence) -> Iterator[Difference]:
    """The differences of a call in progress, just after a read of ActiveCalls."""
    if held is None:
        yield Difference(story.id, "call missing", "", story.state)
        return
    yield from _parties(story, held, evidence)
    if held.direction != story.lasting:
        as_told = direction(story.outside, story.beginner, evidence.told().values())
        excuse: Excuse | None = (
            "party not named" if held.direction in (as_told, evidence.lasting) else None
        )
        yield _other(story, "live direction", held.direction, story.lasting, excuse)
    if held.state != story.state:
        yield _other(story, "state", held.state, story.state)
    if held.queue != story.queue:
        party = story.parties.get(story.queue)
        named = (
            party is None
            or evidence.named_after(party.dn, party.since) is not None
            or not _was_in(story, held.queue)
        )
        kind = f"live queue {_there(held.queue)} instead of {_there(story.queue)}"
        excuse = None if named else "queue between two reads"
        yield Difference(story.id, kind, held.queue, story.queue, excuse)
    if held.continues != story.continues:
        kind = f"live {len(held.continues)} ids before instead of {len(story.continues)}"
        yield Difference(story.id, kind, str(held.continues), str(story.continues))
    yield from _times(story, held, evidence, "live ")


def between(story: Story, held: topics.Call | None, evidence: Evidence) -> Iterator[Difference]:
    """The differences of a call in progress just after an event.

    The last row may be old. But legs of monitored DNs are known, and nobody has left of whom
    nothing says so.
    """
    if held is None:
        yield Difference(story.id, "after an event: call missing", "", story.state)
        return
    mine = {leg.dn_num: leg.status for leg in held.legs}
    for dn, party in evidence.told().items():
        seen = dn in evidence.visible
        if dn not in mine:
            kind = f"after an event: party missing: {party.kind} {party.how}"
            yield Difference(story.id, kind, "", f"{dn} {party.how}")
        elif seen and mine[dn] != party.how:
            kind = f"after an event: {party.kind} {mine[dn]} instead of {party.how}"
            yield Difference(story.id, kind, f"{dn} {mine[dn]}", party.how)
    for leg in held.legs:
        if leg.dn_num in evidence.visible and leg.dn_num not in story.parties:
            kind = f"after an event: party held that is not there: {leg.dn_type} {leg.status}"
            yield Difference(story.id, kind, f"{leg.dn_num} {leg.status}", "")


def ended(
    story: Story, held: list[topics.EndedCall], evidence: Evidence | None
) -> Iterator[Difference]:
    """The differences of a call that is over."""
    if not held:
        excuse: Excuse | None = "never told" if evidence is None else None
        yield Difference(story.id, "ended call missing", "", story.outcome, excuse)
        return
    if len(held) > 1:
        yield Difference(story.id, "ended more than once", str(len(held)), "1")
    if evidence is not None:
        yield from _ended(story, held[-1], evidence)


def _parties(story: Story, held: topics.Call, evidence: Evidence) -> Iterator[Difference]:
    told = evidence.told()
    mine = {leg.dn_num: leg for leg in held.legs}
    if len(mine) != len(held.legs):
        yield Difference(story.id, "party twice", str(held.legs), "")
    rings = any(p.how == "Ringing" and p.kind == "extension" for p in story.parties.values())
    for dn in mine.keys() - story.parties.keys():
        if mine[dn].dn_type == "ringgroup" and rings:
            continue  # it stands for its members that ring, which the row does not name
        kind = f"party held that is not there: {mine[dn].dn_type} {mine[dn].status}"
        yield Difference(story.id, kind, f"{dn} {mine[dn].status}", "")
    for dn, party in story.parties.items():
        leg = mine.get(dn)
        if leg is None:
            excuse: Excuse | None = None if dn in told else "party not named"
            kind = f"party missing: {party.kind} {party.how}"
            yield Difference(story.id, kind, "", f"{dn} {party.how}", excuse)
        elif leg.status != party.how:
            excuse = None if dn in told else "party not named"
            if dn == story.beginner and party.how == "Connected" and not evidence.accepted:
                excuse = "acceptance between two reads"
            kind = f"status of {party.kind}: {leg.status} instead of {party.how}"
            yield Difference(story.id, kind, f"{dn} {leg.status}", f"{dn} {party.how}", excuse)


def _times(
    story: Story, held: topics.Call | topics.EndedCall, evidence: Evidence, prefix: str
) -> Iterator[Difference]:
    late = moment(held.started_at).timestamp() - story.started_at
    if abs(late) > _EXACT:
        first = story.started_at if evidence.first is None else evidence.first
        fits = not evidence.start_told and 0 <= late <= first - story.started_at + _EXACT
        excuse: Excuse | None = "start before the first word" if fits else None
        yield Difference(story.id, f"{prefix}startedAt {off(late)}", f"{late:+.3f} s", "", excuse)
    answered, told = story.answered_at, evidence.answer_told
    if answered is None:
        if held.answered_at is not None:
            yield Difference(story.id, f"{prefix}answeredAt without answer", held.answered_at, "")
    elif held.answered_at is None:
        excuse = None if told is not None else "answer between two reads"
        yield Difference(story.id, f"{prefix}answeredAt missing", "", str(answered), excuse)
    else:
        late = moment(held.answered_at).timestamp() - answered
        if abs(late) > _EXACT:
            fits = told is None or (
                not evidence.answer_heard and 0 <= late <= told - answered + _EXACT
            )
            excuse = "answer without a time" if fits else None
            yield Difference(
                story.id, f"{prefix}answeredAt {off(late)}", f"{late:+.3f} s", "", excuse
            )


def _ended(story: Story, held: topics.EndedCall, evidence: Evidence) -> Iterator[Difference]:
    yield from _times(story, held, evidence, "ended ")
    hidden = undecided(story, evidence)
    if held.direction != story.lasting:
        excuse: Excuse | None = "party not named" if held.direction == evidence.lasting else None
        yield _other(story, "ended direction", held.direction, story.lasting, excuse)
    late = moment(held.ended_at).timestamp() - (story.ended_at or 0.0)
    if abs(late) > _EXACT:
        heard = any(dn in evidence.visible and evidence.read(dn) for dn in story.parties)
        fits = not heard and 0 <= late <= BETWEEN_READS
        excuse = "end between two reads" if fits else None
        yield Difference(story.id, f"endedAt {off(late)}", f"{late:+.3f} s", "", excuse)
    if held.outcome != story.outcome:
        excuse = hidden
        yield _other(story, "outcome", held.outcome, story.outcome, excuse)
    if held.callee not in story.callees:
        excuse = hidden or _unnamed(story, evidence)
        kind = f"callee {_there(held.callee)} instead of {_there(min(story.callees))}"
        if story.outcome == "handled":
            kind = f"app's or machine's {kind}"
        elif not story.rang:
            kind = f"{kind} whose phone did not ring"
        yield Difference(story.id, kind, held.callee, " or ".join(story.callees), excuse)
    if held.queue != story.queue:
        known = evidence.names({story.queue} - {""}) or not _was_in(story, held.queue)
        excuse = hidden or (None if known else "queue between two reads")
        kind = f"ended queue {_there(held.queue)} instead of {_there(story.queue)}"
        yield Difference(story.id, kind, held.queue, story.queue, excuse)
    if held.caller != story.caller:
        excuse = None if evidence.names({story.beginner}) else "party not named"
        kind = f"caller {_there(held.caller)} instead of {_there(story.caller)}"
        yield Difference(story.id, kind, held.caller, story.caller, excuse)


def undecided(story: Story, evidence: Evidence) -> Excuse | None:
    """Why the outcome may be held otherwise: None if all that decides it was told."""
    if story.answered_at is not None:
        return None if evidence.answer_told is not None else "answer between two reads"
    if _whose_voicemail(story, evidence) and not story.outside:
        return "owner of the voicemail not told"
    deciding = {party.dn for party in story.parties.values()}
    return None if evidence.names(deciding) else "party not named"


def _unnamed(story: Story, evidence: Evidence) -> Excuse | None:
    """Why the callee may be held otherwise: None if everybody who rang last was told."""
    if evidence.mailbox in story.callees:
        return None
    if _whose_voicemail(story, evidence):
        return "owner of the voicemail not told"
    phones = {dn for dn in story.callees if not dn.startswith("+")} - {""}
    unread = any(dn in evidence.visible and not evidence.read(dn) for dn in phones)
    return None if evidence.names(phones) and not unread else "party not named"


def _whose_voicemail(story: Story, evidence: Evidence) -> bool:
    """Whether voicemail has a call that rang at nobody, and nothing told for whom."""
    place = story.place
    voicemail = place is not None and place.kind == "specialmenu"
    return voicemail and not story.rang and not evidence.mailbox


def late_queue(story: Story, evidence: Evidence, num: str = "") -> Excuse | None:
    """Why a wait's beginning may be held otherwise: None if every queue was told in time."""
    for visit in story.visits:
        if num in ("", visit.queue):
            after = evidence.named_after(visit.queue, visit.since)
            if after is None or after > BETWEEN_READS:
                return "queue between two reads"
    return None


def _other(
    story: Story, what: str, held: str, true: str, excuse: Excuse | None = None
) -> Difference:
    return Difference(story.id, f"{what} {held} instead of {true}", held, true, excuse)


def _was_in(story: Story, queue: str) -> bool:
    """Whether the call was in the queue at any time, or none is meant."""
    return queue == "" or any(visit.queue == queue for visit in story.visits)


def _there(text: str) -> str:
    return "one" if text else "none"


def off(seconds: float) -> str:
    return "too late or long" if seconds > 0 else "too early or short"
