"""Reports on callbacks; expected values are reckoned by hand from what is played."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, Bench
from tests.monitor.simulator.xapi_client import Client

DAY = "startDt=2026-03-01T00:00:00Z,endDt=2026-03-31T00:00:00Z"


@pytest.fixture
def client(pbx: Bench) -> Client:
    return Client(bench=pbx)


def ask(pbx: Bench, number: str) -> None:
    """Let a caller wait ten seconds in the queue and ask to be called back."""
    call = pbx.switchboard.arrive("10000", number)
    pbx.switchboard.route(call, "800")
    pbx.now += 10
    pbx.switchboard.route(call, "QCB")
    pbx.now += 3
    pbx.switchboard.end(call)


def call_back(pbx: Bench, number: str, *, reached: bool) -> None:
    """Ring an agent to call the number. It rings for 7 seconds."""
    pbx.now += 60
    call = pbx.switchboard.call_back("105", number, "QCB")
    pbx.now += 4
    pbx.switchboard.answer(call, "105")
    pbx.now += 7
    if reached:
        pbx.switchboard.answer(call, "10000")
        pbx.now += 30
    pbx.switchboard.end(call)


async def report(client: Client, name: str) -> list[dict[str, Any]]:
    path = f"/Report{name}/Pbx.Get{name}Data(queueDnStr='800',{DAY})"
    return list((await client.get(path)).value)


async def test_callbacks_count_for_the_queue_in_which_the_caller_asked(
    pbx: Bench, client: Client
) -> None:
    ask(pbx, CALLER)
    ask(pbx, MOBILE)
    call_back(pbx, CALLER, reached=True)
    call_back(pbx, MOBILE, reached=False)
    (row,) = await report(client, "QueueCallbacks")
    assert (row["QueueDnNumber"], row["ReceivedCount"]) == ("800", 2)
    assert (row["CallbacksCount"], row["FailCallbacksCount"]) == (2, 1)
    (failed,) = await report(client, "QueueFailedCallbacks")
    assert (failed["CallbackNo"], failed["RingTime"]) == (MOBILE, "PT7S")
    detailed = f"(queueDnStr='',{DAY},waitInterval='0:00:0')"
    rows = await client.get(
        f"/ReportDetailedQueueStatistics/Pbx.GetDetailedQueueStatisticsData{detailed}"
    )
    counts = {row["QueueDnNumber"]: row["CallbacksCount"] for row in rows.value}
    assert (counts["800"], counts["801"]) == (2, 0)


async def test_a_callback_may_be_dialled_in_another_notation(pbx: Bench, client: Client) -> None:
    ask(pbx, CALLER)
    call_back(pbx, CALLER.replace("+49", "0"), reached=True)
    (row,) = await report(client, "QueueCallbacks")
    assert (row["CallbacksCount"], row["FailCallbacksCount"]) == (1, 0)


async def test_who_is_called_without_having_asked_or_a_second_time_is_no_callback(
    pbx: Bench, client: Client
) -> None:
    ask(pbx, CALLER)
    call_back(pbx, MOBILE, reached=False)
    (row,) = await report(client, "QueueCallbacks")
    assert row["CallbacksCount"] == 0, "nobody has called the one who asked"
    call_back(pbx, CALLER, reached=True)
    call_back(pbx, CALLER, reached=False)
    (row,) = await report(client, "QueueCallbacks")
    assert (row["CallbacksCount"], row["FailCallbacksCount"]) == (1, 0)
    assert await report(client, "QueueFailedCallbacks") == []
