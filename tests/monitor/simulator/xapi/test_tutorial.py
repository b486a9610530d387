"""Take the steps of 3CX's own tutorial of the XAPI that go beyond plain collections."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.xapi_client import Client


async def test_a_fax_extension_is_begun_by_the_pbx_and_posted_back() -> None:
    client = Client()
    begun = (await client.get("/Fax/Pbx.InitFax()")).body
    assert (begun["Number"], begun["Id"]) == ("880", 0)
    assert begun["AuthPassword"], "what is to be posted back is not concealed"
    made = await client.ask("POST", "/Fax", begun)
    assert made.status == 201
    path = f"/Fax({made.body['Id']})"
    assert (await client.get(f"/Fax(Number='{begun['Number']}')")).body["Id"] == made.body["Id"]
    assert (await client.ask("PATCH", path, {"Number": begun["Number"]})).status == 204
    assert (await client.ask("PATCH", path, {"Number": "100"})).status == 400
    assert (await client.get("/Fax/Pbx.InitFax()")).body["Number"] == "881"
    assert (await client.ask("DELETE", path)).status == 204
    fax = client.directory.entity("991")
    assert fax is not None
    assert (await client.get("/Fax", select="Id")).column("Id") == [fax["Id"]]


async def test_a_trunk_is_begun_from_a_template_and_posted_back_with_a_password() -> None:
    client = Client()
    begun = (await client.get("/Trunks/Pbx.InitTrunk(template='1cx.pv.xml')")).body
    made = await client.ask("POST", "/Trunks", {**begun, "AuthPassword": {"Value": "Abc123defg"}})
    assert (made.status, made.body["Number"]) == (201, begun["Number"]) == (201, "10003")
    assert client.directory.entity("10003")["AuthPassword"]["Value"] == "Abc123defg"  # type: ignore[index]
    assert (await client.ask("DELETE", f"/Trunks({made.body['Id']})")).status == 204
    assert (await client.ask("GET", "/Trunks/Pbx.InitTrunk(template=1)")).status == 400


async def test_a_parking_place_may_be_a_shared_one() -> None:
    client = Client()
    made = await client.ask("POST", "/Parkings", {"Number": "SP100"})
    assert (made.status, made.body["Number"]) == (201, "SP100")
    assert (await client.get("/Parkings(Number='SP100')")).body["Id"] == made.body["Id"]
    assert (
        await client.ask("PATCH", f"/Parkings({made.body['Id']})", {"Number": "SP100"})
    ).status == 204
    assert (await client.ask("POST", "/Users", {"Number": "SP101"})).status == 400, (
        "an extension's is of digits"
    )


async def test_rules_to_the_outside_and_desk_phones_are_listed() -> None:
    client = Client()
    (rule,) = (await client.get("/OutboundRules")).value
    assert [route["TrunkName"] for route in rule["Routes"]] == [
        "skyetel",
        "SIP Trunk (1)",
        "Backup GSM, 2nd",
    ]
    assert (await client.ask("POST", "/OutboundRules", {"Prefix": "0"})).status == 400, (
        "a rule has a name"
    )
    made = await client.ask("POST", "/OutboundRules", {"Name": "Abroad", "Prefix": "00"})
    assert (await client.get("/SystemStatus")).body["OutboundRules"] == 2
    assert (
        await client.ask("PATCH", f"/OutboundRules({made.body['Id']})", {"Priority": 1})
    ).status == 204
    assert (await client.get("/OutboundRules", filter="Priority eq 1")).column("Name") == ["Abroad"]
    assert (await client.ask("DELETE", f"/OutboundRules({made.body['Id']})")).status == 204
    phones = (await client.get("/SipDevices", expand="DN")).value
    on_desks = {
        dn
        for dn in client.directory.extensions()
        if any(d.on_desk for d in client.directory.devices(dn))
    }
    assert {phone["DN"]["Number"] for phone in phones} == on_desks
    assert {phone["Registrar"]["Vendor"] for phone in phones} == {"Yealink", "Fanvil"}


async def test_the_pbx_tells_of_licence_health_and_parameters() -> None:
    client = Client()
    version = client.directory.version
    assert (await client.get("/LicenseStatus")).body["Version"] == version
    assert (await client.get("/Defs/Pbx.GetLicenseParameters()")).body["IsEnterprise"]
    parameters = (await client.get("/Defs/Pbx.GetSystemParameters()")).body
    assert (parameters["ENL"], parameters["ENLRange"]) == (3, {"From": 100, "To": 999})
    assert (await client.get("/SystemStatus/Pbx.SystemHealthStatus()")).body["Trunks"] is True
    next(iter(client.directory.trunks.values()))["IsOnline"] = False
    assert (await client.get("/SystemStatus/Pbx.SystemHealthStatus()")).body["Trunks"] is False


STATISTICS = (
    "/ReportDetailedQueueStatistics/Pbx.GetDetailedQueueStatisticsData(queueDnStr='',startDt=2026-03-04T06:00Z,"
    "endDt=2026-03-05,waitInterval='0:00:0')"
)


async def test_a_dashboard_reads_every_queue_of_a_fresh_pbx() -> None:
    rows = (await Client().get(STATISTICS)).value
    assert [(row["QueueDnNumber"], row["CallsCount"]) for row in rows] == [
        ("800", 0),
        ("801", 0),
        ("802", 0),
    ]
    assert (await Client().get("/BlackListNumbers")).value == []


@pytest.mark.parametrize(
    "path", ["/ReportOfNothing/Pbx.GetNothingData()", "/BlackListNumbers(1)", "/EventLogs/Id"]
)
async def test_what_no_pbx_has_is_not_found(path: str) -> None:
    assert (await Client().ask("GET", path)).status == 404
