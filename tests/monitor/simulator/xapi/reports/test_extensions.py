"""Reports on extensions, ring groups and inbound rules."""

from __future__ import annotations

from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, Bench
from tests.monitor.simulator.xapi_client import Client

PERIOD = "periodFrom=2026-03-01T00:00:00Z,periodTo=2026-03-31T00:00:00Z"


async def test_what_extensions_took_and_called() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    call = pbx.talk("100")
    pbx.now += 30
    pbx.switchboard.end(call)
    pbx.switchboard.end(pbx.inbound("100"))
    out = pbx.switchboard.dial("100", MOBILE)
    pbx.switchboard.answer(out, "10000")
    pbx.now += 5
    pbx.switchboard.end(out)
    path = (
        "/ReportExtensionStatistics/Pbx.GetExtensionStatisticsData("
        f"{PERIOD},extensionFilter='100',callArea=0)"
    )
    (row,) = (await client.get(path)).value
    assert (row["InboundAnsweredCount"], row["InboundUnansweredCount"]) == (1, 1)
    assert (row["InboundAnsweredTalkingDur"], row["OutboundAnsweredTalkingDur"]) == (
        "PT30S",
        "PT5S",
    )
    assert (row["OutboundAnsweredCount"], row["OutboundUnansweredCount"]) == (1, 0)
    user = pbx.directory.entity("100")
    assert user is not None
    group = pbx.directory.groups[user["Groups"][0]["GroupId"]]["Number"]
    grouped = (
        "/ReportExtensionStatisticsByGroup/Pbx.GetExtensionStatisticsByGroupData("
        f"groupNumber='{group}',{PERIOD},callArea=0)"
    )
    assert "100" in (await client.get(grouped)).column("Dn")
    assert (await client.get(grouped.replace(group, "GRP9"))).value == []


async def test_ring_groups() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    for answered in (True, False):
        call = pbx.switchboard.arrive("10000", CALLER)
        pbx.switchboard.route(call, "600")
        if answered:
            pbx.switchboard.answer(call, "102")
        pbx.switchboard.end(call)
    path = f"/ReportRingGroupStatistics/Pbx.GetRingGroupStatisticsData({PERIOD},ringGroupDns='600')"
    (row,) = (await client.get(path)).value
    assert (row["RingGroupReceivedCount"], row["RingGroupAnsweredCount"]) == (2, 1)
    members = path.replace("RingGroupStatistics", "ExtensionsStatisticsByRingGroups")
    rows = (await client.get(members)).value
    assert [(row["ExtensionDn"], row["ExtensionAnsweredCount"]) for row in rows] == [
        ("101", 0),
        ("102", 1),
    ]


async def test_inbound_rules() -> None:
    client = Client()
    rows = (await client.get("/ReportInboundRules/Pbx.GetInboundRulesData()")).value
    assert [row["Id"] for row in rows] == list(client.directory.inbound_rules)
    assert (rows[0]["DID"], rows[0]["Trunk"]) == ("+15153182960", "10000")
    top = await client.ask("GET", "/ReportInboundRules/Pbx.GetInboundRulesData()", top=101)
    assert top.status == 400
