"""The PBX itself: its status, its definitions."""

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


async def test_the_systems_status_counts(client: Client) -> None:
    status = (await client.get("/SystemStatus")).body
    assert status["CallsActive"] == 2
    assert status["ExtensionsTotal"] == 30
    assert status["ExtensionsRegistered"] == sum(
        map(client.directory.registered, client.directory.extensions())
    )
    assert status["Version"] == client.directory.version
    chosen = (await client.get("/SystemStatus", select="CallsActive,MaxSimCalls,FQDN")).body
    assert set(chosen) == {"@odata.context", "CallsActive", "MaxSimCalls", "FQDN"}
    extensions = await client.get("/SystemStatus/Pbx.SystemExtensions()")
    assert {"800", "600", "700", "10000", "990", "999"} <= set(extensions.column("Number"))


async def test_definitions_and_dial_codes_are_there(client: Client) -> None:
    assert (await client.get("/Defs")).body["Id"] == 0
    assert "Europe/Moscow" in (await client.get("/Defs/TimeZones")).column("IanaName")
    assert (await client.get("/Defs/Codecs")).column("RfcName") == ["PCMA", "PCMU"]
    assert (await client.get("/Defs", expand="TimeZones")).body["TimeZones"]
    assert (await client.get("/DialCodeSettings")).body["DialCodeLoggedInQueue"] == "*62"


async def test_office_hours_are_those_of_the_pbxs_zone(client: Client) -> None:
    client.directory.time_zone = "Asia/Tokyo"
    assert (await client.get("/OfficeHours")).body["TimeZoneId"] == "Asia/Tokyo"
    assert (await Client().get("/OfficeHours")).body["TimeZoneId"] == "44", "Berlin's Id"
