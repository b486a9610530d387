"""Find the legs of a call, those that are listed and those that follow: stage 4. Pure.

*Legs.* A participant that Call Control lists is a leg. The other side of a listed leg
(``party_dn``) is a leg too. Its state matches the state of the listed leg: Connected for Connected,
Dialing for Ringing, Ringing for Dialing. There is one exception: a caller who was accepted by a
queue, an IVR or a person stays Connected while the next phone rings; and that phone rings, even if
the caller's own leg already names it as connected.

*Legs not read yet.* A leg that was connected before may name the phone that rings in its partner's
place. Until that phone's own leg or a fresh row tells its state, the phone stays as it was held. If
it was not held, it rings; or it has no leg yet if Call Control will show it. A phone that a leg
names has none either if Call Control shows its legs, and a fresh row names another phone that is in
the call: its calls are forwarded.

*Legs that tell no other side.* The originator is there.

*Legs of the row.* Legs that are in no participant come from the ActiveCalls row: the caller's
trunk, a queue, an IVR, a second trunk, an extension that may not be monitored, a program's route
point that rings. For a DN whose legs Call Control shows, a row is never the better source: a leg of
it that is not listed does not exist. An event after the row does not undo what the row told: such a
leg stays as it was held until the next row, unless a participant contradicts it. That is the case
if somebody else answered, if it is in no pair that a participant tells to talk, or if it made the
transfer because of which a phone rings. A queue or menu that calls back has no leg while the
agent's phone rings.

*Ordered calls.* While the extension that was to call is rung, the number that it calls is at the
other side, and has no leg yet.

*Ring groups.* A ring group has no leg, as its members ring. It has one that rings while none of its
members is seen to ring: the row names it and Call Control shows none of them, or the caller still
dials it.

*Legs of the place.* While agents ring, the queue's leg stays. So does that of a machine of which
only the row tells.

*Withheld.* A leg without a number is withheld if that leg says so, or if the caller is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from monitor.pbx.facts import Participant
from monitor.shared.entities import topics
from monitor.tracking.call_evidence import (
    PAST_RINGING,
    PEOPLE,
    RANK,
    ROUTER,
    CallReading,
    ListedLeg,
)
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.party_text import PartyText

_UNDER_WAY: Final = frozenset({"Routing", "Transferring", "Rerouting"})
"""ActiveCalls' words for a call whose callee has not answered."""
_AGAIN: Final = "/2"
_LINGER: Final = 5.0
"""Seconds that a leg may be missing between two reads and still be the same."""


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
    listening: bool = False
    """True for a supervisor's leg beside two who talk, and for a phone that plays a page."""

    @property
    def talks(self) -> bool:
        """Return whether a person talks at this leg."""
        return self.kind in PEOPLE and self.status == "Connected" and not self.listening

    @property
    def number(self) -> str:
        """Return the number behind the leg: the outside number for a trunk, else the DN."""
        return self.external_party if self.kind == "externalline" else self.dn

    @property
    def key(self) -> str:
        """Return the leg's key among the legs of its call.

        It is the DN: every DN but a trunk has one leg in a call. The second leg on a trunk has a
        suffix.
        """
        return f"{self.dn}{_AGAIN}" if self.again else self.dn


@dataclass(frozen=True, slots=True)
class _CallContext:
    """Hold what is known of a call before its legs are found; see :func:`find_legs`."""

    said: CallReading
    originator: Originator
    place: Place
    visible: frozenset[str]
    held: Mapping[str, tuple[str, float]]
    listed: frozenset[str]
    """DNs of the participants."""
    callees: frozenset[str]
    """DNs of the row's callees."""


def find_legs(
    said: CallReading,
    originator: Originator,
    place: Place,
    directory_index: DirectoryIndex,
    visible: frozenset[str],
    held: Mapping[str, tuple[str, float]] = MappingProxyType({}),
) -> tuple[DerivedLeg, ...]:
    """Return all legs that the call has now.

    The originator's leg comes first, then the legs in the order of their numbers, then the inferred
    ones. ``visible``: DNs whose legs Call Control shows. ``held``: key of each leg that was held
    until now → its state, and the time since which it was in that state.
    """
    known = _CallContext(said, originator, place, visible, held, _listed_dns(said), _callees(said))
    legs = {leg.key: leg for leg in (_listed(*one, originator) for one in said.legs)}
    listed = frozenset(legs)
    for other in _other_sides(known):
        if other.dn not in listed and _is_further(other, legs.get(other.dn)):
            legs[other.dn] = other
    for leg in _of_row(known):
        legs.setdefault(leg.key, leg)
    for dn in (place.queue, place.machine_dn):
        if dn and dn not in legs:
            legs[dn] = _at_place(dn, directory_index.kind(dn), legs, originator)
    return tuple(
        sorted(legs.values(), key=lambda leg: (leg.key != originator.dn, _leg_number(leg), leg.key))
    )


