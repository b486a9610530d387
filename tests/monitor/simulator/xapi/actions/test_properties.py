"""Parameters, links and the properties of DNs."""

from __future__ import annotations

from tests.monitor.simulator.xapi_client import Client, refusal


async def test_a_parameter_is_found_by_name(client: Client) -> None:
    await client.ask("POST", "/Parameters", {"Name": "COLOUR", "Value": "red"})
    path = "/Parameters/Pbx.GetParameterByName(name='{}')"
    assert (await client.get(path.format("COLOUR"))).body["Value"] == "red"
    assert (await client.get(path.format("REPORT_ROW_LIMIT"))).body["Value"] == "20000"
    assert (await client.ask("GET", path.format("NONE"))).status == 404


async def test_a_links_name_is_free_or_not(client: Client) -> None:
    await client.ask("POST", "/WebsiteLinks", {"Link": "shop"})
    path = "/WebsiteLinks/Pbx.ValidateLink"
    free = {"model": {"FriendlyName": "other", "Pair": ""}}
    assert (await client.ask("POST", path, free)).status == 204
    taken = {"model": {"FriendlyName": "shop", "Pair": ""}}
    assert refusal(await client.ask("POST", path, taken)) == (
        400,
        "WARNINGS.XAPI.ALREADY_IN_USE",
        "FriendlyName",
    )
    own = {"model": {"FriendlyName": "shop", "Pair": "shop"}}
    assert (await client.ask("POST", path, own)).status == 204


async def test_a_dns_property_lives_and_dies(client: Client) -> None:
    body = {"dnNumber": "101", "property": {"Name": "COLOUR", "Value": "red"}}
    create, update = "/DNProperties/Pbx.CreateDNProperty", "/DNProperties/Pbx.UpdateDNProperty"
    one = "/DNProperties/Pbx.GetDNPropertyByName(dnNumber='101',name='COLOUR')"
    assert (await client.ask("POST", update, body)).status == 404
    assert (await client.ask("POST", create, body)).status == 204
    assert refusal(await client.ask("POST", create, body))[1] == "WARNINGS.XAPI.DUPLICATE"
    change = {"dnNumber": "101", "property": {"Name": "COLOUR", "Value": "blue"}}
    assert (await client.ask("POST", update, change)).status == 204
    assert (await client.get(one)).body["Value"] == "blue"
    listed = await client.get("/DNProperties/Pbx.GetPropertiesByDn(dnNumber='101')")
    assert listed.column("Name") == ["COLOUR"]
    assert (await client.get("/DNProperties/Pbx.GetPropertiesByDn(dnNumber='102')")).value == []
    gone = {"dnNumber": "101", "propertyName": "COLOUR"}
    assert (await client.ask("POST", "/DNProperties/Pbx.DeleteDNProperty", gone)).status == 204
    assert (await client.ask("GET", one)).status == 404
    wrong = await client.ask("POST", create, body | {"dnNumber": "4711"})
    assert refusal(wrong) == (400, "WARNINGS.XAPI.NOT_FOUND", "dnNumber")
