"""List the reports: functions that make a report's rows from a site and the request's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.reports import (
    agent_logins,
    call_log,
    charts,
    extensions,
    queues,
    trunks,
)
from monitor.simulator.xapi.reports.arguments import Arguments

Report: TypeAlias = Callable[[Site, Arguments], list[Entity]]


def nothing(_: Site, __: Arguments) -> list[Entity]:
    """Return no rows: the simulated PBX has no chats."""
    return []


REPORTS: Final[Mapping[str, Report]] = {
    "ReportAbandonedQueueCalls": queues.abandoned,
    "ReportAgentLoginHistory": agent_logins.login_history,
    "ReportAgentsInQueueStatistics": queues.agents,
    "ReportAverageQueueWaitingTime": charts.average_wait,
    "ReportBreachesSla": queues.breaches,
    "ReportCallLogData": call_log.call_log,
    "ReportDetailedQueueStatistics": queues.detailed,
    "ReportExtensionStatistics": extensions.extensions,
    "ReportExtensionStatisticsByGroup": extensions.extensions_of_group,
    "ReportExtensionsStatisticsByRingGroups": extensions.extensions_of_ring_groups,
    "ReportInboundCalls": trunks.inbound_calls,
    "ReportInboundRules": extensions.inbound_rules,
    "ReportOutboundCalls": trunks.outbound_calls,
    "ReportQueueAnUnCalls": charts.answered_and_not,
    "ReportQueueAnsweredCallsByWaitTime": queues.answered_by_wait,
    "ReportQueueCallbacks": queues.called_back,
    "ReportQueueFailedCallbacks": queues.failed_callbacks,
    "ReportQueuePerformanceOverview": queues.overview,
    "ReportQueuePerformanceTotals": queues.totals,
    "ReportRingGroupStatistics": extensions.ring_groups,
    "ReportStatisticSla": queues.service_level,
    "ReportTeamQueueGeneralStatistics": queues.general,
}
"""Reports by the name of their owner. The others have no rows."""