def _listed_dns(said: CallReading) -> frozenset[str]:
    return frozenset(leg.participant.dn for leg in said.listed)


def _callees(said: CallReading) -> frozenset[str]:
    return frozenset(party.dn for party, _ in said.parties.callees)


def states_since(
    legs: Sequence[DerivedLeg], before: Mapping[str, tuple[str, float]], now: float
) -> Mapping[str, tuple[str, float]]:
    """Return the state of each leg by its key, and the time since which it is in that state."""
    since: dict[str, tuple[str, float]] = {}
    for leg in legs:
        held = before.get(leg.key)
        since[leg.key] = held if held is not None and held[0] == leg.status else (leg.status, now)
    return since


def presence_of(
    legs: Sequence[DerivedLeg], before: Mapping[str, tuple[float, float | None]], now: float
) -> Mapping[str, tuple[float, float | None]]:
    """Return since when each leg is there, and since when it no longer is.

    A leg that comes back within :data:`_LINGER` seconds counts as never gone: only its removal was
    read before its return.
    """
    kept = {key: held for key, held in before.items() if held[1] is None or now - held[1] < _LINGER}
    present = {leg.key: (kept[leg.key][0] if leg.key in kept else now, None) for leg in legs}
    gone = {
        key: (since, now if left is None else left)
        for key, (since, left) in kept.items()
        if key not in present
    }
    return gone | present


def _leg(
    originator: Originator,
    dn: str,
    kind: topics.DnType,
    number: str,
    status: str,
    participant: Participant | None = None,
    *,
    again: bool = False,
    withheld: bool = False,
) -> DerivedLeg:
    """Return a leg. ``withheld``: whether a number that is missing is said to be withheld."""
    hidden = not number and (withheld or originator.withheld)
    return DerivedLeg(dn, kind, number, status, participant, again, hidden)


def _listed(listed: ListedLeg, again: bool, originator: Originator) -> DerivedLeg:
    p = listed.participant
    mailbox = listed.kind == "extension" and listed.party_kind == "specialmenu"
    # There the number is that of the mailbox's owner.
    number = p.party_dn if mailbox else p.party_caller_id
    if _is_ordered(p, originator):
        number = originator.destination
    elif not (p.party_dn or number or p.withheld) and p.dn != originator.dn:
        number = originator.number
    return _leg(
        originator, p.dn, listed.kind, number, p.status, p, again=again, withheld=p.withheld
    )


def _is_ordered(p: Participant, originator: Originator) -> bool:
    """Return whether a participant rings the extension for which a call was ordered."""
    return p.status == "Ringing" and p.dn == originator.dn and originator.destination != ""


def _rung_by_row(said: CallReading) -> frozenset[str]:
    """Return the DNs to which the call is being brought according to the row.

    They ring, even if the leg that waits for them shows something else.
    """
    return _callees(said) if said.fresh_word in _UNDER_WAY else frozenset()


def _other_sides(known: _CallContext) -> Iterable[DerivedLeg]:
    """Yield the other sides of the listed legs, as those legs imply them."""
    rung, undecided = _rung_by_row(known.said), _undecided(known)
    for listed, _ in known.said.legs:
        if _has_other_side(listed, known):
            p, kind = listed.participant, listed.party_kind
            number, status = _number_there(listed, known), _other_status(listed, known, rung)
            withheld = kind == "externalline" and p.withheld
            leg = _leg(known.originator, p.party_dn, kind, number, status, withheld=withheld)
            side = _as_held(leg, known) if p.party_dn in undecided else leg
            if side is not None:
                yield side


