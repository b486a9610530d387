"""Report by days when agents were logged in to their queues.

A session that goes on ends with the report's period, or now.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.arguments import (
    Arguments,
    duration,
    local_text,
    period,
    wanted,
    zone,
)


def login_history(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.AgentLoginHistory`` rows: one for each day of a session."""
    zone_ = zone(arguments)
    start, end = period(arguments)
    rows: list[Entity] = []
    for queue in site.directory.queue_numbers():
        for agent in site.directory.agents(queue):
            if wanted(arguments, "queueDnStr", queue) and wanted(arguments, "agentDnStr", agent):
                rows += _rows(site, queue, agent, (start, end), zone_)
    return rows


def _rows(
    site: Site, queue: str, agent: str, span: tuple[float, float], zone_: tzinfo
) -> Iterator[Entity]:
    days = [
        day
        for session in site.logins.sessions(queue, agent, *span)
        for day in _days(*session, zone_)
    ]
    dn = site.directory.dn(agent)
    for midnight, began, ended in days:
        same_day = [(b, e) for m, b, e in days if m == midnight]
        yield new_entity(
            "AgentLoginHistory",
            Agent=f"{agent} {dn.name}" if dn else agent,
            AgentNo=agent,
            Day=local_text(midnight, zone_),
            LoggedInDayInterval=duration(sum(e - b for b, e in same_day)),
            LoggedInInterval=duration(ended - began),
            LoggedInTotalInterval=duration(sum(e - b for _, b, e in days)),
            LoggedOutDt=local_text(ended, zone_),
            QueueNo=queue,
            TalkingDayInterval=duration(_talked(site, queue, agent, same_day)),
            TalkingInterval=duration(_talked(site, queue, agent, [(began, ended)])),
            TalkingTotalInterval=duration(_talked(site, queue, agent, [span])),
            loggedInDt=local_text(began, zone_),
        )


def _days(began: float, ended: float, zone_: tzinfo) -> Iterator[tuple[float, float, float]]:
    """Yield the midnight, the first and the last moment of each day of a session."""
    while began < ended:
        day = datetime.fromtimestamp(began, zone_).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        following = (day + timedelta(days=1)).timestamp()
        yield day.timestamp(), began, min(ended, following)
        began = following


def _talked(site: Site, queue: str, agent: str, spans: list[tuple[float, float]]) -> float:
    """Return the seconds for which an agent talked for a queue, by when the talks began."""
    first, last = min(b for b, _ in spans), max(e for _, e in spans)
    return sum(
        leg.talked
        for call in site.history.between(0.0, last)
        if call.ended is not None and call.ended >= first
        for leg in call.legs
        if (leg.behalf, leg.dn.number) == (queue, agent) and leg.connected is not None
        if any(begin <= leg.connected <= end for begin, end in spans)
    )
