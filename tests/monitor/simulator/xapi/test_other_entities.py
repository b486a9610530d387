from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client, refusal


@pytest.mark.parametrize("path", ["Queues", "RingGroups", "Receptionists", "Trunks", "Parkings"])
async def test_other_dns_are_created_changed_and_deleted(client: Client, path: str) -> None:
    made = await client.ask("POST", f"/{path}", {"TranscriptionMode": "Nothing"})
    assert made.status == 201
    key, number = made.body["Id"], made.body["Number"]
    assert (
        await client.ask("PATCH", f"/{path}({key})", {"TranscriptionMode": "Both"})
    ).status == 204
    assert (await client.get(f"/{path}(Number='{number}')")).body["TranscriptionMode"] == "Both"
    assert (await client.ask("DELETE", f"/{path}({key})")).status == 204
    assert (await client.ask("GET", f"/{path}({key})")).status == 404
    assert client.directory.dn(number) is None


async def test_a_queue_is_created_with_its_agents(client: Client) -> None:
    body = {
        "Name": "New",
        "Agents": [{"Number": "101"}],
        "PollingStrategy": "LongestWaiting",
        "EnableIntro": True,
    }
    made = await client.ask("POST", "/Queues", body)
    assert client.directory.agents(made.body["Number"]) == ["101"]


async def test_a_receptionist_gets_its_keys(client: Client) -> None:
    forwards = [
        {"Input": "1", "ForwardDN": "800", "ForwardType": "Queue", "PeerType": "Queue"},
        {"Input": "2"},
    ]
    made = await client.ask("POST", "/Receptionists", {"Name": "Menu", "Forwards": forwards})
    found = await client.get(f"/Receptionists({made.body['Id']})/Forwards")
    assert found.column("Id") == [1, 2]
    assert found.column("ForwardType") == ["Queue", "EndCall"]


async def test_the_dids_of_a_trunk_are_its_did_numbers(client: Client) -> None:
    made = await client.ask("POST", "/Trunks", {"DidNumbers": ["+1", "+2"]})
    listed = await client.get("/DidNumbers", filter=f"TrunkId eq {made.body['Id']}")
    assert listed.column("Number") == ["+1", "+2"]
    await client.ask("PATCH", f"/Trunks({made.body['Id']})", {"DidNumbers": ["+3"]})
    assert client.directory.dids(made.body["Number"]) == ["+3"]
    wrong = await client.ask("PATCH", f"/Trunks({made.body['Id']})", {"DidNumbers": [""]})
    assert refusal(wrong) == (400, "WARNINGS.INVALID", "DidNumbers")


async def test_a_contact_lives_and_dies(client: Client) -> None:
    made = await client.ask(
        "POST",
        "/Contacts",
        {"FirstName": "Ольга", "PhoneNumber": "+79161234567", "ContactType": "CRM"},
    )
    assert made.status == 201
    assert made.body["ContactType"] == "3CX"
    key = made.body["Id"]
    assert (
        await client.ask("PATCH", f"/Contacts({key})", {"Business": "555", "Tag": None})
    ).status == 204
    found = await client.get("/Contacts/Pbx.GetContactsByNumber(number='555')")
    assert found.column("Id") == [key]
    assert (await client.get("/Contacts", filter=f"Id eq {key}")).column("FirstName") == ["Ольга"]
    assert (await client.ask("DELETE", f"/Contacts({key})")).status == 204
    assert (await client.ask("PATCH", f"/Contacts({key})", {})).status == 404
    assert (await client.get("/Contacts/Pbx.GetContactsByNumber(number='555')")).value == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"PhoneNumber": "1"}, "WARNINGS.CONTACTS_SPECIFY_NAME_SURNAME_COMPANY"),
        ({"FirstName": "A"}, "WARNINGS.CONTACTS_SPECIFY_PHONE_NUMBER"),
        ({"FirstName": "A" * 256, "PhoneNumber": "1"}, "WARNINGS.LENGTH_NOT_MORE_255_CHARS"),
    ],
)
async def test_a_contact_needs_a_name_and_a_number(
    client: Client, body: dict[str, str], message: str
) -> None:
    assert refusal(await client.ask("POST", "/Contacts", body))[:2] == (400, message)


async def test_contacts_are_created_by_number_and_deleted_by_ids(client: Client) -> None:
    made = await client.ask(
        "POST",
        "/Contacts/Pbx.CreateContactByNumber",
        {"number": "777", "contact": {"LastName": "B"}},
    )
    assert made.body["PhoneNumber"] == "777"
    await client.ask(
        "POST", "/Contacts/Pbx.DeleteContactsById", {"ids": [made.body["Id"], 1, 99999]}
    )
    assert (await client.ask("GET", f"/Contacts({made.body['Id']})")).status == 404
    assert (await client.ask("GET", "/Contacts(1)")).status == 404
    nameless = await client.ask("POST", "/Contacts/Pbx.CreateContactByNumber", {"number": "777"})
    assert refusal(nameless)[1] == "WARNINGS.CONTACTS_SPECIFY_NAME_SURNAME_COMPANY"


