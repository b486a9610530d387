"""Find out who began a call and where the caller is: stages 2 and 3 of its inference. Pure.

*Who began it.* The row's caller began the call. Before there is a row, it is the dialling
extension, or the trunk behind a ringing one. Without rows, it is the other side of a leg that the
PBX routed. The originator is kept for the call's life, as a transfer does not change it.

*Ordered.* A call that this monitor ordered was begun by the extension that was to call, whatever
phone of it rings first and whatever the row says. The order tells the number that it calls. If
another call's story goes on under the id, that story's originator stays. While that phone rings,
the number is not called yet; once it is picked up, its leg names whom the PBX calls for it.

*From outside.* The call comes from outside if a trunk began it, or a number that is not a DN.

*Withheld.* A caller from outside whose number nothing tells is withheld if Call Control or the row
says so. That stays, even if a later text gives the number.

*DID.* The PBX's own word (``party_did``) if it gives one, else a configured one, else the trunk's
only inbound rule, else its only rule that leads to the DN that the call reached first. A phone that
rings first may ring for one of its queues or ring groups: then no rule may lead to any of the
others. What the call reaches later than :data:`_FIRST` seconds after its beginning is not taken for
the first. A menu that hands on within that time and that nothing showed cannot be told from a rule
that leads to the phone. A DID that was found stays.

Where the caller is follows from who began the call.

*Waiting.* A caller waits in a queue from the first sign of it. (A queue that calls back is no
caller.) The wait ends when somebody answers, or when the row names somebody who is not an agent of
the queue. These are signs: a row whose callee is a queue, even if the row is older than the first
agent's ringing; a participant connected to a queue; a leg that rings on behalf of one.

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
from typing import Final, TypeAlias

from monitor.pbx.facts import Participant
from monitor.shared.entities import topics
from monitor.tracking.call_evidence import (
    ACCEPTING,
    MACHINES,
    PAST_RINGING,
    PEOPLE,
    ROUTER,
    CallReading,
    ListedLeg,
)
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.party_text import MAKE_CALL

_OUTSIDE: Final = frozenset({"externalline", "unknown"})
_ORDERING: Final = frozenset({"queue", "ivr"})
"""Kinds of DN that call back through an agent's phone."""
_FIRST: Final = 10.0
"""Seconds from a call's beginning within which the DN that it reaches may be the first one."""

_Sign: TypeAlias = tuple[str, bool, str]
"""The originator's DN, whether that is outside, and the caller's number."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Hold who began a call. Each text may be empty."""

    dn: str = ""
    """DN that began the call: an extension or a trunk."""
    external: bool | None = None
    """True if the call came from outside; None while nothing tells."""
    number: str = ""
    """The caller's number: the outside number for a trunk, else the DN's."""
    withheld: bool = False
    """True if the caller's number is withheld."""
    dialled: str = ""
    """The number that the caller dialled from outside, where the PBX tells it."""
    rung: bool = False
    """True if the originator's own phone rang first, as somebody had ordered the call."""
    destination: str = ""
    """The number that this monitor ordered to be called."""
    did: str = ""
    first: frozenset[str] = frozenset()
    """DNs one of which the call from outside reached first; empty if nothing showed it."""


def find_originator(
    said: CallReading, before: Originator, directory_index: DirectoryIndex, age: float
) -> Originator:
    """Return who began the call, as far as it is known now. ``age``: seconds since it began."""
    order = said.order
    if order is not None:
        rung = before.rung or order.dn in said.ringing
        return Originator(order.dn, False, order.dn, rung=rung, destination=order.destination)
    dn, external, number = before.dn, before.external, before.number
    if external is None:
        found = _first_sign(said) or _told_by_row(said) or _routed(said)
        if found is not None:
            dn, external, number = found
    if not external:
        rung = before.rung or _is_rung_for_order(said, dn)
        return replace(before, dn=dn, external=external, number=number, rung=rung)
    return _from_outside(said, replace(before, dn=dn, number=number), directory_index, age)


def _from_outside(
    said: CallReading, before: Originator, directory_index: DirectoryIndex, age: float
) -> Originator:
    """Return who began a call from outside, of whom this was known before."""
    caller, dn, number = said.parties.caller, before.dn, before.number
    withheld = before.withheld or (not number and _is_withheld(said))
    if caller.dn and said.parties.caller_kind == "externalline":
        dn = dn or caller.dn
        if caller.dn == dn:
            number = number or caller.number
    dialled = before.dialled or _dialled(said)
    first = before.first
    if age < _FIRST and len(first) != 1:
        first = _first_reached(said, dn, first, directory_index)
    did = directory_index.did(dialled, dn, first) or before.did
    return Originator(dn, True, number, withheld, dialled, did=did, first=first)


def _dialled(said: CallReading) -> str:
    """Return the number that the caller dialled from outside; empty if no participant tells it."""
    return next(filter(None, (leg.participant.party_did for leg in said.listed)), "")


