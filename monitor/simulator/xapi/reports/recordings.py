"""List the recordings of past calls: one for each extension that records and that talked.

``RecordCalls`` of the extension decides, at the moment at which it is connected. A recording is
listed once its call is over. There is no sound behind it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site, instant
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg
from monitor.simulator.xapi.reports.call_log import DN_TYPES

_CALL_TYPES: Final = {
    "Inbound": "InboundExternal",
    "Outbound": "OutboundExternal",
    "Internal": "Local",
}


def recordings(site: Site) -> list[Entity]:
    """Return the ``Pbx.Recording`` rows, oldest first."""
    return [_row(site, call, leg) for call, leg in site.history.recordings.values()]


def _row(site: Site, call: PastCall, leg: PastLeg) -> Entity:
    own = (leg.dn.number, leg.dn.number, leg.dn.name)
    party = (leg.party.dn, leg.party.number, leg.party.name)
    caller, callee = (own, party) if leg is call.legs[0] else (party, own)
    return new_entity(
        "Recording",
        CallType=_CALL_TYPES[call.main.direction],
        CanBeTranscribed=True,
        EndTime=instant(leg.ended),
        Id=leg.serial,
        IsArchived=False,
        IsTranscribed=False,
        RecordingUrl=_path(leg),
        RefParticipantId=leg.serial,
        StartTime=instant(leg.connected),
        **_side(site, "From", *caller),
        **_side(site, "To", *callee),
    )


def _side(site: Site, side: str, dn: str, number: str, name: str) -> Entity:
    known = site.directory.dn(dn)
    return {
        f"{side}CallerNumber": number,
        f"{side}DisplayName": name or (known.name if known else ""),
        f"{side}Dn": dn,
        f"{side}DnType": DN_TYPES[known.kind] if known else None,
    }


def _path(leg: PastLeg) -> str:
    """Return the file's name as 3CX makes it: ``101/[Name]_101-other_yyyymmddhhmmss(id).wav``."""
    at = datetime.fromtimestamp(leg.connected or leg.began, UTC)
    number = leg.dn.number
    other = leg.party.number
    return f"{number}/[{leg.dn.name}]_{number}-{other}_{at:%Y%m%d%H%M%S}({leg.serial}).wav"
