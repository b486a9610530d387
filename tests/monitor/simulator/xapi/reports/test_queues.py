"""Reports on queues; expected values are reckoned by hand from two calls."""

from __future__ import annotations

import pytest

from monitor.simulator.traffic.generator import TrafficGenerator
from monitor.simulator.xapi.reports.queues import visits_of
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, Bench
from tests.monitor.simulator.xapi.reports.test_call_log import through_the_queue
from tests.monitor.simulator.xapi_client import Client

DAY = "startDt=2026-03-01T00:00:00Z,endDt=2026-03-31T00:00:00Z"
PERIOD = "periodFrom=2026-03-01T00:00:00Z,periodTo=2026-03-31T00:00:00Z"


@pytest.fixture
def client() -> Client:
    """A call that waited 15 s and talked a minute, and one that was abandoned after 30 s."""
    pbx = Bench()
    client = Client(bench=pbx)
    through_the_queue(pbx)
    call = pbx.switchboard.arrive("10001", MOBILE)
    pbx.switchboard.route(call, "800")
    pbx.now += 10
    for _ in range(2):
        pbx.switchboard.poll(call, ["104"])
        pbx.now += 10
        pbx.switchboard.no_answer(call)
    pbx.switchboard.end(call)
    return client


def detailed(queue: str = "", interval: str = "0:00:0") -> str:
    return (
        "/ReportDetailedQueueStatistics/Pbx.GetDetailedQueueStatisticsData("
        f"queueDnStr='{queue}',{DAY},waitInterval='{interval}')"
    )


async def test_detailed_statistics(client: Client) -> None:
    row, other = (await client.get(detailed())).value
    assert (row["QueueDnNumber"], row["CallsCount"], row["AnsweredCount"]) == ("800", 2, 1)
    assert (row["RingTime"], row["AvgRingTime"]) == ("PT15S", "PT15S")
    assert (row["TalkTime"], row["AvgTalkTime"]) == ("PT1M", "PT1M")
    assert (other["QueueDnNumber"], other["CallsCount"]) == ("801", 0)
    (only,) = (await client.get(detailed("801"))).value
    assert only["QueueDnNumber"] == "801"
    assert (await client.get(detailed("800,801"))).value == [], "3CX takes one"


async def test_a_short_wait_in_vain_does_not_count(client: Client) -> None:
    assert (await client.get(detailed("800", "0:00:31"))).column("CallsCount") == [1]
    assert (await client.get(detailed("800", "0:00:30"))).column("CallsCount") == [2]


async def test_abandoned_calls(client: Client) -> None:
    path = (
        "/ReportAbandonedQueueCalls/Pbx.GetAbandonedQueueCallsData("
        f"{PERIOD},queueDns='',waitInterval='0:00:0')"
    )
    (row,) = (await client.get(path)).value
    assert (row["CallerId"], row["QueueDn"], row["WaitTime"]) == (MOBILE, "800", "PT30S")
    assert (row["ExtensionDn"], row["PollingAttempts"], row["IsLoggedIn"]) == ("104", 2, True)


async def test_performance(client: Client) -> None:
    totals = (
        "/ReportQueuePerformanceTotals/Pbx.GetQueuePerformanceTotalsData("
        f"{PERIOD},queueDns='800',waitInterval='0:00:0')"
    )
    (row,) = (await client.get(totals)).value
    counts = ("QueueReceivedCount", "ExtensionAnsweredCount", "ExtensionDroppedCount")
    assert [row[name] for name in counts] == [2, 1, 3]
    overview = totals.replace("Totals", "Overview")
    rows = {row["ExtensionDn"]: row for row in (await client.get(overview)).value}
    assert list(rows) == ["104", "105", "106"]
    assert [rows["104"][name] for name in counts] == [2, 0, 3]
    assert [rows["105"][name] for name in counts] == [2, 1, 0]
    assert rows["105"]["TalkTime"] == "PT1M"


async def test_agents_levels_and_waits(client: Client) -> None:
    def path(name: str, rest: str = "waitInterval='0:00:0'") -> str:
        return f"/Report{name}/Pbx.Get{name}Data(queueDnStr='800',{DAY},{rest})"

    rows = {row["Dn"]: row for row in (await client.get(path("AgentsInQueueStatistics"))).value}
    assert (rows["105"]["AnsweredCount"], rows["105"]["AnsweredPercent"]) == (1, 50)
    assert (rows["105"]["RingTime"], rows["104"]["LostCount"]) == ("PT5S", 3)
    assert rows["106"]["LoggedInTime"] == "PT1M45S", "since the history began"
    (level,) = (await client.get(path("StatisticSla"))).value
    assert (level["ReceivedCount"], level["BadSlaCallsCount"]) == (2, 1)
    (breach,) = (await client.get(path("BreachesSla"))).value
    assert (breach["CallerId"], breach["WaitingTime"]) == (MOBILE, "PT30S")
    (team,) = (await client.get(path("TeamQueueGeneralStatistics"))).value
    assert (team["AgentsInQueueCount"], team["TotalTalkTime"]) == (3, "PT1M")
    waits = path("QueueAnsweredCallsByWaitTime", "answerInterval='0:00:15'")
    assert (await client.get(waits)).column("Source") == [CALLER]
    assert (await client.get(waits.replace("0:00:15", "0:00:16"))).value == []


async def test_a_call_that_was_sent_on_is_neither_answered_nor_abandoned() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.now += 20
    pbx.switchboard.route(call, "101")
    pbx.now += 5
    pbx.switchboard.answer(call, "101")
    pbx.switchboard.end(call)
    (row,) = (await client.get(detailed("800"))).value
    assert (row["CallsCount"], row["AnsweredCount"]) == (1, 0)
    path = (
        "/ReportAbandonedQueueCalls/Pbx.GetAbandonedQueueCallsData("
        f"{PERIOD},queueDns='',waitInterval='0:00:0')"
    )
    assert (await client.get(path)).value == []


async def test_what_the_traffic_did_is_what_the_reports_say() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    traffic = TrafficGenerator(pbx.switchboard, pbx.directory, 11, 120.0, limit=150)
    while traffic.stats.over < 150:
        pbx.now += 0.05
        traffic.advance(0.05)
    truth = {call.call_id: call for call in pbx.switchboard.ended()}
    past = list(client.site.history.between(0.0, 2**40))
    assert {call.call_id for call in past} == set(truth)
    found = [visit for call in past for visit in visits_of(call)]
    lost = {visit.call.call_id for visit in found if visit.abandoned}
    assert lost == {
        call.call_id
        for call in truth.values()
        if call.outcome == "abandoned" and any(leg.dn_type == "queue" for leg in call.legs)
    }, "who left the queue for a menu was not lost in the queue"
    taken = [visit for visit in found if visit.taker is not None]
    assert len(taken) > 20
    assert {truth[visit.call.call_id].outcome for visit in taken} == {"answered"}
    rows = (await client.get(detailed())).value
    assert sum(row["AnsweredCount"] for row in rows) == len(taken)
