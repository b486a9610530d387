"""Make the reports on queues from the visits of past calls. Pure but for the site's clock.

A *visit* is a caller's stay in a queue. It is *answered* if an agent whose phone rang for the queue
took the call, and *abandoned* if the call ended in the queue. A visit that was sent elsewhere is
neither. Visits that nobody answered and that were shorter than ``waitInterval`` do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site, instant
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports import callbacks
from monitor.simulator.xapi.reports.arguments import (
    Arguments,
    duration,
    period,
    seconds,
    wanted,
)
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg
from monitor.simulator.xapi.reports.call_log import history_id


@dataclass(frozen=True, slots=True)
class PastVisit:
    """Represent a caller's stay in a queue. ``rung``: the agents' legs, also those in vain."""

    call: PastCall
    queue: PastLeg
    rung: tuple[PastLeg, ...]
    taker: PastLeg | None

    @property
    def waited(self) -> float:
        """Return the seconds until an agent took the call or the caller left."""
        return self.queue.talked

    @property
    def abandoned(self) -> bool:
        """Return whether the call ended in the queue."""
        return self.taker is None and self.queue.ended == self.call.ended


def visits_of(call: PastCall) -> Iterator[PastVisit]:
    """Yield the visits of a call, oldest first."""
    return (_visit(call, leg) for leg in call.legs[1:] if leg.dn.kind == "queue")


def visits(site: Site, arguments: Arguments) -> Iterator[PastVisit]:
    """Yield the visits of a report's period that count, newest first. Raises ODataError."""
    return visits_between(site, arguments, *period(arguments))


def visits_between(
    site: Site, arguments: Arguments, start: float, end: float
) -> Iterator[PastVisit]:
    """Yield the visits that count of calls that began in this time, newest first."""
    shortest = seconds(arguments.get("waitInterval"))
    for call in site.history.between(start, end):
        for visit in visits_of(call):
            if visit.taker is not None or visit.waited >= shortest:
                yield visit


