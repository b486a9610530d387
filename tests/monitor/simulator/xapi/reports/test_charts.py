"""The charts on queues, by the hours of a day; reckoned by hand."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.exchange_bench import MOBILE, Bench
from tests.monitor.simulator.xapi.reports.test_call_log import through_the_queue
from tests.monitor.simulator.xapi_client import Client


def chart(report: str, queue: str = "", zone: str = "UTC", date: str = "2026-03-04") -> str:
    """The address of a chart of the day at whose noon, in UTC, the calls begin."""
    name = report.removeprefix("Report")
    return (
        f"/{report}/Pbx.Get{name}Data(chartDate={date}T00:00:00Z,chartBy='Day',"
        f"queueDnStr='{queue}',waitInterval='0:00:0',clientTimeZone='{zone}')"
    )


@pytest.fixture
def client() -> Client:
    """A call that waited 15 s from noon on, and one of an hour later that gave up after 45 s."""
    pbx = Bench()
    client = Client(bench=pbx)
    through_the_queue(pbx)
    pbx.now += 3600
    call = pbx.switchboard.arrive("10001", MOBILE)
    pbx.switchboard.route(call, "800")
    pbx.now += 45
    pbx.switchboard.end(call)
    return client


async def test_each_hour_has_its_answered_and_its_unanswered_calls(client: Client) -> None:
    rows = (await client.get(chart("ReportQueueAnUnCalls"))).value
    assert len(rows) == 24
    assert {row["XValue"]: (row["YValue1"], row["YValue2"]) for row in rows[11:15]} == {
        "2026-03-04T11:00:00.0000000Z": (0, 0),
        "2026-03-04T12:00:00.0000000Z": (1, 0),
        "2026-03-04T13:00:00.0000000Z": (0, 1),
        "2026-03-04T14:00:00.0000000Z": (0, 0),
    }
    assert sum(row["YValue1"] + row["YValue2"] for row in rows) == 2
    other = (await client.get(chart("ReportQueueAnUnCalls", "801"))).value
    assert {(row["YValue1"], row["YValue2"]) for row in other} == {(0, 0)}


async def test_each_hour_has_the_average_wait_in_seconds(client: Client) -> None:
    rows = (await client.get(chart("ReportAverageQueueWaitingTime", "800"))).value
    assert [row["YValue1"] for row in rows[11:15]] == [0, 15, 45, 0]


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25)],
)
async def test_a_day_on_which_clocks_are_set_has_as_many_hours_as_it_lasts(
    client: Client, zone: str, date: str, hours: int
) -> None:
    assert len((await client.get(chart("ReportQueueAnUnCalls", "", zone, date))).value) == hours
