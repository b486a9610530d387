"""Make the charts on queues: a value for each hour of a day in the client's time zone.

What ``chartBy`` selects is not documented: the chart is of the whole day of ``chartDate``, by
hours. Nor is it documented what the two values are; here they are what the report is named after.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site, instant
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.reports.arguments import Arguments, moment, wanted, zone
from monitor.simulator.xapi.reports.queues import PastVisit, visits_between

_HOUR_S = 3600.0


def answered_and_not(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.TimeReportData``: visits that were answered, and those that were not."""
    return [
        new_entity(
            "TimeReportData",
            XValue=instant(hour),
            YValue1=sum(visit.taker is not None for visit in found),
            YValue2=sum(visit.taker is None for visit in found),
        )
        for hour, found in _by_hour(site, arguments)
    ]


def average_wait(site: Site, arguments: Arguments) -> list[Entity]:
    """Return ``Pbx.TimeReportData``: the average wait in seconds; 0 in an hour without visits."""
    return [
        new_entity(
            "TimeReportData",
            XValue=instant(hour),
            YValue1=round(sum(visit.waited for visit in found) / max(1, len(found))),
        )
        for hour, found in _by_hour(site, arguments)
    ]


def _by_hour(site: Site, arguments: Arguments) -> Iterator[tuple[float, list[PastVisit]]]:
    """Yield the beginning of each hour of the day, and the visits of calls that began in it."""
    day = datetime.fromtimestamp(moment(arguments["chartDate"]), zone(arguments)).date()
    midnight, next_midnight = (
        datetime.combine(day + timedelta(days), datetime.min.time(), zone(arguments)).timestamp()
        for days in (0, 1)
    )
    hours = round((next_midnight - midnight) / _HOUR_S)
    found: list[list[PastVisit]] = [[] for _ in range(hours)]
    for visit in visits_between(site, arguments, midnight, next_midnight):
        place = int((visit.call.began - midnight) // _HOUR_S)
        if place < hours and wanted(arguments, "queueDnStr", visit.queue.dn.number):
            found[place].append(visit)
    return ((midnight + place * _HOUR_S, one) for place, one in enumerate(found))
