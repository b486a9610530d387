"""Hold what the PBX said of one call, and read it in the directory's terms: stage 1. Pure.

Call Control lists the legs ("participants") of the DNs that the API client may monitor, with the
other side of each leg. ActiveCalls lists every call with a state word and its two parties as text.
Neither is complete. The evidence holds both as they were said, and when. The rules of reading are:

*Kinds.* The directory says what a number is. Of a participant's other side, Call Control says it;
the directory is asked only if that word is not known.

*Devices.* Several devices of one DN are one leg, in the state of the device that is furthest on; of
devices in the same state the oldest counts. On a trunk each leg counts by itself: a call from
outside may be led out on the trunk that it came by.

*Freshness.* A row that was asked for after the call's last event may be believed in all that it
says. An older row may describe what is over.

*State words.* ActiveCalls has six. Other words for Talking count where no participant tells more.

*LastChangeStatus.* That time belongs to the callee with which it was first told: when a call goes
from a queue to a person, the word may stay Talking, and so does the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from monitor.pbx.facts import ActiveCall, CallOrdered, Participant
from monitor.shared.entities import topics
from monitor.tracking.directory_index import DirectoryIndex, dn_type
from monitor.tracking.party_text import NOBODY, PartyText, parse, parse_several

RANK: Final = {"Connected": 3, "Ringing": 2, "Dialing": 1}
PEOPLE: Final = frozenset({"extension", "externalline", "conference"})
"""Kinds of DN behind which a person talks: a call with two of them connected is answered."""
MACHINES: Final = frozenset({"ivr", "specialmenu", "parking", "fax", "routepoint"})
ACCEPTING: Final = MACHINES | {"queue"}
"""Kinds of DN that accept a caller before a person does."""
_SAME_WORDS: Final = {
    "talking": "Talking",
    "connected": "Talking",
    "established": "Talking",
    "answered": "Talking",
}
PAST_RINGING: Final = frozenset({"Talking", "Transferring"})
"""ActiveCalls' words for a call that somebody or something has accepted."""
ROUTER: Final = "ROUTER"
"""The PBX's own route point, through which it brings a call to the phone that rings next."""


@dataclass(slots=True)
class CallEvidence:
    """Hold what the PBX said of one call. Only the registry writes it.

    Times are POSIX seconds on the PBX's clock; ``heard`` and ``row_asked`` are monotonic.
    """

    id: int
    started_at: float
    """The earliest time that anything said of the call tells: the first event, or the row's."""
    heard: float = 0.0
    """Time of the call's last event."""
    told_at: float = 0.0
    """The latest time at which anything told of the call."""
    participants: dict[tuple[str, int], Participant] = field(default_factory=dict)
    row: ActiveCall | None = None
    first_row: ActiveCall | None = None
    row_asked: float = 0.0
    changed: tuple[float | None, str] | None = None
    """The row's LastChangeStatus, and the callee with which that time was first told."""
    watched: bool = True
    """True while the PBX has been watched without a break since the call was last seen alive."""
    left: float = 0.0
    """Time at which the last participant went."""
    order: CallOrdered | None = None
    """The order that this monitor gave for the call."""
    found: bool = False
    """True if a full read found the call: nobody saw its beginning."""
    answer_missed: bool = False
    """True if a leg that may have been answered changed and was gone before it could be read."""

    @property
    def fresh(self) -> bool:
        """Return whether the row was asked for after the last event of this call.

        If so, everything that the row says may be believed.
        """
        return self.row is not None and self.row_asked > self.heard

    @property
    def word(self) -> str:
        """Return the row's state word; empty if there is no row."""
        if self.row is None:
            return ""
        word = self.row.status
        return word if self.participants else _SAME_WORDS.get(word.strip().lower(), word)

    @property
    def talking_since(self) -> float | None:
        """Return since when the caller is connected to the row's callee.

        None if the row does not tell it or is not fresh.
        """
        row = self.row
        if row is None or not self.fresh or self.word != "Talking":
            return None
        return (
            row.last_change_status if self.changed == (row.last_change_status, row.callee) else None
        )


