"""Read and purge logs: of calls, events and activity; delete recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitor.simulator.xapi.actions.operation import DONE, Operation, body_ids
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.odata.operators import written
from monitor.simulator.xapi.reports.arguments import moment
from monitor.simulator.xapi.reports.call_history import PastCall, PastLeg
from monitor.simulator.xapi.reports.call_log import call_history
from monitor.simulator.xapi.request import XapiRequest, XapiResponse

_LATEST: Final = 2.0**40


def _activity(asked: XapiRequest) -> XapiResponse:
    """Answer what happened in past calls, line by line, oldest first."""
    given = asked.arguments
    start, end = moment(given["startDate"]), moment(given["endDate"])
    call, extension = str(given["call"] or ""), str(given["extension"] or "")
    lines = sorted(
        line
        for past in _logged(asked.site)
        if call in ("", str(past.call_id))
        for line in _lines(past, extension)
        if start <= line[0] <= end
    )
    rows = [
        new_entity("ActivityLogEvent", Index=index, Message=text, TimeStamp=written(at))
        for index, (at, text) in enumerate(lines, start=1)
    ]
    return asked.many("ActivityLogEvent", rows, "Collection(Pbx.ActivityLogEvent)")


def _activity_filter(asked: XapiRequest) -> XapiResponse:
    """Answer of which extensions and calls there is activity."""
    calls: dict[str, list[str]] = {number: [] for number in asked.site.directory.extensions()}
    for past in _logged(asked.site):
        for number in dict.fromkeys(leg.dn.number for leg in past.legs):
            if number in calls:
                calls[number].append(str(past.call_id))
    extensions = [{"CallIds": ids, "Number": number} for number, ids in calls.items()]
    shown = new_entity("ActivityLogsFilter", Extensions=extensions)
    return asked.one("ActivityLogsFilter", shown, "Pbx.ActivityLogsFilter")


def _purge_activity(asked: XapiRequest) -> XapiResponse:
    asked.site.activity_since = asked.site.clock()
    return DONE


def _logged(site: Site) -> Iterator[PastCall]:
    return site.history.between(site.activity_since, _LATEST)


def _lines(call: PastCall, extension: str) -> Iterator[tuple[float, str]]:
    """Yield moment and text of all that happened in a call, or at one extension in it."""
    for leg in call.legs:
        if extension in ("", leg.dn.number):
            for at, word in _moments(call, leg):
                if at is not None:
                    yield at, f"[CallID {call.call_id}] {leg.dn.number} {leg.number} {word}"


def _moments(call: PastCall, leg: PastLeg) -> list[tuple[float | None, str]]:
    began = "calls" if leg is call.legs[0] else "is called"
    return [(leg.began, began), (leg.connected, "is connected"), (leg.ended, "leaves")]


def _events(asked: XapiRequest) -> XapiResponse:
    return asked.many("EventLog", asked.site.events.rows(), "EventLogs")


def _purge_events(asked: XapiRequest) -> XapiResponse:
    asked.site.events.forget()
    return DONE


def _calls(asked: XapiRequest) -> XapiResponse:
    return asked.many("CallHistoryView", call_history(asked.site), "CallHistoryView")


def _delete_recordings(asked: XapiRequest) -> XapiResponse:
    for key in body_ids(asked):
        asked.site.history.recordings.pop(key, None)
    return DONE


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("ActivityLog", "Pbx.GetLogs"): Operation("GET", _activity),
    ("ActivityLog", "Pbx.GetFilter"): Operation("GET", _activity_filter),
    ("ActivityLog", "Pbx.PurgeLogs"): Operation("POST", _purge_activity),
    ("EventLogs", "Pbx.DownloadEventLogs"): Operation("GET", _events),
    ("EventLogs", "Pbx.PurgeEventLog"): Operation("POST", _purge_events),
    ("CallHistoryView", "Pbx.DownloadCallHistory"): Operation("GET", _calls),
    ("Recordings", "Pbx.BulkRecordingsDelete"): Operation("POST", _delete_recordings),
}
"""Operations by the collection to which they belong and by name."""
