"""What the XAPI serves besides the directory: the present calls."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.xapi_client import Calls, Client, Row


@pytest.fixture
def client() -> Client:
    return Client(
        calls=Calls(
            [Row(46874, "100 Smith, John", "10000 skyetel (+15153182968)"), Row(46875, "101 A", "")]
        )
    )


async def test_active_calls_carry_the_pbxs_clock_in_seven_digits(client: Client) -> None:
    answer = await client.get("/ActiveCalls")
    assert answer.value[0] == {
        "Id": 46874,
        "Caller": "100 Smith, John",
        "Callee": "10000 skyetel (+15153182968)",
        "Status": "Talking",
        "LastChangeStatus": "2026-03-04T03:15:00.1250000Z",
        "EstablishedAt": "2026-03-04T03:14:54.6250000Z",
        "ServerNow": "2026-03-04T03:15:30.1250000Z",
    }
    assert client.calls.served == [46874, 46875]


async def test_the_switchboard_hears_which_calls_were_in_an_answer(client: Client) -> None:
    assert (await client.get("/ActiveCalls", count="true", top=0)).body["@odata.count"] == 2
    assert client.calls.served == []
    await client.get("/ActiveCalls", filter="startswith(Caller,'101')", select="Caller")
    assert client.calls.served == [46875]
    since = "LastChangeStatus ge 2026-03-04T03:15:00Z and EstablishedAt lt ServerNow"
    assert (
        len(
            (
                await client.get("/ActiveCalls", filter=since, orderby="Id desc", search="smith")
            ).value
        )
        == 1
    )


async def test_a_call_without_times_has_nulls() -> None:
    client = Client(calls=Calls([Row(1, "a", "", "Initiating", None, None)]))
    (row,) = (await client.get("/ActiveCalls")).value
    assert (row["LastChangeStatus"], row["EstablishedAt"]) == (None, None)
