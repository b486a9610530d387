"""Make the call log and the call history: one row for each leg that was called.

The rows of one conversation share ``MainCallHistoryId``. The newest call comes first, and within it
the first leg. A queue's row says by whom it was replaced. The numbers of DN types are those of
3CX's database: 0 extension, 1 external line, 2 ring group, 4 queue, 5 voicemail, 6 menu.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from monitor.simulator.pbx_data.directory import DnKind
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site, instant
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.arguments import Arguments, duration, period
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg, PastParty

DN_TYPES: Final[Mapping[DnKind, int]] = {
    "extension": 0,
    "externalline": 1,
    "ringgroup": 2,
    "fax": 3,
    "queue": 4,
    "specialmenu": 5,
    "ivr": 6,
    "parking": 8,
    "conference": 9,
    "routepoint": 14,
}
"""Numbers of DN types by the kind of the DN."""
_WORDS: Final[Mapping[DnKind, str]] = {
    "extension": "Extension",
    "externalline": "External",
    "ringgroup": "RingGroup",
    "queue": "Queue",
    "ivr": "IVR",
    "specialmenu": "Voicemail",
    "routepoint": "Script",
}
"""``CallType`` by the kind of the called DN; the others are ``System``."""
_FILETIME_EPOCH: Final = 11_644_473_600
"""Seconds from the beginning of Windows' calendar to that of POSIX."""
_ALWAYS: Final = (0.0, 2.0**40)


