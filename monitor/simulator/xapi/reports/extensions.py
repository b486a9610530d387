"""Make the reports on extensions, ring groups and inbound rules from past calls."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.arguments import Arguments, duration, period, wanted
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg


def extensions(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.ExtensionStatistics`` rows: what each extension took and what it called."""
    calls = list(site.history.between(*period(arguments)))
    return [
        new_entity("ExtensionStatistics", **_of_extension(site, calls, number))
        for number in site.directory.extensions()
        if wanted(arguments, "extensionFilter", number)
    ]


def extensions_of_group(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.ReportExtensionStatisticsByGroup`` rows: those of a department's members."""
    calls = list(site.history.between(*period(arguments)))
    return [
        new_entity("ReportExtensionStatisticsByGroup", **_of_extension(site, calls, number))
        for number in site.directory.extensions()
        if _in_group(site, number, str(arguments["groupNumber"] or ""))
    ]


def ring_groups(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.RingGroupStatistics`` rows."""
    rows = []
    for number, found in _by_ring_group(site, arguments):
        dn = site.directory.dn(number)
        answered = sum(any(leg.connected is not None for leg in legs) for legs in found)
        rows.append(
            new_entity(
                "RingGroupStatistics",
                RingGroupAnsweredCount=answered,
                RingGroupDisplayName=dn.name if dn else None,
                RingGroupDn=number,
                RingGroupReceivedCount=len(found),
            )
        )
    return rows


def extensions_of_ring_groups(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.ExtensionsStatisticsByRingGroups`` rows: one for each member."""
    rows = []
    for number, found in _by_ring_group(site, arguments):
        answered = sum(any(leg.connected is not None for leg in legs) for legs in found)
        dn = site.directory.dn(number)
        for place, member in enumerate(site.directory.members(number)):
            own = site.directory.dn(member)
            rows.append(
                new_entity(
                    "ExtensionsStatisticsByRingGroups",
                    ExtensionAnsweredCount=sum(
                        leg.dn.number == member and leg.connected is not None
                        for legs in found
                        for leg in legs
                    ),
                    ExtensionDisplayName=own.name if own else None,
                    ExtensionDn=member,
                    RingGroupDisplayName=dn.name if dn else None,
                    RingGroupDn=number,
                    RingGroupReceivedCount=len(found),
                    RingGroupUnansweredCount=len(found) - answered,
                    SortOrder=place,
                )
            )
    return rows


def inbound_rules(site: Site, _: Arguments) -> list[Entity]:
    """Return ``Pbx.InboundRuleReport`` rows."""
    return [
        new_entity(
            "InboundRuleReport",
            DID=rule["Data"],
            Id=rule["Id"],
            InOfficeRouting=rule["OfficeHoursDestination"],
            OutOfficeRouting=rule["OutOfOfficeHoursDestination"],
            RuleName=rule["RuleName"],
            Trunk=rule["TrunkDN"]["Number"],
        )
        for rule in site.directory.inbound_rules.values()
    ]


def _of_extension(site: Site, calls: list[PastCall], number: str) -> Entity:
    dn = site.directory.dn(number)
    rung = [leg for call in calls for leg in call.legs[1:] if leg.dn.number == number]
    made = [call for call in calls if call.legs[0].dn.number == number]
    taken = [leg for leg in rung if leg.connected is not None]
    reached = [talk for call in made for talk in _talks(call)]
    return {
        "DisplayName": dn.name if dn else None,
        "Dn": number,
        "InboundAnsweredCount": len(taken),
        "InboundAnsweredTalkingDur": duration(sum(leg.talked for leg in taken)),
        "InboundUnansweredCount": len(rung) - len(taken),
        "OutboundAnsweredCount": len(reached),
        "OutboundAnsweredTalkingDur": duration(sum(reached)),
        "OutboundUnansweredCount": len(made) - len(reached),
    }


def _talks(call: PastCall) -> Iterator[float]:
    """Yield the seconds for which the caller was connected, if anything took the call."""
    if any(leg.connected is not None for leg in call.legs[1:]):
        yield call.legs[0].talked


def _in_group(site: Site, number: str, group: str) -> bool:
    user = site.directory.entity(number)
    ids = {row["GroupId"] for row in user["Groups"]} if user else set()
    known = site.directory.groups.values()
    return not group or any(one["Number"] == group and one["Id"] in ids for one in known)


def _by_ring_group(site: Site, arguments: Arguments) -> list[tuple[str, list[list[PastLeg]]]]:
    """Return for each ring group, for each call to it, the legs that rang for it."""
    calls = list(site.history.between(*period(arguments)))
    found = []
    for number in site.directory.ring_group_numbers():
        if wanted(arguments, "ringGroupDns", number):
            legs = ([leg for leg in call.legs if leg.behalf == number] for call in calls)
            found.append((number, [one for one in legs if one]))
    return found
