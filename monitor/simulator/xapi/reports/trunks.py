"""Make the reports on trunks: one row for each call from outside or to the outside.

What ``callsType`` selects is not documented; here it selects nothing.
"""

from __future__ import annotations

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site, instant
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.arguments import Arguments, duration, period, wanted
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg
from monitor.simulator.xapi.reports.call_log import cdr_id, history_id


def inbound_calls(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.InboundCall`` rows, newest first. The destination is who took the call last."""
    rows = []
    for call in site.history.between(*period(arguments)):
        trunk = call.legs[0]
        if trunk.dn.kind != "externalline" or not wanted(arguments, "trunkDns", trunk.dn.number):
            continue
        target = _taker(call) or (call.legs[1] if len(call.legs) > 1 else None)
        did = next((leg.did for leg in call.legs if leg.did), "")
        rows.append(
            new_entity(
                "InboundCall",
                **_common(call, trunk, target),
                DestinationCallerId=target.number if target else None,
                DestinationDisplayName=target.dn.name if target else None,
                DestinationDn=target.dn.number if target else None,
                Did=did,
                RuleName=_rule(site, trunk.dn.number, did),
                SourceCallerId=trunk.number,
                SourceDisplayName=trunk.number,
                SourceDn=trunk.dn.number,
            )
        )
    return rows


def outbound_calls(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.OutboundCall`` rows, newest first."""
    rows = []
    for call in site.history.between(*period(arguments)):
        caller = call.legs[0]
        trunk = next((leg for leg in call.legs[1:] if leg.dn.kind == "externalline"), None)
        if trunk is None or not wanted(arguments, "trunkDns", trunk.dn.number):
            continue
        rows.append(
            new_entity(
                "OutboundCall",
                **_common(call, trunk, trunk),
                Answered=trunk.connected is not None,
                CallCost=0,
                DestinationCalleeId=trunk.number,
                DestinationDisplayName=trunk.number,
                DestinationDn=trunk.dn.number,
                SourceCallerId=caller.number,
                SourceDisplayName=caller.dn.name,
                SourceDn=caller.dn.number,
            )
        )
    return rows


def _common(call: PastCall, trunk: PastLeg, target: PastLeg | None) -> Entity:
    answered = target is not None and target.connected is not None
    return {
        "CallDuration": duration((call.ended or call.began) - call.began),
        "CallHistoryId": history_id(call),
        "CdrId": cdr_id(trunk),
        "QualityReport": False,
        "RingingDuration": duration(target.rang if target else 0.0),
        "StartTime": instant(call.began),
        "Status": "Answered" if answered else "Unanswered",
        "TalkingDuration": duration(target.talked if target else 0.0),
        "TrunkName": trunk.dn.name,
        "TrunkNumber": trunk.dn.number,
    }


def _taker(call: PastCall) -> PastLeg | None:
    """Return the last person, machine or party outside that took the call; not a queue."""
    taken = [leg for leg in call.legs[1:] if leg.connected is not None and leg.dn.kind != "queue"]
    return taken[-1] if taken else None


def _rule(site: Site, trunk: str, did: str) -> str | None:
    rules = site.directory.rules(trunk) if did else []
    return next((str(rule["RuleName"]) for rule in rules if rule["Data"] == did), None)
