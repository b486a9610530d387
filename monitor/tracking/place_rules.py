"""Find out where the caller is, in a queue or at a machine: stage 3 of a call's inference. Pure.

*Waiting.* A caller waits in a queue from the first sign of it. (A queue that calls back is no
caller.) The wait ends when somebody answers, or when the row names somebody who is not an agent of
the queue. These are signs: a row whose callee is a queue, even if the row is older than the first
agent's ringing; a participant connected to a queue; a leg that rings on behalf of one.

*Concluded.* Agents may ring before anything names the queue: the caller came in between two reads,
and the row names the phone that rings. Then the queue is concluded from who rings, if nothing else
explains it (:meth:`~monitor.tracking.directory_index.DirectoryIndex.only_queue`). That needs a call
from outside of which nothing else was told, and phones that began to ring together. Such a queue is
likely, not told. It stands until the PBX says otherwise while these phones still ring: the row
names another place, or a phone rings too that is not an agent. Then it is as if it had never been
concluded. A single phone of an agent is not a sign by itself: it may be called directly.

*Machines.* Where only the row tells of an IVR, a voicemail, a parking place …, the caller is
connected to it until an extension rings or talks, or an event tells of the call while Call Control
shows the machine's legs and lists none. A program's route point may ring: the caller is connected
to it only if the row says Talking or Transferring.

*Accepted.* A caller who was accepted by a queue, a machine or a person stays connected while the
next phone rings. A fresh row that says Talking or Transferring shows it, and an older one does so
if its callee is a queue or a machine: an event since then does not undo that.

*People connected.* A participant is connected to a person, not to a queue or a machine. The
callee's own leg tells it. The originator's leg tells it too, with two exceptions. The first: the
phone that it names is seen to ring. The second: the caller was accepted before and nobody has
answered, as such a caller is connected while the next phone rings. So is one whose own phone was
rung first for an ordered call and picked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from monitor.shared.entities import topics
from monitor.tracking.call_evidence import (
    ACCEPTING,
    MACHINES,
    PAST_RINGING,
    PEOPLE,
    CallReading,
    ListedLeg,
)
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.originator_rules import Originator

_TOGETHER: Final = 0.5
"""Seconds within which phones that are rung at once begin to ring."""
_NO_LEGS: Final[Mapping[str, tuple[str, float]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where the caller is and was. Times are POSIX seconds."""

    queue: str = ""
    """The queue in which the caller waits."""
    queued_at: float | None = None
    last_queue: str = ""
    """The queue in which the call waited last."""
    first_queued_at: float | None = None
    """Time at which the call first came into a queue."""
    concluded: str = ""
    """The queue that was concluded from who rings; empty if none was, or once the PBX named it."""
    queues: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    machine_dn: str = ""
    """The IVR, voicemail, parking … that the caller is connected to, where only the row tells."""
    paging: str = ""
    """The ring group whose phones play what the caller says, if the call went to one."""
    mailbox: str = ""
    """Extension whose voicemail took the call, where the PBX tells it."""
    diverted_at: float | None = None
    """Time at which the caller left ``last_queue`` for a machine or for somebody who is no agent of
    it, and nobody there had answered; None if that is not so."""
    hosted: bool = False
    """True if the row named a queue or a machine that had accepted the caller, at any time."""
    routed_on: bool = False
    """True if the caller was accepted before and the next person is being rung."""
    caller_connected: bool = False
    """True once the caller is connected to a person or a machine; a phone that rings now does not
    undo it."""


