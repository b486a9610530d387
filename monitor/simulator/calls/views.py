"""Show calls as the APIs do: Call Control's participants and ActiveCalls' rows. Pure.

A participant shows its own leg and the *other side* of it. The other side is the first of these
that exists: the conference; the queue, menu or voicemail to which the caller is connected; the
party to which it talks; the ring group that it dialled; the first phone that rings; the number that
was dialled. The other side of a ringing phone and of a host is the caller. A trunk's leg shows the
number outside as its party's number, as 3CX's connections of external lines do.

ActiveCalls' texts: ``100 Smith, John`` · ``10000 skyetel (+15153182968)`` · ``800 Sales``. While
the phone of an ordered call rings, its caller is ``MakeCall`` and its callee is that phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.api_rows import _NOBODY, ActiveCallRow, ParticipantView
from monitor.simulator.calls.model import HOSTS, DeviceLeg, SimulatedCall, SimulatedLeg
from monitor.simulator.pbx_data.directory import Directory, Dn

MAKE_CALL: Final = "MakeCall"
"""Caller while the service of this name rings the phone of a call that was ordered."""
_ROUTER: Final = ("ROUTER", "Wroutepoint")


def views(call: SimulatedCall, directory: Directory) -> Iterator[ParticipantView]:
    """Yield every participant of a call, those of the oldest leg first."""
    for leg in call.legs.values():
        other = _other_side(call, leg, directory)
        for part in leg.parts:
            yield _view(call, leg, part, other, directory)


def row(call: SimulatedCall, directory: Directory, switches: Switches) -> ActiveCallRow:
    """Return the call's row of ActiveCalls."""
    first = _first_party(call)
    callees = _callees(call, first, directory, switches)
    caller, orderer = _text(first.dn, first.outside), directory.dn(call.orderer)
    if call.forward_to:
        caller = _text(orderer, "") if orderer else MAKE_CALL
        callees = [(first.dn, "")]
    return ActiveCallRow(
        id=call.id,
        caller=caller,
        callee=", ".join(_text(dn, outside) for dn, outside in callees),
        status=call.state,
        last_change_status=call.changed_at,
        established_at=call.established_at if switches.established == "last" else call.started_at,
        dns=frozenset((first.dn.number, *(dn.number for dn, _ in callees))),
    )


def _first_party(call: SimulatedCall) -> SimulatedLeg:
    """Return the originator. If it ever left the call, return the oldest present party.

    This holds even if the originator rings again.
    """
    originator = call.legs.get(call.originator)
    if originator is not None and not call.departed:
        return originator
    return next(call.talkers(), None) or next(iter(call.legs.values()))


@dataclass(frozen=True, slots=True)
class _Side:
    """Represent the other side of a leg. ``type`` is Call Control's word for its kind."""

    dn: str
    type: str
    number: str
    name: str


def _view(
    call: SimulatedCall, leg: SimulatedLeg, part: DeviceLeg, other: _Side, directory: Directory
) -> ParticipantView:
    behalf = directory.dn(leg.behalf) if leg.behalf else None
    referrer = directory.dn(leg.referred_by) if leg.referred_by else None
    origin = _ROUTER if leg.routed else _NOBODY
    if call.forward_to:
        origin = (leg.dn.number, f"W{leg.dn.kind}")
    return ParticipantView(
        id=part.id,
        status=leg.status,
        dn=leg.dn.number,
        party_caller_name=other.name,
        party_dn=other.dn,
        party_caller_id=leg.outside
        if leg.dn.kind == "externalline"
        else _mailbox(call, other, directory) or other.number,
        party_did=call.dialled if call.external and leg.dn.kind == "extension" else "",
        device_id=part.device_id,
        party_dn_type=other.type,
        direct_control=part.direct,
        originated_by_dn=origin[0],
        originated_by_type=origin[1],
        referred_by_dn=leg.referred_by,
        referred_by_type=f"W{referrer.kind}" if referrer else "None",
        on_behalf_of_dn=leg.behalf,
        on_behalf_of_type=f"W{behalf.kind}" if behalf else "None",
        callid=call.id,
        legid=part.leg_id,
    )


