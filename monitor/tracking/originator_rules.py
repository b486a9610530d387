"""Find out who began a call: stage 2 of its inference. Pure.

*Who began it.* The row's caller began the call. Before there is a row, it is the dialling
extension, or the trunk behind a ringing one. Without rows, it is the other side of a leg that the
PBX routed. The originator is kept for the call's life, as a transfer does not change it.

*From outside.* The call comes from outside if a trunk began it, or a number that is no DN.

*Withheld.* A caller from outside whose number nothing tells is withheld if Call Control or the row
says so. That stays, even if a later text gives the number.

*DID.* The PBX's own word (``party_did``) if it gives one, else a configured one, else the trunk's
only inbound rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from monitor.tracking.call_evidence import ROUTER, CallReading, ListedLeg
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.party_text import MAKE_CALL

_OUTSIDE: Final = frozenset({"externalline", "unknown"})

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
    did: str = ""


def find_originator(
    said: CallReading, before: Originator, directory_index: DirectoryIndex
) -> Originator:
    """Return who began the call, as far as it is known now."""
    dn, external, number = before.dn, before.external, before.number
    if external is None:
        found = _first_sign(said) or _told_by_row(said) or _routed(said)
        if found is not None:
            dn, external, number = found
    if not external:
        return Originator(dn, external, number, before.withheld, before.dialled, before.did)
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
    return Originator(dn, True, number, withheld, dialled, directory_index.did(dialled, dn))


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
    service = caller.name == MAKE_CALL and not caller.dn and not caller.number
    ordering = [party.dn for party, kind in said.parties.callees if kind == "extension"]
    if service or (ordering and said.parties.caller_kind in ("queue", "ivr")):
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
