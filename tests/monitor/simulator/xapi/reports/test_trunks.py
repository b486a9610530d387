"""Reports on calls from outside and to the outside."""

from __future__ import annotations

from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, Bench
from tests.monitor.simulator.xapi_client import Client

PERIOD = "periodFrom=2026-03-01T00:00:00Z,periodTo=2026-03-31T00:00:00Z"


def report(name: str, trunk: str = "") -> str:
    return f"/Report{name}/Pbx.Get{name}({PERIOD},trunkDns='{trunk}',callsType=0)"


async def test_a_call_from_outside_names_its_rule_and_who_took_it() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    rule = pbx.directory.rules("10000")[0]
    call = pbx.switchboard.arrive("10000", CALLER, rule["Data"], rule["RuleName"])
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ["104"])
    pbx.now += 7
    pbx.switchboard.answer(call, "104")
    pbx.now += 20
    pbx.switchboard.end(call)
    pbx.switchboard.end(pbx.inbound("101"))
    missed, taken = (await client.get(report("InboundCalls"))).value
    assert (taken["RuleName"], taken["Did"]) == (rule["RuleName"], rule["Data"])
    assert (taken["DestinationDn"], taken["Status"]) == ("104", "Answered")
    assert (taken["CallDuration"], taken["RingingDuration"], taken["TalkingDuration"]) == (
        "PT27S",
        "PT7S",
        "PT20S",
    )
    assert (missed["DestinationDn"], missed["Status"]) == ("101", "Unanswered")
    assert missed["RuleName"] is None
    only = await client.get(report("InboundCalls", "10000"))
    assert only.column("SourceCallerId") == [CALLER]
    assert (await client.get(report("OutboundCalls"))).value == []


async def test_a_call_to_the_outside_names_who_made_it() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    call = pbx.switchboard.dial("100", MOBILE)
    pbx.now += 4
    pbx.switchboard.answer(call, "10000")
    pbx.now += 6
    pbx.switchboard.end(call)
    (row,) = (await client.get(report("OutboundCalls"))).value
    assert (row["SourceDn"], row["DestinationCalleeId"], row["Answered"]) == ("100", MOBILE, True)
    assert (row["TalkingDuration"], row["TrunkNumber"]) == ("PT6S", "10000")
    assert (await client.get(report("InboundCalls"))).value == []