def _is_withheld(said: CallReading) -> bool:
    """Return whether Call Control or the row says that the caller's number is withheld."""
    return said.parties.caller.withheld or any(leg.participant.withheld for leg in said.listed)


def _is_rung_for_order(said: CallReading, dn: str) -> bool:
    """Return whether this extension's phone rings for a call that it, or a program, ordered."""
    return dn in said.ringing and (
        _is_service(said)
        or said.parties.caller_kind in _ORDERING
        or any(leg.participant.originated_by_dn == leg.participant.dn == dn for leg in said.listed)
    )


def _is_service(said: CallReading) -> bool:
    """Return whether the row's caller is the PBX's service that rings an ordered call's phone."""
    caller = said.parties.caller
    return caller.name == MAKE_CALL and not caller.dn and not caller.number


def _first_reached(
    said: CallReading, trunk: str, before: frozenset[str], directory_index: DirectoryIndex
) -> frozenset[str]:
    """Return the DNs one of which the call reached first, by all that has been said of it.

    ``before``: those that fit what was said before.
    """
    signs = [p.on_behalf_of_dn or p.dn for p in _brought_to(said, trunk)]
    signs += [party.dn for party, kind in said.parties.callees if kind not in _OUTSIDE]
    for dn in signs:
        fitting = directory_index.leads_to(dn)
        before = (before & fitting or before) if before else fitting
    return before


def _brought_to(said: CallReading, trunk: str) -> list[Participant]:
    """Return the legs of DNs here to which the call was brought, without those of a transfer."""
    return [
        leg.participant
        for leg in said.listed
        if leg.participant.dn != trunk
        and leg.kind not in _OUTSIDE
        and leg.participant.status in ("Ringing", "Connected")
        and not leg.participant.referred_by_dn
    ]


def _first_sign(said: CallReading) -> _Sign | None:
    """Return who began the call according to its participants, or None."""
    for leg in said.listed:
        found = _begun_by(leg)
        if found is not None:
            return found
    for leg in said.listed:
        p = leg.participant
        if p.status == "Connected" and p.leg_id == 1:
            if leg.kind == "extension":
                return p.dn, False, p.dn
            if leg.kind == "externalline":
                return p.dn, True, p.party_caller_id
    return None


def _begun_by(leg: ListedLeg) -> _Sign | None:
    """Return who began the call if this leg dials, or rings for somebody who does; else None."""
    p = leg.participant
    if p.originated_by_dn == p.dn and leg.kind == "extension":
        # A call that this extension ordered: its own phone rings first.
        return p.dn, False, p.dn
    if p.status == "Dialing":
        outside = leg.kind == "externalline"
        return p.dn, outside, p.party_caller_id if outside else p.dn
    if p.status == "Ringing" and p.party_dn and not p.referred_by_dn:
        return None if leg.party_kind in _ORDERING else _other_side(leg)
    return None


def _other_side(leg: ListedLeg) -> _Sign:
    p, outside = leg.participant, leg.party_kind == "externalline"
    return p.party_dn, outside, p.party_caller_id if outside else p.party_dn


def _told_by_row(said: CallReading) -> _Sign | None:
    """Return who began the call according to the row, or None.

    A caller's text that gives neither a DN nor a number leaves open where the call comes from.
    While the PBX rings the phone of an ordered call, its callee is who ordered it; that may be a
    queue or a menu. One that calls back through an agent's phone orders a call too.
    """
    caller, service = said.parties.caller, _is_service(said)
    kinds = _ORDERING | {"extension"} if service else {"extension"}
    ordering = [party.dn for party, kind in said.parties.callees if kind in kinds]
    if service or (ordering and said.parties.caller_kind in _ORDERING):
        return (ordering[0], False, ordering[0]) if len(ordering) == 1 else None
    if not caller.dn and not caller.number and not caller.withheld:
        return None
    return caller.dn, said.parties.caller_kind in _OUTSIDE, caller.number


def _routed(said: CallReading) -> _Sign | None:
    """Return who began a call that nobody saw ringing, or None.

    A leg that the router made has the caller at its other side.
    """
    for leg in said.listed:
        p = leg.participant
        routed = p.originated_by_dn == ROUTER and not p.referred_by_dn
        if routed and leg.party_kind in ("extension", "externalline"):
            return _other_side(leg)
    return None


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
) -> Place:
    """Return where the caller is now, by what the PBX said.

    ``hosted``: a queue or a machine has had the caller before. ``answered``: a person has.
    ``visible``: DNs whose legs Call Control shows.
    """
    known = _PlaceInput(said, originator, before, directory_index, answered, visible)
    hosted = hosted or _is_hosted(known)
    accepted = _is_accepted(known, hosted=hosted)
    named, machine_dn = _at_row(known)
    named, machine_dn = _queue_at_legs(known, named), _machine_at_legs(known, machine_dn)
    talks = _people_connected(known, accepted=accepted)
    queue, queues = _queues(known, named, talks=talks)
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
        paging=before.paging or directory_index.paging(groups),
        machine_dn=machine_dn,
        mailbox=_mailbox(known) or before.mailbox,
        hosted=hosted,
        routed_on=accepted and not answered and not talks,
        caller_connected=accepted or talks or _talks(said, originator),
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
    def named(self) -> Mapping[str, topics.DnType]:
        """Return all whom the row names as callees, also numbers that are no known DN."""
        callees = self.said.parties.callees
        named = {party.dn or party.number: kind for party, kind in callees}
        return {number: kind for number, kind in named.items() if number}

    @property
    def past_ringing(self) -> bool:
        """Return whether somebody or something has accepted the caller, by the row's word."""
        return self.said.word in PAST_RINGING

    def agents(self, queue: str) -> frozenset[str]:
        """Return the agents of a queue; none if it is not known."""
        return self.directory_index.agents.get(queue, frozenset())