def _has_other_side(listed: ListedLeg, known: _CallContext) -> bool:
    """Return whether a listed leg implies another one at its other side."""
    originator, place = known.originator, known.place
    p, kind = listed.participant, listed.party_kind
    if not p.party_dn or p.party_dn in (p.dn, ROUTER) or _is_ordered(p, originator):
        return False
    if kind == "extension" and _has_no_leg(p, known):
        return False
    if kind == "queue":  # if somebody has taken the caller, the caller's leg may still name it
        return not (p.dn == originator.dn and p.party_dn == place.last_queue != place.queue)
    if kind == "ringgroup":
        return p.status == "Dialing" and not known.said.ringing - {originator.dn}
    return True


def _has_no_leg(p: Participant, known: _CallContext) -> bool:
    """Return whether the extension at the other side is not in the call: it forwards its calls.

    Once a dialling leg was seen with another one, the phone that it names comes with its own leg.
    """
    said, dn, held = known.said, p.party_dn, known.held
    if dn in known.listed or dn not in known.visible or dn == known.originator.dn:
        return False
    if dn not in held and len(held) > 1 and held.get(p.dn, ("",))[0] == "Dialing":
        return True
    callees = known.callees
    named = dn in callees or dn == said.parties.caller.dn
    return said.fresh and not named and not callees.isdisjoint(known.listed)


def _number_there(listed: ListedLeg, known: _CallContext) -> str:
    """Return the number that the other side of a listed leg has at its other side."""
    originator, place = known.originator, known.place
    p, kind = listed.participant, listed.party_kind
    if kind == "externalline":
        return p.party_caller_id
    if kind in ("extension", "unknown"):
        waits = place.queue and p.status == "Ringing" and p.party_dn == originator.dn
        return place.queue if waits else p.dn
    left = p.status == "Connected" and originator.dn not in known.said.connected
    if left and kind != "conference":
        # The originator has left; it has the party that is still there.
        return p.party_caller_id if listed.kind == "externalline" else p.dn
    return originator.number


def _other_status(listed: ListedLeg, known: _CallContext, rung: frozenset[str]) -> str:
    p, kind, place = listed.participant, listed.party_kind, known.place
    if p.status == "Dialing" or (kind == "extension" and p.party_dn in rung):
        return "Ringing"
    if p.status == "Ringing":
        return "Connected" if place.caller_connected else "Dialing"
    # The person whom the caller's own leg names is still being rung, unless the row says otherwise.
    named = place.routed_on and p.dn == known.originator.dn and p.status == "Connected"
    if named and kind in PEOPLE and known.said.fresh_word != "Talking":
        return "Ringing"
    return "Connected"  # Hold and the like are further on than Connected


def _undecided(known: _CallContext) -> frozenset[str]:
    """Return the DNs named by a leg that was connected before, and of which nothing else tells."""
    if known.said.fresh_word == "Talking":
        return frozenset()
    return frozenset(
        leg.participant.party_dn
        for leg in known.said.listed
        if leg.participant.status == "Connected"
        and leg.party_kind in ("extension", "externalline")
        and leg.participant.party_dn != known.originator.dn
        and known.held.get(leg.participant.dn, ("",))[0] == "Connected"
    )


def _as_held(leg: DerivedLeg, known: _CallContext) -> DerivedLeg | None:
    """Return an undecided leg as it was held; if it was not, None until its own leg is read."""
    if leg.status != "Connected":
        return leg
    if leg.dn in known.held:
        return replace(leg, status=known.held[leg.dn][0])
    if leg.dn in known.visible:
        return None
    return replace(leg, status="Ringing") if known.said.word else leg


def _is_further(leg: DerivedLeg, held: DerivedLeg | None) -> bool:
    return held is None or RANK.get(leg.status, 0) > RANK.get(held.status, 0)


def _of_row(known: _CallContext) -> Iterable[DerivedLeg]:
    """Yield the legs that the row names."""
    stays = {} if known.said.fresh else _not_contradicted(known)
    yield from _caller_of_row(known, stays)
    if known.said.fresh or stays:
        yield from _callees_of_row(known, stays)


