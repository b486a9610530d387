"""Functions and actions of the XAPI."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.xapi_client import Calls, Client, Row, refusal


async def test_a_call_is_dropped() -> None:
    client = Client(calls=Calls([Row(7, "100 A", "101 B"), Row(8, "102 C", "103 D")]))
    assert (await client.ask("POST", "/ActiveCalls(7)/Pbx.DropCall")).status == 200
    assert (await client.get("/ActiveCalls")).column("Id") == [8]
    assert (await client.ask("POST", "/ActiveCalls(7)/Pbx.DropCall")).status == 404
    assert (await client.ask("POST", "/ActiveCalls('7')/Pbx.DropCall")).status == 404


async def test_a_queues_statistics_are_reset(client: Client) -> None:
    key = (await client.get("/Queues(Number='800')")).body["Id"]
    assert (await client.ask("POST", f"/Queues({key})/Pbx.ResetQueueStatistics")).status == 204


async def test_a_call_is_made(client: Client) -> None:
    body = {"dn": "100", "destination": "101", "contact": None, "testCall": False}
    made = (await client.ask("POST", "/Users/Pbx.MakeCall", body)).body
    assert (made["FinalStatus"], made["Reason"]) == ("Success", "NotSpecified")
    assert made["Result"]["CallId"] == 1265
    assert made["Result"]["DN"] == "100"
    assert len(client.calls.served_participants) == 1
    for missing in ("dn", "destination"):
        answer = await client.ask("POST", "/Users/Pbx.MakeCall", body | {missing: None})
        assert refusal(answer) == (400, "WARNINGS.XAPI.REQUIRED", missing)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/Users/Pbx.GetFirstAvailableExtensionNumber()", "130"),
        ("/Users/Pbx.GetFirstAvailableHotdeskingNumber()", "130"),
        ("/Queues/Pbx.GetFirstAvailableQueueNumber()", "803"),
        ("/RingGroups/Pbx.GetFirstAvailableRingGroupNumber()", "602"),
        ("/Receptionists/Pbx.GetFirstAvailableReceptionistNumber()", "702"),
        ("/Trunks/Pbx.GetFirstAvailableTrunkNumber()", "10003"),
    ],
)
async def test_the_first_free_number_is_told(client: Client, path: str, number: str) -> None:
    assert (await client.get(path)).body["Number"] == number


@pytest.mark.parametrize(
    "path",
    [
        "/Users/Pbx.Frobnicate",
        "/Queues/Pbx.ResetQueueStatistics",
        "/Users(1)/Pbx.MakeCall",
        "/Queues(99999)/Pbx.ResetQueueStatistics",
    ],
)
async def test_an_operation_is_found_only_where_it_belongs(client: Client, path: str) -> None:
    assert (await client.ask("POST", path, {})).status == 404
