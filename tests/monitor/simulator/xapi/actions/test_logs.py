"""Logs of calls, events and activity."""

from __future__ import annotations

from tests.monitor.simulator.exchange_bench import CALLER, Bench
from tests.monitor.simulator.xapi_client import Client

LOGS = (
    "/ActivityLog/Pbx.GetLogs(startDate=2026-03-01T00:00:00Z,endDate=2026-03-31T00:00:00Z,"
    "extension='{extension}',call='{call}',severity='')"
)


def after_two_calls() -> tuple[Bench, Client]:
    pbx = Bench()
    client = Client(bench=pbx)
    for number in ("100", "101"):
        call = pbx.inbound(number)
        pbx.now += 5
        pbx.switchboard.answer(call, number)
        pbx.now += 5
        pbx.switchboard.end(call)
    return pbx, client


async def test_the_activity_of_calls_is_told_line_by_line() -> None:
    pbx, client = after_two_calls()
    rows = (await client.get(LOGS.format(extension="101", call=""))).value
    assert [row["Message"] for row in rows] == [
        "[CallID 2] 101 101 is called",
        "[CallID 2] 101 101 is connected",
        "[CallID 2] 101 101 leaves",
    ]
    assert [row["Index"] for row in rows] == [1, 2, 3]
    first = (await client.get(LOGS.format(extension="", call="1"))).value
    assert first[0]["Message"] in (
        f"[CallID 1] 10002 {CALLER} calls",
        "[CallID 1] 100 100 is called",
    )
    assert len(first) == 6
    told = (await client.get("/ActivityLog/Pbx.GetFilter()")).body["Extensions"]
    assert {"CallIds": ["2"], "Number": "101"} in told
    pbx.now += 1
    assert (await client.ask("POST", "/ActivityLog/Pbx.PurgeLogs")).status == 204
    assert (await client.get(LOGS.format(extension="", call=""))).value == []
    assert len((await client.get("/CallHistoryView")).value) == 2, "another log"


async def test_events_are_purged_and_downloaded() -> None:
    client = Client()
    assert len((await client.get("/EventLogs/Pbx.DownloadEventLogs()")).value) == 1
    assert (await client.ask("POST", "/EventLogs/Pbx.PurgeEventLog")).status == 204
    assert (await client.get("/EventLogs/Pbx.DownloadEventLogs()")).value == []


async def test_the_history_is_downloaded_and_the_last_call_told() -> None:
    _, client = after_two_calls()
    rows = (await client.get("/CallHistoryView/Pbx.DownloadCallHistory()")).value
    assert rows == (await client.get("/CallHistoryView")).value
    (last,) = (await client.get("/LastCdrAndChatMessageTimestamp")).value
    assert last["LastCdrStartedAt"] == "2026-03-04T12:00:10.0000000Z"
    assert (await Client().get("/LastCdrAndChatMessageTimestamp")).value == []