def detailed(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.DetailedQueueStatistics`` rows."""
    rows, made = [], list(callbacks.made_between(site.history, *period(arguments)))
    for queue, found in _by_queue(site, arguments):
        answered = [visit for visit in found if visit.taker is not None]
        waits = sum(visit.waited for visit in answered)
        talks = sum(visit.taker.talked for visit in answered if visit.taker)
        rows.append(
            new_entity(
                "DetailedQueueStatistics",
                AnsweredCount=len(answered),
                AvgRingTime=duration(_mean(waits, answered)),
                AvgTalkTime=duration(_mean(talks, answered)),
                CallbacksCount=sum(one.queue == queue["Number"] for one in made),
                CallsCount=len(found),
                QueueDn=_label(queue),
                QueueDnNumber=queue["Number"],
                RingTime=duration(waits),
                TalkTime=duration(talks),
            )
        )
    return rows


def general(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.TeamQueueGeneralStatistics`` rows."""
    rows = []
    for queue, found in _by_queue(site, arguments):
        talks = [visit.taker.talked for visit in found if visit.taker is not None]
        rows.append(
            new_entity(
                "TeamQueueGeneralStatistics",
                AgentsInQueueCount=len(queue["Agents"]),
                AnsweredCount=len(talks),
                AvgTalkTime=duration(_mean(sum(talks), talks)),
                Dn=_label(queue),
                QueueDnNumber=queue["Number"],
                ReceivedCount=len(found),
                TotalTalkTime=duration(sum(talks)),
            )
        )
    return rows


def service_level(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.StatisticSla`` rows: calls that waited longer than the queue's SLA time."""
    return [
        new_entity(
            "StatisticSla",
            BadSlaCallsCount=sum(visit.waited > queue["SLATime"] for visit in found),
            Dn=_label(queue),
            QueueDnNumber=queue["Number"],
            ReceivedCount=len(found),
        )
        for queue, found in _by_queue(site, arguments)
    ]


def breaches(site: Site, arguments: Arguments) -> list[Entity]:
    """Return a ``Pbx.BreachesSla`` for each call that waited longer than the queue's SLA time."""
    return [
        new_entity(
            "BreachesSla",
            CallTime=instant(visit.call.began),
            CallerId=visit.queue.party.number,
            Queue=_label(queue),
            QueueDnNumber=queue["Number"],
            WaitingTime=duration(visit.waited),
        )
        for queue, found in _by_queue(site, arguments)
        for visit in found
        if visit.waited > queue["SLATime"]
    ]


def answered_by_wait(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.QueueAnsweredCallsByWaitTime``: calls that waited ``answerInterval`` or more."""
    shortest = seconds(arguments.get("answerInterval"))
    return [
        new_entity(
            "QueueAnsweredCallsByWaitTime",
            AnsweredTime=instant(visit.taker.connected),
            CallTime=instant(visit.call.began),
            Destination=f"{visit.taker.dn.number} {visit.taker.dn.name}",
            Dn=_label(queue),
            DnNumber=queue["Number"],
            RingTime=duration(visit.waited),
            Source=visit.queue.party.number,
        )
        for queue, found in _by_queue(site, arguments)
        for visit in found
        if visit.taker is not None and visit.waited >= shortest
    ]


def abandoned(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.AbandonedQueueCalls``: a row for each agent that was rung, or one without."""
    return [
        new_entity(
            "AbandonedQueueCalls",
            CallHistoryId=history_id(visit.call),
            CallTime=instant(visit.call.began),
            CallTimeForCsv=instant(visit.call.began),
            CallerId=visit.queue.party.number,
            ExtensionDisplayName=_name(site, agent),
            ExtensionDn=agent or None,
            IsLoggedIn=_logged_in(site, queue["Number"], agent) if agent else None,
            PollingAttempts=sum(leg.dn.number == agent for leg in visit.rung),
            QueueDisplayName=queue["Name"],
            QueueDn=queue["Number"],
            WaitTime=duration(visit.waited),
        )
        for queue, found in _by_queue(site, arguments)
        for visit in found
        if visit.abandoned
        for agent in dict.fromkeys(leg.dn.number for leg in visit.rung) or ("",)
    ]


def called_back(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.QueueCallbacks`` rows: one for each queue."""
    made = list(callbacks.made_between(site.history, *period(arguments)))
    rows = []
    for queue, found in _by_queue(site, arguments):
        mine = [callback for callback in made if callback.queue == queue["Number"]]
        rows.append(
            new_entity(
                "QueueCallbacks",
                CallbacksCount=len(mine),
                Dn=_label(queue),
                FailCallbacksCount=sum(callback.failed for callback in mine),
                QueueDnNumber=queue["Number"],
                ReceivedCount=len(found),
            )
        )
    return rows


def failed_callbacks(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.QueueFailedCallbacks`` rows: one for each callback that reached nobody."""
    made = list(callbacks.made_between(site.history, *period(arguments)))
    return [
        new_entity(
            "QueueFailedCallbacks",
            CallbackNo=callback.number,
            CallTime=instant(callback.call.began),
            Dn=_label(queue),
            QueueDnNumber=queue["Number"],
            RingTime=duration(callback.outside.rang if callback.outside else 0.0),
        )
        for queue, _ in _by_queue(site, arguments)
        for callback in made
        if callback.failed and callback.queue == queue["Number"]
    ]


def totals(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.QueuePerformanceTotals`` rows."""
    return [
        new_entity(
            "QueuePerformanceTotals",
            ExtensionAnsweredCount=sum(visit.taker is not None for visit in found),
            ExtensionDroppedCount=sum(len(_in_vain(visit)) for visit in found),
            QueueDisplayName=queue["Name"],
            QueueDn=queue["Number"],
            QueueReceivedCount=len(found),
        )
        for queue, found in _by_queue(site, arguments)
    ]


def overview(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.QueuePerformanceOverview`` rows: one for each agent of each queue."""
    rows = []
    for queue, found in _by_queue(site, arguments):
        for place, agent in enumerate(_agents(queue, found)):
            taken = [v.taker for v in found if v.taker and v.taker.dn.number == agent]
            dropped = sum(leg.dn.number == agent for visit in found for leg in _in_vain(visit))
            rows.append(
                new_entity(
                    "QueuePerformanceOverview",
                    ExtensionAnsweredCount=len(taken),
                    ExtensionDisplayName=_name(site, agent),
                    ExtensionDn=agent,
                    ExtensionDroppedCount=dropped,
                    QueueAnsweredCount=sum(visit.taker is not None for visit in found),
                    QueueDisplayName=queue["Name"],
                    QueueDn=queue["Number"],
                    QueueReceivedCount=len(found),
                    SortOrder=place,
                    TalkTime=duration(sum(leg.talked for leg in taken)),
                )
            )
    return rows


def agents(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.AgentsInQueueStatistics`` rows: one for each agent of each queue."""
    start, end = period(arguments)
    rows = []
    for queue, found in _by_queue(site, arguments):
        for agent in _agents(queue, found):
            taken = [v.taker for v in found if v.taker and v.taker.dn.number == agent]
            lost = sum(leg.dn.number == agent for visit in found for leg in _in_vain(visit))
            rings, talks = sum(leg.rang for leg in taken), sum(leg.talked for leg in taken)
            there = site.logins.seconds(queue["Number"], agent, start, end)
            rows.append(
                new_entity(
                    "AgentsInQueueStatistics",
                    AnsweredCount=len(taken),
                    AnsweredPerHourCount=round(len(taken) * 3600 / there) if there else 0,
                    AnsweredPercent=round(100 * len(taken) / len(found)) if found else 0,
                    AvgRingTime=duration(_mean(rings, taken)),
                    AvgTalkTime=duration(_mean(talks, taken)),
                    Dn=agent,
                    DnDisplayName=_name(site, agent),
                    LoggedInTime=duration(there),
                    LostCount=lost,
                    Queue=queue["Number"],
                    QueueDisplayName=queue["Name"],
                    RingTime=duration(rings),
                    TalkTime=duration(talks),
                )
            )
    return rows


def _asked(arguments: Arguments, number: str) -> bool:
    return wanted(arguments, "queueDnStr", number) and wanted(arguments, "queueDns", number)


def _by_queue(site: Site, arguments: Arguments) -> list[tuple[Entity, list[PastVisit]]]:
    found: dict[str, list[PastVisit]] = {}
    for visit in visits(site, arguments):
        found.setdefault(visit.queue.dn.number, []).append(visit)
    queues = sorted(site.directory.queues.values(), key=lambda queue: str(queue["Number"]))
    return [
        (queue, found.get(queue["Number"], []))
        for queue in queues
        if _asked(arguments, queue["Number"])
    ]


def _visit(call: PastCall, queue: PastLeg) -> PastVisit:
    ended = queue.ended or queue.began
    rung = tuple(
        leg
        for leg in call.legs
        if leg.behalf == queue.dn.number and queue.began <= leg.began <= ended
    )
    # the agent's phone is connected in the same change in which the queue is left
    takers = (leg for leg in rung if leg.connected == ended)
    return PastVisit(call, queue, rung, next(takers, None))


def _in_vain(visit: PastVisit) -> list[PastLeg]:
    return [leg for leg in visit.rung if leg is not visit.taker]


def _agents(queue: Entity, found: Iterable[PastVisit]) -> list[str]:
    """Return the queue's agents and those that were rung for it when they were its agents."""
    rung = [leg.dn.number for visit in found for leg in visit.rung]
    return list(dict.fromkeys([*(row["Number"] for row in queue["Agents"]), *rung]))


def _logged_in(site: Site, queue: str, agent: str) -> bool:
    user = site.directory.entity(agent)
    there = user is not None and user["QueueStatus"] == "LoggedIn"
    return there and site.directory.logins.logged_in(queue, agent)


def _name(site: Site, number: str) -> str | None:
    dn = site.directory.dn(number)
    return dn.name if dn is not None else None


def _label(queue: Entity) -> str:
    return f"{queue['Number']} {queue['Name']}"


def _mean(total: float, of: list[PastVisit] | list[PastLeg] | list[float]) -> float:
    return total / len(of) if of else 0.0