def find_place(
    said: CallReading,
    originator: Originator,
    before: Place,
    directory_index: DirectoryIndex,
    now: float,
    *,
    hosted: bool,
    answered: bool,
    visible: frozenset[str] = frozenset(),
    since: Mapping[str, tuple[str, float]] = _NO_LEGS,
) -> Place:
    """Return where the caller is now.

    ``hosted``: a queue or a machine has had the caller before. ``answered``: a person has.
    ``visible``: DNs whose legs Call Control shows. ``since``: key of a leg → its state, and since
    when it is in that state.
    """
    if _is_refuted(said, originator, before, directory_index):
        before, hosted = _without_concluded(before), before.hosted
    known = _PlaceInput(said, originator, before, directory_index, answered, visible)
    place = _told_place(known, now, hosted=hosted)
    if answered or place.queues or place.groups or place.machine_dn:
        return place
    queue = _concluded_queue(said, originator, directory_index, since, now)
    if not queue:
        return place
    return replace(
        place,
        queue=queue,
        queued_at=now,
        last_queue=queue,
        first_queued_at=now,
        concluded=queue,
        queues=frozenset({queue}),
        routed_on=True,
        caller_connected=True,
    )


@dataclass(frozen=True, slots=True)
class _PlaceInput:
    """Hold what the place follows from: what is said now, and what was found before."""

    said: CallReading
    originator: Originator
    before: Place
    directory_index: DirectoryIndex
    answered: bool
    visible: frozenset[str]

    @property
    def kinds(self) -> Mapping[str, topics.DnType]:
        """Return the row's callees and what they are."""
        return {party.dn: kind for party, kind in self.said.parties.callees if party.dn}

    @property
    def past_ringing(self) -> bool:
        """Return whether somebody or something has accepted the caller, by the row's word."""
        return self.said.word in PAST_RINGING

    def agents(self, queue: str) -> frozenset[str]:
        """Return the agents of a queue; none if it is not known."""
        return self.directory_index.agents.get(queue, frozenset())


def was_withdrawn(before: Place, place: Place) -> bool:
    """Return whether a queue that had been concluded turned out to be none of the call's."""
    return before.concluded != "" and before.concluded not in place.queues


def _is_refuted(
    said: CallReading, originator: Originator, before: Place, directory_index: DirectoryIndex
) -> bool:
    """Return whether the PBX says that the phones ring for something else than was concluded."""
    queue = before.concluded
    if not queue or queue != before.queue:
        return False
    agents = directory_index.agents.get(queue, frozenset())
    rung = said.ringing - {originator.dn}
    if agents.isdisjoint(rung):
        return False
    named = {dn for dn in _fresh_callees(said) if dn != queue}
    behalf = {leg.participant.on_behalf_of_dn for leg in said.listed} - {"", queue}
    return bool(behalf) or not rung <= agents or not named <= agents


def _without_concluded(before: Place) -> Place:
    """Return the place as it was known before a queue was concluded."""
    return replace(
        before,
        queue="",
        queued_at=None,
        last_queue="",
        first_queued_at=None,
        concluded="",
        queues=before.queues - {before.concluded},
        routed_on=before.hosted,
        caller_connected=before.hosted,
    )


def _concluded_queue(
    said: CallReading,
    originator: Originator,
    directory_index: DirectoryIndex,
    since: Mapping[str, tuple[str, float]],
    now: float,
) -> str:
    """Return the queue for which phones must be ringing; empty if something else may explain it."""
    if not originator.external or said.order is not None or not said.listed:
        return ""
    if any(kind != "extension" for party, kind in said.parties.callees if party.dn):
        return ""
    for leg in said.listed:
        p = leg.participant
        routed = p.party_dn == originator.dn and not p.referred_by_dn and not p.on_behalf_of_dn
        if leg.kind != "extension" or p.status != "Ringing" or not routed:
            return ""
    rung = said.ringing
    begun = [since[dn][1] if dn in since else now for dn in rung]
    if max(begun) - min(begun) > _TOGETHER or any(
        key not in rung and key != originator.dn for key in since
    ):
        return ""
    return directory_index.only_queue(rung, originator.dn, originator.dialled)


def _fresh_callees(said: CallReading) -> set[str]:
    return {party.dn for party, _ in said.parties.callees if party.dn} if said.fresh else set()


