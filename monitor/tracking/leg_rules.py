"""Find the legs of a call: those that Call Control lists, and those that can be inferred. Pure.

The rules stand at the head of :mod:`monitor.tracking.call_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from monitor.pbx.facts import ActiveCall, Participant
from monitor.shared.entities import topics
from monitor.tracking.directory_index import DirectoryIndex, dn_type
from monitor.tracking.party_text import PartyText

RANK = {"Connected": 3, "Ringing": 2, "Dialing": 1}
PEOPLE = frozenset({"extension", "externalline", "conference"})
"""Kinds of DN behind which a person talks: a call with two of them connected is answered."""
ROUTER = "ROUTER"
"""The PBX's own route point, through which it brings a call to the phone that rings next."""
_UNDER_WAY = frozenset({"Routing", "Transferring", "Rerouting"})
"""ActiveCalls' words for a call whose callee has not answered."""

_AGAIN = "/2"

Stage: TypeAlias = Literal["", "queue", "ivr"]


@dataclass(frozen=True, slots=True)
class DerivedLeg:
    """Represent a leg without the data that only the tracker knows (names, since)."""

    dn: str
    kind: topics.DnType
    external_party: str
    status: str
    participant: Participant | None = None
    again: bool = False
    """True for the second leg on one trunk: a call from outside that is led out on the trunk it
    came by."""
    withheld: bool = False
    """True if the other side's number is withheld; ``external_party`` is empty then."""

    @property
    def key(self) -> str:
        """Return the leg's key among the legs of its call.

        It is the DN: every DN but a trunk has one leg in a call. The second leg on a trunk has a
        suffix.
        """
        return f"{self.dn}{_AGAIN}" if self.again else self.dn


