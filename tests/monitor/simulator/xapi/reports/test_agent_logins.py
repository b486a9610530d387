from __future__ import annotations

from tests.monitor.simulator.exchange_bench import NOON, Bench
from tests.monitor.simulator.xapi.reports.test_call_log import through_the_queue
from tests.monitor.simulator.xapi_client import Client

PATH = (
    "/ReportAgentLoginHistory/Pbx.GetAgentLoginHistoryData(clientTimeZone='America/Chicago',"
    "startDt=2026-03-01T00:00:00Z,endDt=2026-03-31T00:00:00Z,queueDnStr='800',agentDnStr='105')"
)


async def test_a_session_over_midnight_is_a_row_for_each_day() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    through_the_queue(pbx)
    pbx.now = NOON + 20 * 3600  # noon is 6 o'clock in Chicago
    first, second = (await client.get(PATH)).value
    assert (first["AgentNo"], first["QueueNo"], first["Agent"]) == ("105", "800", "105 No105, Ann")
    assert first["Day"].startswith("2026-03-04T00:00:00")
    assert first["loggedInDt"].startswith("2026-03-04T06:00:00.000000-06:00")
    assert (first["LoggedInInterval"], second["LoggedInInterval"]) == ("PT18H", "PT2H")
    assert first["LoggedInTotalInterval"] == second["LoggedInTotalInterval"] == "PT20H"
    assert (first["TalkingInterval"], second["TalkingInterval"]) == ("PT1M", "PT0S")
    assert second["TalkingTotalInterval"] == "PT1M"
    pbx.now += 3600
    assert len((await client.get(PATH.replace("105", ""))).value) == 6