def _told_place(known: _PlaceInput, now: float, *, hosted: bool) -> Place:
    """Return where the caller is by what the PBX said."""
    said, originator, before = known.said, known.originator, known.before
    hosted = hosted or _is_hosted(known)
    accepted = before.caller_connected or (known.past_ringing and (said.fresh or hosted))
    accepted = accepted or _picked_up(known)
    queue, machine_dn = _at_row(known)
    queue, machine_dn = _at_legs(known, queue, machine_dn)
    talks = _people_connected(known, accepted=accepted)
    queues = before.queues
    if queue and queue == originator.dn:  # it calls back: it is in the call, nobody waits in it
        queues, queue = queues | {queue}, ""
    elif talks or _left_queue(said, originator):
        queue = ""
    elif queue:
        queues |= {queue}
    accepted = accepted or queue != ""
    queued_at = _queued_at(said, queue, before, now)
    groups = before.groups | _groups(known)
    return Place(
        queue=queue,
        queued_at=queued_at,
        last_queue=queue or before.last_queue,
        concluded="" if _is_told(known, before.concluded) else before.concluded,
        diverted_at=_diverted_at(known, queue, now),
        first_queued_at=queued_at if before.first_queued_at is None else before.first_queued_at,
        queues=queues,
        groups=groups,
        paging=before.paging or known.directory_index.paging(groups),
        machine_dn=machine_dn,
        mailbox=_mailbox(known) or before.mailbox,
        hosted=hosted,
        routed_on=accepted and not known.answered and not talks,
        caller_connected=accepted or talks or _talks(said, originator),
    )


def _picked_up(known: _PlaceInput) -> bool:
    """Return whether the phone of an ordered call was picked up, and more will be told of it."""
    originator = known.originator
    return originator.rung and any(
        leg.participant.dn == originator.dn
        and leg.participant.status == "Connected"
        and (known.said.word != "" or leg.participant.party_dn in known.visible)
        for leg in known.said.listed
    )


def _is_hosted(known: _PlaceInput) -> bool:
    """Return whether the row names a queue or a machine that has accepted the caller."""
    if not known.said.fresh and not known.past_ringing:
        return False
    accepting = ACCEPTING if known.past_ringing else ACCEPTING - {"routepoint"}
    return not accepting.isdisjoint(known.kinds.values())


def _is_told(known: _PlaceInput, queue: str) -> bool:
    """Return whether the PBX itself names a queue that was concluded."""
    return queue in known.kinds or any(
        queue in (leg.participant.on_behalf_of_dn, leg.participant.party_dn, leg.participant.dn)
        for leg in known.said.listed
    )


def _diverted_at(known: _PlaceInput, queue: str, now: float) -> float | None:
    """Return when the caller left the queue last waited in for elsewhere, unanswered; else None."""
    said, before = known.said, known.before
    if queue != "" or before.diverted_at is not None:
        return before.diverted_at if queue == "" else None
    at_machine = (said.fresh and not MACHINES.isdisjoint(known.kinds.values())) or any(
        leg.kind in MACHINES and leg.participant.status == "Connected" for leg in said.listed
    )
    waited = before.queue != "" or (before.last_queue != "" and not known.answered)
    sent_on = (
        before.queue != ""
        and said.fresh_word not in ("", "Talking")
        and not known.kinds.keys() <= known.agents(before.queue)
    )
    return now if (waited and at_machine) or sent_on else None


def _at_row(known: _PlaceInput) -> tuple[str, str]:
    """Return the queue and the machine that have the caller according to the row."""
    said, before, kinds = known.said, known.before, known.kinds
    named = next((dn for dn, kind in kinds.items() if kind == "queue"), "")
    if not said.fresh:
        behind = not known.answered and not before.queue and _rings_agents(known, named)
        return named if behind else before.queue, before.machine_dn
    queue = named or before.queue
    if kinds and not named:
        elsewhere = not kinds.keys() <= known.agents(before.queue)
        if elsewhere or said.word in ("Talking", "Rerouting"):
            queue = ""
    rings = frozenset() if known.past_ringing else frozenset({"routepoint"})
    return queue, next((dn for dn, kind in kinds.items() if kind in MACHINES - rings), "")


def _names(leg: ListedLeg, dn: str) -> bool:
    return dn in (leg.participant.dn, leg.participant.party_dn)