async def test_a_rule_lives_and_dies(client: Client) -> None:
    body = {
        "RuleName": "Night",
        "Condition": "BasedOnDID",
        "Data": "+9",
        "TrunkDN": {"Number": "10002"},
    }
    made = await client.ask("POST", "/InboundRules", body)
    assert made.status == 201
    assert [rule["RuleName"] for rule in client.directory.rules("10002")] == ["Night"]
    destination = {"OfficeHoursDestination": {"To": "Queue", "Number": "801"}}
    assert (
        await client.ask("PATCH", f"/InboundRules({made.body['Id']})", destination)
    ).status == 204
    assert client.directory.rules("10002")[0]["OfficeHoursDestination"]["Number"] == "801"
    assert (await client.ask("DELETE", f"/InboundRules({made.body['Id']})")).status == 204
    ids = (await client.get("/InboundRules")).column("Id")
    assert (
        await client.ask("POST", "/InboundRules/Pbx.BulkInboundRulesDelete", {"ids": ids})
    ).status == 204
    assert client.directory.inbound_rules == {}
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "REQUIRED"),
        ({"TrunkDN": None}, "REQUIRED"),
        ({"TrunkDN": {"Number": "100"}}, "NOT_FOUND"),
    )
    for wrong, message in cases:
        answer = await client.ask("POST", "/InboundRules", wrong)
        assert refusal(answer) == (400, f"WARNINGS.XAPI.{message}", "TrunkDN")


async def test_a_department_lives_and_dies(client: Client) -> None:
    made = await client.ask("POST", "/Groups", {"Name": "Night", "Members": [{"Number": "101"}]})
    assert (made.status, made.body["HasMembers"]) == (201, True)
    path = f"/Groups({made.body['Id']})"
    assert (await client.get(f"{path}/Members")).column("Number") == ["101"]
    members = [{"Number": "102", "Rights": {"RoleName": "managers"}}, {"Number": "800"}]
    assert (await client.ask("PATCH", path, {"Members": members, "Language": "RU"})).status == 204
    assert (await client.get(f"{path}/Members", expand="Rights")).column("Number") == ["102", "800"]
    answer = await client.ask("DELETE", path)
    assert refusal(answer)[1] == "WARNINGS.GROUP_WITH_MEMBERS_CANNOT_BE_DELETED"
    rights = {"Rights": [{"RoleName": "users", "CanBargeIn": True}], "Members": []}
    assert (await client.ask("PATCH", path, rights)).status == 204
    assert (await client.get(f"{path}/Rights")).column("CanBargeIn") == [True]
    assert (await client.ask("PATCH", path, {"Number": "GRP9"})).status == 400
    assert (await client.ask("DELETE", path)).status == 204


@pytest.mark.parametrize(
    ("body", "message", "target"),
    [
        ({}, "WARNINGS.XAPI.REQUIRED", "Name"),
        ({"Name": "DEFAULT"}, "WARNINGS.XAPI.DUPLICATE", "Name"),
        ({"Name": "X", "Members": [{"Number": "4444"}]}, "WARNINGS.XAPI.NOT_FOUND", "Members"),
        (
            {"Name": "X", "Members": [{"Number": "101", "Rights": {"RoleName": "king"}}]},
            "WARNINGS.INVALID",
            "RoleName",
        ),
        ({"Name": "X", "Rights": [{"RoleName": "king"}]}, "WARNINGS.INVALID", "RoleName"),
    ],
)
async def test_a_wrong_department_is_refused(
    client: Client, body: dict[str, Any], message: str, target: str
) -> None:
    before = len(client.directory.groups)
    assert refusal(await client.ask("POST", "/Groups", body)) == (400, message, target)
    assert len(client.directory.groups) == before


async def test_the_default_department_stays(client: Client) -> None:
    default = (await client.get("/Groups", filter="IsDefault eq true")).value[0]["Id"]
    answer = await client.ask("DELETE", f"/Groups({default})")
    assert refusal(answer)[1] == "WARNINGS.GROUP_CANNOT_BE_DELETED"


async def test_an_api_client_may_be_given_more_to_monitor(client: Client) -> None:
    key = (await client.get("/ServicePrincipals")).value[0]["Id"]
    heard: list[str] = []
    client.directory.on_change(heard.append)
    peers = {"Peers": [{"Number": "101"}, {"Number": "800"}]}
    assert (await client.ask("PATCH", f"/ServicePrincipals({key})", peers)).status == 204
    assert client.directory.peers("callmon") == ["101", "800"]
    assert heard == ["callmon"]
    found = await client.get(f"/ServicePrincipals({key})", expand="Peers,Groups($expand=Rights)")
    assert [peer["Type"] for peer in found.body["Peers"]] == ["Extension", "Queue"]
    assert found.body["Groups"][0]["Rights"]["RoleName"] == "system_owners"


async def test_an_api_clients_secret_is_told_once(client: Client) -> None:
    made = await client.ask(
        "POST", "/ServicePrincipals", {"Number": "other", "CallControlEnabled": False}
    )
    assert made.status == 201
    secret = (
        await client.ask("POST", f"/ServicePrincipals({made.body['Id']})/Pbx.GenerateAppToken")
    ).body["value"]
    assert client.directory.secrets["other"] == secret
    assert refusal(await client.ask("POST", "/ServicePrincipals", {})) == (
        400,
        "WARNINGS.XAPI.REQUIRED",
        "Number",
    )
    assert (await client.ask("DELETE", f"/ServicePrincipals({made.body['Id']})")).status == 204


async def test_dial_codes_are_changed(client: Client) -> None:
    assert (await client.ask("PATCH", "/DialCodeSettings", {"DialCodePark": "*00"})).status == 204
    assert (await client.get("/DialCodeSettings")).body["DialCodePark"] == "*00"
    wrongs: tuple[Any, ...] = ([], {"Colour": "red"}, {"DialCodePark": 5})
    for wrong in wrongs:
        assert (await client.ask("PATCH", "/DialCodeSettings", wrong)).status == 400
