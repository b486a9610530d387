"""Rules, trunks and the address book as a whole."""

from __future__ import annotations

from tests.monitor.simulator.xapi_client import Client, refusal


async def order(client: Client) -> list[str]:
    return (await client.get("/OutboundRules", orderby="Priority")).column("Name")


async def test_rules_to_the_outside_are_moved(client: Client) -> None:
    keys = {}
    for name in ("Abroad", "Mobile"):
        made = await client.ask("POST", "/OutboundRules", {"Name": name})
        keys[name] = made.body["Id"]
    path = "/OutboundRules/Pbx.MoveUpDown"
    assert (await client.ask("POST", path, {"id": keys["Mobile"], "up": True})).status == 204
    assert await order(client) == ["Everything", "Mobile", "Abroad"]
    for _ in range(3):
        await client.ask("POST", path, {"id": keys["Abroad"], "up": True})
    assert await order(client) == ["Abroad", "Everything", "Mobile"]
    await client.ask("POST", path, {"id": keys["Mobile"], "up": False})
    assert await order(client) == ["Abroad", "Everything", "Mobile"]
    assert (await client.ask("POST", path, {"id": 99999, "up": True})).status == 404
    assert (await client.ask("POST", path, {"id": "1", "up": True})).status == 400


async def test_rules_are_purged_and_emergency_rules_listed(client: Client) -> None:
    made = await client.ask("POST", "/OutboundRules", {"Name": "112", "EmergencyRule": True})
    listed = await client.get("/OutboundRules/Pbx.GetEmergencyOutboundRules()")
    assert listed.column("Name") == ["112"]
    some = {"purgeObject": {"Ids": [made.body["Id"], 99999]}}
    assert (await client.ask("POST", "/OutboundRules/Pbx.Purge", some)).status == 204
    assert await order(client) == ["Everything"]
    wrong = {"purgeObject": {"Colour": 1}}
    assert (await client.ask("POST", "/OutboundRules/Pbx.Purge", wrong)).status == 400
    assert (await client.ask("POST", "/OutboundRules/Pbx.Purge")).status == 204
    assert await order(client) == []


async def test_rules_by_the_callers_number_are_exported(client: Client) -> None:
    body = {"RuleName": "Boss", "Condition": "BasedOnCallerID", "TrunkDN": {"Number": "10002"}}
    await client.ask("POST", "/InboundRules", body)
    found = await client.get("/InboundRules/Pbx.ExportCallerIdRules()")
    assert found.column("RuleName") == ["Boss"]


async def test_a_trunk_registers_again(client: Client) -> None:
    trunk = client.directory.entity("10001")
    assert trunk is not None
    trunk["IsOnline"] = False
    body = {"id": trunk["Id"]}
    assert (await client.ask("POST", "/Trunks/Pbx.RefreshRegistration", body)).status == 204
    assert (await client.get(f"/Trunks({trunk['Id']})")).body["IsOnline"] is True
    assert (await client.ask("POST", "/Trunks/Pbx.RefreshRegistration", {"id": 0})).status == 404


async def test_contacts_of_one_source_are_deleted(client: Client) -> None:
    path = "/Contacts/Pbx.DeleteContactsByType"
    assert (await client.ask("POST", path, {"contactSource": "CRM"})).status == 204
    assert len(client.directory.contacts) == 60
    assert (await client.ask("POST", path, {"contactSource": "3CX"})).status == 204
    assert client.directory.contacts == {}
    answer = await client.ask("POST", path, {"contactSource": "Paper"})
    assert refusal(answer) == (400, "WARNINGS.INVALID", "contactSource")
