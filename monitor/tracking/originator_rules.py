"""Find out who began a call: stage 2 of its inference. Pure.

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
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from monitor.pbx.facts import Participant
from monitor.tracking.call_evidence import ROUTER, CallReading, ListedLeg
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.party_text import MAKE_CALL

_OUTSIDE: Final = frozenset({"externalline", "unknown"})
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
    caller, listed = said.parties.caller, said.listed
    withheld = before.withheld or (
        not number and (caller.withheld or any(leg.participant.withheld for leg in listed))
    )
    if caller.dn and said.parties.caller_kind == "externalline":
        dn = dn or caller.dn
        if caller.dn == dn:
            number = number or caller.number
    dids = (leg.participant.party_did for leg in listed if leg.participant.party_did)
    dialled = before.dialled or next(dids, "")
    first = before.first
    if age < _FIRST and len(first) != 1:
        first = _first_reached(said, dn, first, directory_index)
    did = directory_index.did(dialled, dn, first) or before.did
    return Originator(dn, True, number, withheld, dialled, did=did, first=first)


def _is_rung_for_order(said: CallReading, dn: str) -> bool:
    """Return whether this extension's phone rings for a call that it, or a program, ordered."""
    return dn in said.ringing and (
        _is_service(said)
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
        return _other_side(leg)
    return None


def _other_side(leg: ListedLeg) -> _Sign:
    p, outside = leg.participant, leg.party_kind == "externalline"
    return p.party_dn, outside, p.party_caller_id if outside else p.party_dn


def _told_by_row(said: CallReading) -> _Sign | None:
    """Return who began the call according to the row, or None.

    A caller's text that gives neither a DN nor a number leaves open where the call comes from.
    While the PBX rings the phone of an ordered call, its callee is who ordered it. A queue or
    menu that calls back through an agent's phone orders a call too.
    """
    caller = said.parties.caller
    ordering = [party.dn for party, kind in said.parties.callees if kind == "extension"]
    if _is_service(said) or (ordering and said.parties.caller_kind in ("queue", "ivr")):
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