@dataclass(frozen=True, slots=True)
class RowParties:
    """Hold the parties of a row, parsed once for as long as the directory knows the same DNs."""

    texts: tuple[str, str] | None
    """The row's caller and callee; None if there is no row."""
    revision: int
    """The directory's revision by which they were parsed."""
    caller: PartyText = NOBODY
    caller_kind: topics.DnType = "unknown"
    callees: tuple[tuple[PartyText, topics.DnType], ...] = ()


@dataclass(frozen=True, slots=True)
class ListedLeg:
    """Represent a participant with the kinds of its DN, its other side and its queue or group."""

    participant: Participant
    kind: topics.DnType
    party_kind: topics.DnType
    behalf_kind: topics.DnType


@dataclass(frozen=True, slots=True)
class CallReading:
    """Hold all that is said of a call now, in the directory's terms."""

    listed: tuple[ListedLeg, ...]
    """One for each participant."""
    legs: tuple[tuple[ListedLeg, bool], ...]
    """One for each leg, the one furthest on first, and True for the second leg on one trunk."""
    parties: RowParties
    word: str
    """The row's state word; empty if there is no row."""
    fresh: bool
    changed_at: float | None
    """The row's LastChangeStatus, POSIX seconds."""
    talking_since: float | None
    ringing: frozenset[str]
    """DNs that ring."""
    order: CallOrdered | None
    """The order that this monitor gave for the call."""
    connected: Mapping[str, int]
    """DN → how many of its participants are connected; DNs without one are left out."""

    @property
    def fresh_word(self) -> str:
        """Return the row's state word if the row is fresh, else an empty text."""
        return self.word if self.fresh else ""


def read_evidence(
    evidence: CallEvidence, parties: RowParties | None, directory_index: DirectoryIndex
) -> CallReading:
    """Return all that is said of the call now.

    ``parties``: those of the reading before; they are parsed again only if the texts differ.
    """
    kind = directory_index.kind
    listed = tuple(
        [
            ListedLeg(p, kind(p.dn), _party_kind(p, directory_index), kind(p.on_behalf_of_dn))
            for p in evidence.participants.values()
        ]
    )
    ringing: list[str] = []
    connected: dict[str, int] = {}
    for leg in listed:
        p = leg.participant
        if p.status == "Ringing":
            ringing.append(p.dn)
        elif p.status == "Connected":
            connected[p.dn] = connected.get(p.dn, 0) + 1
    row = evidence.row
    return CallReading(
        listed=listed,
        legs=tuple(_legs(listed)),
        parties=_parties(row, parties, directory_index),
        word=evidence.word,
        fresh=evidence.fresh,
        changed_at=row.last_change_status if row is not None else None,
        talking_since=evidence.talking_since,
        ringing=frozenset(ringing),
        order=evidence.order,
        connected=connected,
    )


def _party_kind(p: Participant, directory_index: DirectoryIndex) -> topics.DnType:
    kind = dn_type(p.party_dn_type)
    return kind if kind != "unknown" else directory_index.kind(p.party_dn)


def _legs(listed: tuple[ListedLeg, ...]) -> Iterable[tuple[ListedLeg, bool]]:
    """Return one device for each DN, and for a trunk its first leg and one of the others."""
    first: dict[str, int] = {}
    for leg in listed:
        if leg.kind == "externalline":
            dn, id_ = leg.participant.dn, leg.participant.id
            first[dn] = min(first.get(dn, id_), id_)
    chosen: dict[tuple[str, bool], tuple[ListedLeg, bool]] = {}
    for leg in sorted(listed, key=_furthest_first) if len(listed) > 1 else listed:
        p = leg.participant
        again = first.get(p.dn, p.id) != p.id
        chosen.setdefault((p.dn, again), (leg, again))
    return chosen.values()


def _furthest_first(leg: ListedLeg) -> tuple[int, int]:
    return -RANK.get(leg.participant.status, 0), leg.participant.id


def _parties(
    row: ActiveCall | None, before: RowParties | None, directory_index: DirectoryIndex
) -> RowParties:
    texts = None if row is None else (row.caller, row.callee)
    revision = directory_index.revision
    if before is not None and before.revision == revision and before.texts == texts:
        return before
    if row is None:
        return RowParties(texts, revision)
    caller = parse(row.caller, directory_index)
    return RowParties(
        texts,
        revision,
        caller,
        directory_index.kind(caller.dn),
        tuple(
            (party, directory_index.kind(party.dn))
            for party in parse_several(row.callee, directory_index)
        ),
    )