def call_log(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.CallLogData`` rows.

    The parameter ``REPORT_ROW_LIMIT`` limits their number. The filters take texts that are in a
    number or name. The codes of types and calls select nothing here: what each of them means is not
    documented.
    """
    source = str(arguments["sourceFilter"] or "").lower()
    target = str(arguments["destinationFilter"] or "").lower()
    rows = (
        _row(site, call, place, leg)
        for call in site.history.between(*period(arguments))
        for place, leg in enumerate(call.legs[1:])
    )
    found = (
        row for row in rows if _names(row, "Source", source) and _names(row, "Destination", target)
    )
    return list(islice(found, _row_limit(site)))


def call_history(site: Site) -> list[Entity]:
    """Return ``Pbx.CallHistoryView`` rows."""
    return [_segment(site, leg) for call in site.history.between(*_ALWAYS) for leg in call.legs[1:]]


def last_call(site: Site) -> list[Entity]:
    """Return the ``Pbx.LastCdrAndChatMessageTimestamp``; no row before the first call."""
    last = next(site.history.between(*_ALWAYS), None)
    shape = "LastCdrAndChatMessageTimestamp"
    return [new_entity(shape, LastCdrStartedAt=instant(last.began))] if last else []


def history_id(call: PastCall) -> str:
    """Return the id under which all tables of 3CX know a call."""
    return _uuid(call.began, call.serial)


def cdr_id(leg: PastLeg) -> str:
    """Return the id of the record of one leg."""
    return _uuid(leg.began, leg.serial)


def _row_limit(site: Site) -> int | None:
    """Return the greatest number of rows of a report; None if the PBX has no limit."""
    known = site.plain.collection("Parameters").values()
    text = next((row["Value"] for row in known if row["Name"] == "REPORT_ROW_LIMIT"), None) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _row(site: Site, call: PastCall, place: int, leg: PastLeg) -> Entity:
    source = site.directory.dn(leg.party.dn) or call.legs[0].dn
    return new_entity(
        "CallLogData",
        Answered=leg.connected is not None,
        CallCost=0,
        CallHistoryId=history_id(call),
        CallId=call.call_id,
        CallType=_WORDS.get(leg.dn.kind, "System"),
        CdrId=cdr_id(leg),
        DestinationCallerId=leg.number,
        DestinationDisplayName=leg.dn.name,
        DestinationDn=leg.dn.number,
        DestinationType=DN_TYPES[leg.dn.kind],
        Direction=call.main.direction,
        Indent=min(place, 1),
        MainCallHistoryId=history_id(call.main),
        QualityReport=False,
        Reason=_reason(call, leg),
        RingingDuration=duration(_waited(leg)),
        SegmentId=leg.serial,
        SourceCallerId=_number(leg.party, call),
        SourceDisplayName=leg.party.name or source.name,
        SourceDn=source.number,
        SourceType=DN_TYPES[source.kind],
        StartTime=instant(leg.began),
        Status=_status(leg),
        SubrowDescNumber=place,
        TalkingDuration=duration(0.0 if leg.dn.kind == "queue" else leg.talked),
    )


def _segment(site: Site, leg: PastLeg) -> Entity:
    source = site.directory.dn(leg.party.dn)
    kind = source.kind if source else "externalline"
    return new_entity(
        "CallHistoryView",
        CallAnswered=leg.connected is not None,
        CallTime=duration(leg.talked),
        DstCallerNumber=leg.number,
        DstDisplayName=leg.dn.name,
        DstDn=leg.dn.number,
        DstDnType=DN_TYPES[leg.dn.kind],
        DstExternal=leg.dn.kind == "externalline",
        DstId=leg.dn.id,
        DstInternal=leg.dn.kind != "externalline",
        DstParticipantId=leg.serial,
        SegmentActionId=9 if leg.behalf else 1,
        SegmentEndTime=instant(leg.ended),
        SegmentId=leg.serial,
        SegmentStartTime=instant(leg.began),
        SegmentType=1 if leg.connected is None else 2,
        SrcCallerNumber=leg.party.number,
        SrcDisplayName=leg.party.name or (source.name if source else ""),
        SrcDn=leg.party.dn,
        SrcDnType=DN_TYPES[kind],
        SrcExternal=kind == "externalline",
        SrcId=source.id if source else 0,
        SrcInternal=kind != "externalline",
        SrcParticipantId=leg.serial,
    )


def _number(party: PastParty, call: PastCall) -> str:
    """Return the source's number. A trunk's leg shows the number outside as its party's."""
    first = call.legs[0]
    outside = first.dn.kind == "externalline" and party.dn == first.dn.number
    return first.number if outside else party.number if party.dn != "" else first.number


def _reason(call: PastCall, leg: PastLeg) -> str:
    taken_over = next(_after(call, leg), None)
    own = f"{leg.dn.name} ({leg.dn.number})"
    if leg.connected is not None and taken_over is not None:
        return f"{own} was replaced by {taken_over.dn.name} ({taken_over.dn.number})"
    if leg.connected is not None:
        return "Terminated"
    return "No answer" if taken_over is None else "Answered elsewhere"


def _after(call: PastCall, leg: PastLeg) -> Iterator[PastLeg]:
    """Yield the legs that were connected in the change that ended this one."""
    return (one for one in call.legs[1:] if one is not leg and one.connected == leg.ended)


def _status(leg: PastLeg) -> str:
    if leg.dn.kind == "queue":
        return "Waiting"
    return "Unanswered" if leg.connected is None else "Answered"


def _waited(leg: PastLeg) -> float:
    """Return the seconds for which it rang; those of a queue are the waiting time."""
    return leg.talked if leg.dn.kind == "queue" else leg.rang


def _names(row: Entity, side: str, text: str) -> bool:
    parts = (row[f"{side}{name}"] or "" for name in ("Dn", "CallerId", "DisplayName"))
    return not text or any(text in str(part).lower() for part in parts)


def _uuid(at: float, serial: int) -> str:
    """Return an id as 3CX makes them: a Windows file time, then a counter."""
    time = f"{round((at + _FILETIME_EPOCH) * 10**7):016x}"
    return f"00000000-{time[:4]}-{time[4:8]}-{time[8:12]}-{time[12:]}{serial % 2**32:08x}"