def _caller_of_row(known: _CallContext, stays: Mapping[str, str]) -> Iterable[DerivedLeg]:
    """Yield the leg of the row's caller, if it has one. ``stays``: the states of old legs."""
    said, originator, place, parties = known.said, known.originator, known.place, known.said.parties
    caller, kind = parties.caller, parties.caller_kind
    settled = said.word in PAST_RINGING or place.caller_connected
    status = "Connected" if settled else stays.get(caller.dn, "Dialing")
    if kind == "externalline":
        withheld = caller.withheld
        yield _leg(originator, caller.dn, kind, caller.number, status, withheld=withheld)
    elif caller.dn and caller.dn not in known.visible and (said.fresh or caller.dn in stays):
        if kind in ("queue", "ivr") and caller.dn != originator.dn:
            return  # it calls back, and the agent's phone rings first
        first = parties.callees[0][0].number if parties.callees else ""
        yield _leg(originator, caller.dn, kind, place.queue or first, status)


def _callees_of_row(known: _CallContext, stays: Mapping[str, str]) -> Iterable[DerivedLeg]:
    """Yield the legs of the row's callees. ``stays``: the states of old legs."""
    said, originator, caller = known.said, known.originator, known.said.parties.caller
    recalled = known.place.caller_connected and caller.dn in said.ringing
    status = "Connected" if said.word == "Talking" or recalled else "Ringing"
    for party, kind in said.parties.callees:
        again = kind == "externalline" and party.dn == caller.dn
        if not _has_leg(party, kind, known):
            continue
        number = party.number if kind == "externalline" else _number_of_caller(party.dn, known)
        leg = _leg(originator, party.dn, kind, number, status, again=again)
        if said.fresh:
            yield leg
        elif leg.key in stays and party.dn not in known.visible:
            yield replace(leg, status=stays[leg.key])


def _number_of_caller(callee: str, known: _CallContext) -> str:
    """Return the number that one of the row's callees has at its other side."""
    number, originator = known.said.parties.caller.number, known.originator
    if callee == originator.dn:
        return originator.destination or number
    return number or originator.number  # the originator may have left the call


def _not_contradicted(known: _CallContext) -> Mapping[str, str]:
    """Return the state of each leg that was held and that no participant contradicts, by key."""
    said, originator = known.said, known.originator
    referrers = {leg.participant.referred_by_dn for leg in said.listed}
    connected = [leg for leg in said.listed if leg.participant.status == "Connected"]
    answered = any(leg.kind in PEOPLE and leg.participant.dn != originator.dn for leg in connected)
    pairs = _talking_pairs(connected)
    return {
        key: status
        for key, (status, _) in known.held.items()
        if key not in referrers
        and (
            not answered
            if status == "Ringing"
            else all(key.removesuffix(_AGAIN) in pair for pair in pairs)
        )
    }


def _talking_pairs(connected: Iterable[ListedLeg]) -> list[tuple[str, str]]:
    """Return the DNs of each two people of whom a participant tells that they talk."""
    return [
        (leg.participant.dn, leg.participant.party_dn)
        for leg in connected
        if leg.kind in PEOPLE and leg.party_kind in ("extension", "externalline")
    ]


def _has_leg(party: PartyText, kind: topics.DnType, known: _CallContext) -> bool:
    """Return whether a callee of a fresh row has a leg of its own that no participant shows."""
    said, originator, caller = known.said, known.originator, known.said.parties.caller
    if kind == "externalline":
        return (party.dn, party.number) != (caller.dn, caller.number)
    if kind == "ringgroup":
        taken = said.word == "Talking" or said.connected.keys() - {originator.dn}
        return not taken and not said.ringing - {originator.dn}
    if kind == "routepoint":  # one that has the caller has a leg as the call's place
        return said.word not in PAST_RINGING and party.dn not in known.visible
    return kind in PEOPLE and not (kind == "extension" and party.dn in known.visible)


def _at_place(
    dn: str, kind: topics.DnType, legs: Mapping[str, DerivedLeg], originator: Originator
) -> DerivedLeg:
    """Return the leg of the queue or the machine that has the caller.

    If the caller has left, it has the person who is still connected.
    """
    if originator.dn not in legs:
        for leg in legs.values():
            if leg.kind in PEOPLE and leg.status == "Connected":
                withheld = leg.withheld and leg.kind == "externalline"
                return _leg(originator, dn, kind, leg.number, "Connected", withheld=withheld)
    return _leg(originator, dn, kind, originator.number, "Connected")


def _leg_number(leg: DerivedLeg) -> int:
    return leg.participant.leg_id or 0 if leg.participant else 1_000_000
