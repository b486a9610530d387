"""The call log and the call history."""

from __future__ import annotations

import re

import pytest

from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, Bench
from tests.monitor.simulator.xapi_client import Client

ALL = (
    "periodFrom=2026-03-01T00:00:00Z,periodTo=2026-03-31T00:00:00Z,sourceType=0,"
    "sourceFilter='{source}',destinationType=0,destinationFilter='{target}',callsType=0,"
    "callTimeFilterType=0,callTimeFilterFrom='0:00:0',callTimeFilterTo='0:00:0',hidePcalls=true"
)


def log(source: str = "", target: str = "") -> str:
    return f"/ReportCallLogData/Pbx.GetCallLogData({ALL.format(source=source, target=target)})"


@pytest.fixture
def client(pbx: Bench) -> Client:
    return Client(bench=pbx)


def through_the_queue(pbx: Bench) -> None:
    """A call waits 15 seconds, rings at two agents in turn, and talks for a minute."""
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ["104"])
    pbx.now += 10
    pbx.switchboard.no_answer(call)
    pbx.switchboard.poll(call, ["105"])
    pbx.now += 5
    pbx.switchboard.answer(call, "105")
    pbx.now += 60
    pbx.switchboard.end(call)


async def test_a_conversation_is_a_row_for_each_leg(pbx: Bench, client: Client) -> None:
    through_the_queue(pbx)
    rows = (await client.get(log())).value
    told = [(row["DestinationDn"], row["CallType"], row["Status"], row["Answered"]) for row in rows]
    assert told == [
        ("800", "Queue", "Waiting", True),
        ("104", "Extension", "Unanswered", False),
        ("105", "Extension", "Answered", True),
    ]
    assert [(row["RingingDuration"], row["TalkingDuration"]) for row in rows] == [
        ("PT15S", "PT0S"),
        ("PT10S", "PT0S"),
        ("PT5S", "PT1M"),
    ]
    assert re.fullmatch(r".* \(800\) was replaced by No105, Ann \(105\)", rows[0]["Reason"])
    assert {(row["SourceDn"], row["SourceCallerId"]) for row in rows} == {("10000", CALLER)}
    assert {row["Direction"] for row in rows} == {"Inbound"}
    assert len({row["MainCallHistoryId"] for row in rows}) == 1
    assert len({row["CdrId"] for row in rows}) == len({row["SegmentId"] for row in rows}) == 3
    assert rows[0]["CdrId"].startswith("00000000-01dc-"), "a Windows file time of 2026"


async def test_the_newest_call_comes_first(pbx: Bench, client: Client) -> None:
    for number in ("100", "101"):
        pbx.switchboard.end(pbx.inbound(number))
        pbx.now += 1
    assert (await client.get(log())).column("DestinationDn") == ["101", "100"]


async def test_calls_outside_and_inside(pbx: Bench, client: Client) -> None:
    pbx.switchboard.end(pbx.switchboard.dial("100", MOBILE))
    pbx.switchboard.end(pbx.switchboard.dial("101", "102"))
    inside, outside = (await client.get(log())).value
    assert (outside["Direction"], outside["CallType"]) == ("Outbound", "External")
    assert (outside["SourceDn"], outside["DestinationDn"]) == ("100", "10000")
    assert outside["DestinationCallerId"] == MOBILE
    assert (inside["Direction"], inside["SourceCallerId"]) == ("Internal", "101")


async def test_the_filters_are_of_numbers_and_names(pbx: Bench, client: Client) -> None:
    pbx.switchboard.end(pbx.switchboard.dial("100", "101"))
    pbx.switchboard.end(pbx.inbound("102"))
    assert (await client.get(log(source=CALLER))).column("DestinationDn") == ["102"]
    assert (await client.get(log(target="no101"))).column("DestinationDn") == ["101"]
    assert (await client.get(log(source="nobody"))).value == []


async def test_the_log_is_filtered_and_counted_as_any_collection(
    pbx: Bench, client: Client
) -> None:
    through_the_queue(pbx)
    query = (
        "$filter=Answered eq true&$top=1000&$count=true&$select=DestinationDn&$orderby=SegmentId"
    )
    answer = await client.ask("GET", log(), query=query)
    assert (answer.status, answer.body["@odata.count"]) == (200, 2), "a thousand rows at once"
    assert answer.column("DestinationDn") == ["800", "105"]


async def test_a_parameter_limits_the_rows(pbx: Bench, client: Client) -> None:
    for _ in range(3):
        pbx.switchboard.end(pbx.inbound("100"))
        pbx.now += 1
    (parameter,) = (await client.get("/Parameters")).value
    path = f"/Parameters({parameter['Id']})"
    await client.ask("PATCH", path, {"Value": "2"})
    assert (await client.get(log())).column("CallId") == [3, 2]
    await client.ask("DELETE", path)
    assert len((await client.get(log())).value) == 3


async def test_without_parameters_it_is_a_bad_request_and_admins_may_not_read_it() -> None:
    client = Client()
    for path in ("Pbx.GetCallLogData", "Pbx.GetCallLogData()"):
        answer = await client.ask("GET", f"/ReportCallLogData/{path}")
        assert answer.status == 400
        assert "'periodFrom'" in answer.body["error"]["message"]
    wrong = log().replace("sourceType=0", "sourceType='x'")
    assert "'sourceType'" in (await client.ask("GET", wrong)).body["error"]["message"]
    assert (await client.ask("GET", "/ReportCallLogData")).status == 404
    assert (await Client(role="system_admins").ask("GET", log())).status == 403


async def test_the_history_has_the_same_segments(pbx: Bench, client: Client) -> None:
    through_the_queue(pbx)
    rows = (await client.get("/CallHistoryView")).value
    assert [(row["DstDn"], row["CallAnswered"], row["SegmentType"]) for row in rows] == [
        ("800", True, 2),
        ("104", False, 1),
        ("105", True, 2),
    ]
    assert rows[2]["CallTime"] == "PT1M"
    assert {row["SrcExternal"] for row in rows} == {True}
    ids = (await client.get(log())).column("SegmentId")
    assert [row["SegmentId"] for row in rows] == ids