@dataclass(slots=True)
class CallRecord:
    """Hold everything that is known of one call.

    Times are POSIX seconds on the PBX's clock; ``heard`` and ``row_asked`` are monotonic.
    """

    id: int
    started_at: float
    heard: float = 0.0
    participants: dict[tuple[str, int], Participant] = field(default_factory=dict)
    row: ActiveCall | None = None
    row_asked: float = 0.0
    changed: tuple[float | None, str] | None = None
    """The row's LastChangeStatus, and the callee with which that time was first told."""
    originator: str = ""
    """DN that began the call: an extension or a trunk."""
    external: bool | None = None
    """True if the call came from outside; None while nothing tells."""
    caller_number: str = ""
    withheld: bool = False
    """True if the caller's number is withheld; ``caller_number`` is empty then."""
    caller_connected: bool = False
    """True once the caller is connected to a person or a machine; a phone that rings now does not
    undo it."""
    hosted: bool = False
    """True if a queue or a machine has accepted the caller at any time."""
    recorded: bool = False
    """True if voicemail has taken the call at any time."""
    handled_by: str = ""
    """DN of the machine that had the caller when the call had its last leg, and rang nobody else;
    empty if there was none."""
    mailbox: str = ""
    """Extension whose voicemail took the call, where the PBX tells it."""
    new: bool = True
    """True until the first observation."""
    answered_at: float | None = None
    answer_time_uncertain: bool = False
    """True if nobody saw the answer: the call was already answered when it was first observed, or
    when it was first read in a row."""
    answer_unseen: bool = False
    """True if the call may have been answered unseen. Either it was Talking or Transferring when
    first observed, with no queue, no machine and no known answer. Or a ringing leg changed and was
    gone before that was read."""
    queue: str = ""
    queued_at: float | None = None
    machine_dn: str = ""
    """The IVR, voicemail, parking … that the caller is connected to, where only the row tells."""
    queues: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    lines: set[str] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    reached: str = ""
    """DN that answered; before the answer, the DN that rang last."""
    reached_number: str = ""
    """The number behind ``reached``: an outside number for a trunk, else the DN itself."""
    watched: bool = True
    """True while the PBX has been watched without a break since the call was last seen alive."""
    left: float = 0.0
    """Time at which the last participant went."""
    last_queue: str = ""
    """The queue in which the call waited last."""
    first_queued_at: float | None = None
    """Time at which the call first came into a queue."""
    stage: Stage = ""
    """The place where the caller was last (a queue, an IVR), while the call had any leg."""
    lasting: topics.Direction | None = None
    """The final direction: the last one in which somebody had been reached, else the last one."""
    dialled: str = ""
    """The number that the caller dialled from outside, where the PBX tells it."""
    did: str = ""
    sides: tuple[DerivedLeg, ...] = ()
    since: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Key of a leg → its state, and the time since which it is in that state."""
    presence: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """Key of a leg → the time since which it exists, and the time since which it no longer does (or
    None)."""

    @property
    def fresh(self) -> bool:
        """Return whether the row was asked for after the last event of this call.

        If so, everything that the row says may be believed.
        """
        return self.row is not None and self.row_asked > self.heard

    @property
    def talking_since(self) -> float | None:
        """Return since when the caller is connected to the row's callee.

        None if the row does not tell it or is not fresh.
        """
        row = self.row
        if row is None or not self.fresh or row.status != "Talking":
            return None
        return (
            row.last_change_status if self.changed == (row.last_change_status, row.callee) else None
        )


def sides(
    call: CallRecord,
    directory_index: DirectoryIndex,
    visible: frozenset[str],
    caller: PartyText,
    callees: tuple[PartyText, ...],
) -> tuple[DerivedLeg, ...]:
    """Return all legs that the call has now and update ``call.caller_connected``.

    The originator's leg comes first, then the legs in the order of their numbers, then the inferred
    ones. ``visible``: DNs whose legs Call Control shows; a leg of theirs that it does not show does
    not exist.
    """
    told = people_connected(call, directory_index)
    routed_on = call.caller_connected and call.answered_at is None and not told
    seen = _visible_sides(call, directory_index)
    people = sum(1 for s in seen.values() if s.status == "Connected" and s.kind in PEOPLE)
    call.caller_connected = (
        call.caller_connected
        or people > 1
        or told
        or _originator_connected(call)
        or _referred(call)
    )
    found = dict(seen)
    rung = _rung_by_row(call, callees)
    for side in seen.values():
        other = _counterpart(call, directory_index, side, rung, routed_on=routed_on)
        if other is not None and other.dn not in seen:
            held = found.get(other.dn)
            if held is None or RANK.get(other.status, 0) > RANK.get(held.status, 0):
                found[other.dn] = other
    for side in _sides_of_row(call, directory_index, visible, caller, callees):
        found.setdefault(side.key, side)
    for dn in (call.queue, call.machine_dn):
        if dn and dn not in found:
            kept, withheld = _kept(call, found)
            found[dn] = DerivedLeg(
                dn, directory_index.kind(dn), kept, "Connected", withheld=withheld
            )
    return tuple(
        sorted(
            found.values(),
            key=lambda side: (side.key != call.originator, _leg_number(side), side.key),
        )
    )


def _kept(call: CallRecord, found: Mapping[str, DerivedLeg]) -> tuple[str, bool]:
    """Return the number of the party that a queue or a machine keeps, and whether it is withheld.

    It is the caller. If the caller has left, it is the person who is still connected.
    """
    if call.originator not in found:
        for side in found.values():
            if side.kind in PEOPLE and side.status == "Connected":
                outside = side.kind == "externalline"
                return (side.external_party if outside else side.dn), side.withheld and outside
    return call.caller_number, call.withheld


def people_connected(call: CallRecord, directory_index: DirectoryIndex) -> bool:
    """Return whether a participant is connected to a person, not to a queue or a machine.

    The callee's own leg tells it. The originator's leg tells it too, with two exceptions. The
    first: the phone that it names is seen to ring. The second: a queue or a machine has accepted
    the caller, as such a caller is connected while the next phone rings.
    """
    ringing = {p.dn for p in call.participants.values() if p.status == "Ringing"}
    for p in call.participants.values():
        if p.status != "Connected" or directory_index.kind(p.dn) not in PEOPLE:
            continue
        if p.dn != call.originator:
            if not p.party_dn or party_kind(p, directory_index) in PEOPLE:
                return True
        elif party_kind(p, directory_index) in PEOPLE and (
            _talks(call, p.party_dn, p)
            or (
                p.party_dn not in ringing
                and (not call.caller_connected or call.answered_at is not None)
            )
        ):
            return True
    return False


def _talks(call: CallRecord, dn: str, asking: Participant) -> bool:
    """Return whether another leg than the asking one shows that this DN is connected."""
    return any(
        p.dn == dn and p.status == "Connected" and p is not asking
        for p in call.participants.values()
    )


def party_kind(p: Participant, directory_index: DirectoryIndex) -> topics.DnType:
    """Return the kind of the participant's other side.

    It is Call Control's word, else the directory's.
    """
    kind = dn_type(p.party_dn_type)
    return kind if kind != "unknown" else directory_index.kind(p.party_dn)


def _visible_sides(call: CallRecord, directory_index: DirectoryIndex) -> dict[str, DerivedLeg]:
    """Return one leg for each DN, by its key.

    Of several devices the one furthest on counts, then the oldest. On a trunk, each leg counts by
    itself.
    """
    sides: dict[str, DerivedLeg] = {}
    for p in sorted(call.participants.values(), key=lambda p: (-RANK.get(p.status, 0), p.id)):
        kind = directory_index.kind(p.dn)
        first = kind != "externalline" or p.id == min(
            q.id for q in call.participants.values() if q.dn == p.dn
        )
        mailbox = kind == "extension" and party_kind(p, directory_index) == "specialmenu"
        # There the number is that of the mailbox's owner.
        number = p.party_dn if mailbox else p.party_caller_id
        side = DerivedLeg(p.dn, kind, number, p.status, p, again=not first, withheld=p.withheld)
        sides.setdefault(side.key, side)
    return sides


def _originator_connected(call: CallRecord) -> bool:
    return any(
        p.dn == call.originator and p.status == "Connected" for p in call.participants.values()
    )


def _referred(call: CallRecord) -> bool:
    """Return whether a phone rings because of a transfer.

    If so, somebody has already talked to the party that is transferred.
    """
    return any(p.referred_by_dn and p.status == "Ringing" for p in call.participants.values())


def _rung_by_row(call: CallRecord, callees: tuple[PartyText, ...]) -> frozenset[str]:
    """Return the DNs to which the call is being brought according to the row.

    They ring, even if the leg that waits for them shows something else.
    """
    brought = call.fresh and call.row is not None and call.row.status in _UNDER_WAY
    return frozenset(party.dn for party in callees) if brought else frozenset()


def _counterpart(
    call: CallRecord,
    directory_index: DirectoryIndex,
    side: DerivedLeg,
    rung: frozenset[str],
    *,
    routed_on: bool,
) -> DerivedLeg | None:
    """Return the other side of a visible leg, as that leg implies it; None if it implies none.

    ``rung``: DNs that ring according to the row. ``routed_on``: a queue or a machine has accepted
    the caller and nobody has answered. Then the person whom the originator's connected leg names is
    still being rung, unless the row says that they talk.
    """
    p = side.participant
    if p is None or not p.party_dn or p.party_dn in (p.dn, ROUTER):
        return None
    kind = party_kind(p, directory_index)
    if kind == "ringgroup":
        return None  # it has no leg of its own: its members ring
    talking = call.fresh and call.row is not None and call.row.status == "Talking"
    routed = (
        routed_on
        and p.dn == call.originator
        and p.status == "Connected"
        and kind in PEOPLE
        and not talking
    )
    if routed or p.status == "Dialing" or (kind == "extension" and p.party_dn in rung):
        status = "Ringing"
    else:  # Hold and the like are further on than Connected
        status = "Dialing" if p.status == "Ringing" and not call.caller_connected else "Connected"
    if kind == "externalline":
        external = p.party_caller_id
    elif kind in ("extension", "unknown"):
        waits = call.queue and p.status == "Ringing" and p.party_dn == call.originator
        external = call.queue if waits else p.dn
    else:
        external = call.caller_number
    withheld = p.withheld if kind == "externalline" else call.withheld
    return DerivedLeg(p.party_dn, kind, external, status, withheld=withheld and not external)


def _sides_of_row(
    call: CallRecord,
    directory_index: DirectoryIndex,
    visible: frozenset[str],
    caller: PartyText,
    callees: tuple[PartyText, ...],
) -> Iterable[DerivedLeg]:
    row = call.row
    if row is None:
        return
    settled = (
        "Connected"
        if row.status in ("Talking", "Transferring") or call.caller_connected
        else "Dialing"
    )
    recalled = call.caller_connected and any(
        p.dn == caller.dn and p.status == "Ringing" for p in call.participants.values()
    )
    kind = directory_index.kind(caller.dn)
    if kind == "externalline" or (caller.dn and caller.dn not in visible and call.fresh):
        other = call.queue or (callees[0].number if callees else "")
        outside = kind == "externalline"
        yield DerivedLeg(
            caller.dn,
            kind,
            caller.number if outside else other,
            settled,
            withheld=outside and caller.withheld,
        )
    if not call.fresh:
        return
    for party in callees:
        kind = directory_index.kind(party.dn)
        if kind in ("externalline", "conference") or (
            kind == "extension" and party.dn not in visible
        ):
            status = "Connected" if row.status == "Talking" or recalled else "Ringing"
            other = caller.number or call.caller_number  # the originator may have left the call
            again = kind == "externalline" and party.dn == caller.dn
            if not again or party.number != caller.number:
                yield DerivedLeg(
                    party.dn,
                    kind,
                    party.number if kind == "externalline" else other,
                    status,
                    again=again,
                )


def _leg_number(side: DerivedLeg) -> int:
    return side.participant.leg_id or 0 if side.participant else 1_000_000