def _is_accepted(known: _PlaceInput, *, hosted: bool) -> bool:
    """Return whether somebody or something had accepted the caller before the next phone rings."""
    told = known.past_ringing and (known.said.fresh or hosted)
    return known.before.caller_connected or told or _picked_up(known)


def _queues(known: _PlaceInput, named: str, *, talks: bool) -> tuple[str, frozenset[str]]:
    """Return the queue in which the caller waits, and all queues that the call has been in.

    ``named``: the queue that row and participants name. ``talks``: whether somebody answered.
    """
    queues, originator = known.before.queues, known.originator
    if named and named == originator.dn:  # it calls back: it is in the call, nobody waits in it
        return "", queues | {named}
    if talks or _left_queue(known.said, originator):
        return "", queues
    return named, queues | ({named} - {""})


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
    before = known.before
    if queue != "" or before.diverted_at is not None:
        return before.diverted_at if queue == "" else None
    waited = before.queue != "" or (before.last_queue != "" and not known.answered)
    return now if _is_sent_on(known) or (waited and _is_at_machine(known)) else None


def _is_sent_on(known: _PlaceInput) -> bool:
    """Return whether a fresh row names somebody who is no agent of the queue waited in until now.

    Who talks with a person there has been answered; of a number that is no DN nobody knows it.
    """
    word, queue = known.said.fresh_word, known.before.queue
    if not word or not queue or known.named.keys() <= known.agents(queue):
        return False
    return word != "Talking" or set(known.named.values()) == {"unknown"}


def _is_at_machine(known: _PlaceInput) -> bool:
    """Return whether a fresh row or a participant shows the caller at a machine."""
    said = known.said
    return (said.fresh and not MACHINES.isdisjoint(known.kinds.values())) or any(
        leg.kind in MACHINES and leg.participant.status == "Connected" for leg in said.listed
    )


def _at_row(known: _PlaceInput) -> tuple[str, str]:
    """Return the queue and the machine that have the caller according to the row."""
    said, before, kinds = known.said, known.before, known.kinds
    named = _first_of(kinds, frozenset({"queue"}))
    if not said.fresh:
        behind = not known.answered and not before.queue and _rings_agents(known, named)
        return named if behind else before.queue, before.machine_dn
    queue = named or before.queue
    if known.named and not named:
        elsewhere = not known.named.keys() <= known.agents(before.queue)
        if elsewhere or said.word in ("Talking", "Rerouting"):
            queue = ""
    rings = frozenset() if known.past_ringing else frozenset({"routepoint"})
    return queue, _first_of(kinds, MACHINES - rings)


def _first_of(kinds: Mapping[str, topics.DnType], wanted: frozenset[str]) -> str:
    """Return the first DN of one of these kinds; empty if there is none."""
    return next((dn for dn, kind in kinds.items() if kind in wanted), "")


def _names(leg: ListedLeg, dn: str) -> bool:
    return dn in (leg.participant.dn, leg.participant.party_dn)


def _queue_at_legs(known: _PlaceInput, queue: str) -> str:
    """Return the queue that has the caller, corrected by the participants."""
    for leg in known.said.listed:
        p = leg.participant
        if _still_names_queue(known, leg):
            continue
        if p.status == "Connected" and "queue" in (leg.kind, leg.party_kind):
            queue = p.dn if leg.kind == "queue" else p.party_dn
        elif p.status == "Ringing" and leg.behalf_kind == "queue":
            queue = p.on_behalf_of_dn
    return queue


def _machine_at_legs(known: _PlaceInput, machine_dn: str) -> str:
    """Return the machine that has the caller, corrected by the participants."""
    said = known.said
    for leg in said.listed:
        p = leg.participant
        if leg.kind == "extension" and p.dn != known.originator.dn and p.status != "Dialing":
            return ""
    gone = said.listed and not any(_names(leg, machine_dn) for leg in said.listed)
    return "" if gone and not said.fresh and machine_dn in known.visible else machine_dn


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