def _at_legs(known: _PlaceInput, queue: str, machine_dn: str) -> tuple[str, str]:
    """Return the queue and the machine that have the caller, corrected by the participants."""
    said = known.said
    for leg in said.listed:
        p = leg.participant
        if _still_names_queue(known, leg):
            continue
        if p.status == "Connected" and "queue" in (leg.kind, leg.party_kind):
            queue = p.dn if leg.kind == "queue" else p.party_dn
        elif p.status == "Ringing" and leg.behalf_kind == "queue":
            queue = p.on_behalf_of_dn
        if leg.kind == "extension" and p.dn != known.originator.dn and p.status != "Dialing":
            machine_dn = ""
    gone = said.listed and not any(_names(leg, machine_dn) for leg in said.listed)
    if gone and not said.fresh and machine_dn in known.visible:
        machine_dn = ""
    return queue, machine_dn


def _still_names_queue(known: _PlaceInput, leg: ListedLeg) -> bool:
    """Return whether the caller's own leg names a queue that has been answered.

    It may go on to name it for the time of the talk. A caller who comes back there is in the row.
    """
    p = leg.participant
    return (
        known.answered
        and p.dn == known.originator.dn
        and p.party_dn == known.before.last_queue != known.before.queue
    )


def _rings_agents(known: _PlaceInput, queue: str) -> bool:
    """Return whether nobody but agents of this queue rings.

    A row named the queue just before an event. Its agents ring now, and the next row may name one
    of them instead of the queue.
    """
    return known.said.ringing - {known.originator.dn} <= known.agents(queue)


def _left_queue(said: CallReading, originator: Originator) -> bool:
    """Return whether the waiting caller's own leg is connected to something other than a queue."""
    return originator.dn in said.connected and any(
        leg.participant.dn == originator.dn
        and leg.participant.status == "Connected"
        and leg.party_kind not in ("queue", "unknown")
        for leg in said.listed
    )


def _people_connected(known: _PlaceInput, *, accepted: bool) -> bool:
    """Return whether a participant is connected to a person, not to a queue or a machine."""
    said, originator = known.said, known.originator
    for leg in said.listed:
        p = leg.participant
        if p.status != "Connected" or leg.kind not in PEOPLE:
            continue
        if p.dn != originator.dn:
            if not p.party_dn or leg.party_kind in PEOPLE:
                return True
        elif leg.party_kind in PEOPLE:
            others = said.connected.get(p.party_dn, 0) - (p.party_dn == p.dn)
            if others or (p.party_dn not in said.ringing and (known.answered or not accepted)):
                return True
    return False


def _talks(said: CallReading, originator: Originator) -> bool:
    """Return whether the legs show the caller connected, or brought on after a talk.

    A phone that rings because of a transfer shows it too: somebody has already talked to the party
    that is transferred.
    """
    people = sum(
        leg.participant.status == "Connected" and leg.kind in PEOPLE for leg, _ in said.legs
    )
    return (
        people > 1
        or originator.dn in said.connected
        or any(
            leg.participant.referred_by_dn and leg.participant.status == "Ringing"
            for leg in said.listed
        )
    )


def _queued_at(said: CallReading, queue: str, before: Place, now: float) -> float | None:
    if not queue:
        return None
    if queue == before.queue:
        return before.queued_at
    return now if said.talking_since is None else said.talking_since


def _groups(known: _PlaceInput) -> set[str]:
    """Return the ring groups that are named now."""
    said = known.said
    groups = (
        {dn for dn, kind in known.kinds.items() if kind == "ringgroup"} if said.fresh else set()
    )
    for leg in said.listed:
        if leg.behalf_kind == "ringgroup":
            groups.add(leg.participant.on_behalf_of_dn)
        if leg.party_kind == "ringgroup":
            groups.add(leg.participant.party_dn)
    return groups


def _mailbox(known: _PlaceInput) -> str:
    """Return the extension whose voicemail the call is at: the number behind that leg."""
    owners = [
        leg.participant.party_caller_id
        for leg in known.said.listed
        if leg.party_kind == "specialmenu"
        and known.directory_index.kind(leg.participant.party_caller_id) == "extension"
    ]
    return owners[-1] if owners else ""