def _other_side(call: SimulatedCall, leg: SimulatedLeg, directory: Directory) -> _Side:
    conference = call.conference
    if conference is leg:
        creator = next((other for other in call.talkers() if other.number == call.creator), None)
        return _side(call, creator, directory) if creator else _dialled(call.creator)
    if conference is not None:
        return _side(call, conference, directory)
    if (leg.dn.kind in HOSTS and leg.status != "Dialing") or leg.status == "Ringing":
        calling = call.calling()
        if calling is not None:
            return _side(call, calling, directory)
        return _dialled(
            call.dialled if leg.dn.number == call.originator and not call.external else ""
        )
    if call.paging_group and leg.dn.number == call.originator:
        paged = directory.dn(call.paging_group)
        if paged is not None:
            return _Side(paged.number, f"W{paged.kind}", paged.number, paged.name)
    met = _met(call, leg)
    if met is not None:
        return _side(call, met, directory)
    group = directory.dn(call.group) if call.group else None
    if group is not None:
        return _Side(group.number, f"W{group.kind}", group.number, group.name)
    ringing = next((other for other in call.ringing() if other is not leg), None)
    return (
        _side(call, ringing, directory)
        if ringing
        else _dialled("" if call.external else call.dialled)
    )


def _met(call: SimulatedCall, leg: SimulatedLeg) -> SimulatedLeg | None:
    """Return the host or the party to which a leg is connected, or None."""
    host = call.host
    if host is not None:
        return host
    if leg.listens_to in call.legs:
        return call.legs[leg.listens_to]
    return next(
        (
            other
            for other in call.talkers()
            if other is not leg and other.connected and leg.connected and not other.listens_to
        ),
        None,
    )


def _side(call: SimulatedCall, leg: SimulatedLeg, directory: Directory) -> _Side:
    return _Side(leg.dn.number, f"W{leg.dn.kind}", leg.number, _shown_name(call, leg, directory))


def _mailbox(call: SimulatedCall, other: _Side, directory: Directory) -> str:
    """Return whose voicemail is the other side; empty if it is something else.

    It is the extension that was dialled, else the caller's own.
    """
    if other.type != "Wspecialmenu":
        return ""
    dialled, began = directory.dn(call.dialled), directory.dn(call.originator)
    owner = dialled if dialled is not None and dialled.kind == "extension" else began
    return owner.number if owner is not None and owner.kind == "extension" else ""


def _dialled(number: str) -> _Side:
    return _Side("", "None", number, "")


def _shown_name(call: SimulatedCall, leg: SimulatedLeg, directory: Directory) -> str:
    """Return the name that a phone displays, first name first.

    An outside party's name is its number if it called, else empty.
    """
    if leg.dn.kind == "externalline":
        return leg.outside if call.external and leg.dn.number == call.originator else ""
    user = directory.entity(leg.dn.number) if leg.dn.kind == "extension" else None
    return f"{user['FirstName']} {user['LastName']}".strip() if user else leg.dn.name


def _callees(
    call: SimulatedCall, first: SimulatedLeg, directory: Directory, switches: Switches
) -> list[tuple[Dn, str]]:
    """Return the DNs that the caller talks to or tries to reach.

    Each comes with the number outside if it is a trunk.
    """
    if call.conference is not None and call.conference is not first:
        return [(call.conference.dn, "")]
    ringing = [leg for leg in call.ringing() if leg is not first]
    if ringing:
        host = call.host
        target = host.dn if host is not None else directory.dn(call.group) if call.group else None
        if switches.callees == "target" and target is not None:
            return [(target, "")]
        return [
            (leg.dn, leg.outside)
            for leg in (ringing if switches.callees == "joined" else ringing[:1])
        ]
    paged = directory.dn(call.paging_group) if call.paging_group else None
    if paged is not None:
        return [(paged, "")]
    others = [
        leg
        for leg in call.legs.values()
        if leg is not first and leg.connected and not leg.listens_to
    ]
    return [(leg.dn, leg.outside) for leg in others[:1]]


def _text(dn: Dn, outside: str) -> str:
    text = f"{dn.number} {dn.name}".strip()
    return f"{text} ({outside})" if dn.kind == "externalline" else text
