from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.generator import make_directory
from tests.monitor.simulator.xapi_client import Calls, Client, Row


@pytest.fixture
def client() -> Client:
    return Client(
        calls=Calls(
            [Row(46874, "100 Smith, John", "10000 skyetel (+15153182968)"), Row(46875, "101 A", "")]
        )
    )


SETS = (
    *(
        "Users",
        "Queues",
        "RingGroups",
        "Receptionists",
        "Trunks",
        "Groups",
        "Contacts",
        "InboundRules",
        "DidNumbers",
    ),
    *("Peers", "Parkings", "ServicePrincipals", "ActiveCalls"),
)


@pytest.mark.parametrize("name", SETS)
async def test_a_collection_is_listed_whole_expanded_and_counted(client: Client, name: str) -> None:
    listed = await client.get(f"/{name}", count="true")
    assert listed.value
    assert listed.body["@odata.count"] == len(listed.value)
    assert listed.body["@odata.context"] == f"https://pbx.example.com:5001/xapi/v1/$metadata#{name}"
    assert "@odata.nextLink" not in listed.body
    assert len((await client.get(f"/{name}", expand="*")).value) == len(listed.value)
    assert (await client.get(f"/{name}/$count")).body == len(listed.value)
    assert "@odata.count" not in (await client.get(f"/{name}", count="false")).body


@pytest.mark.parametrize("name", SETS[:8] + SETS[10:12])
async def test_an_entity_is_found_by_its_id(client: Client, name: str) -> None:
    for row in (await client.get(f"/{name}")).value[:3]:
        found = await client.get(f"/{name}({row['Id']})")
        assert found.body.pop("@odata.context").endswith(f"#{name}/$entity")
        assert found.body == row
    assert (await client.ask("GET", f"/{name}(999999)")).status == 404


@pytest.mark.parametrize(
    "name", ["Users", "Queues", "RingGroups", "Receptionists", "Trunks", "Parkings", "Peers"]
)
async def test_an_entity_is_found_by_its_number(client: Client, name: str) -> None:
    row = (await client.get(f"/{name}")).value[0]
    assert (await client.get(f"/{name}(Number='{row['Number']}')", select="Number")).body[
        "Number"
    ] == row["Number"]
    for number in ("12345", "a''b", "x/y", "", "990"):
        assert (await client.ask("GET", f"/Queues(Number='{number}')")).status == 404


@pytest.mark.parametrize(
    "path",
    ["/Groups(Number='GRP0000')", "/Contacts(Number='1')", "/Users('100')", "/Users(Name='x')"],
)
async def test_other_keys_are_not_found(client: Client, path: str) -> None:
    answer = await client.ask("GET", path)
    assert answer.status == 404
    assert answer.body["error"]["message"] == "WARNINGS.XAPI.NOT_FOUND"


async def test_related_entities_have_addresses_of_their_own(client: Client) -> None:
    user = (await client.get("/Users")).value[0]
    profiles = await client.get(f"/Users({user['Id']})/ForwardingProfiles")
    assert profiles.column("Name") == ["Available", "Away", "Out of office", "Custom 1", "Custom 2"]
    assert (await client.get(f"/Users({user['Id']})/Greetings")).value == []
    groups = await client.get(f"/Users({user['Id']})/Groups", expand="Rights,GroupRights")
    assert groups.value[0]["Rights"]["RoleName"] == "system_owners"
    assert groups.value[0]["MemberName"] == user["DisplayName"]
    queue = (await client.get("/Queues")).value[0]
    agents = await client.get(f"/Queues({queue['Id']})/Agents")
    assert agents.column("Number") == client.directory.agents("800")
    assert len((await client.get(f"/Queues({queue['Id']})/Managers", top=1)).value) == 1
    group = (await client.get("/RingGroups")).value[0]
    members = await client.get(f"/RingGroups({group['Id']})/Members")
    assert members.column("Number") == client.directory.members("600")
    ivr = (await client.get("/Receptionists")).value[0]
    assert (await client.get(f"/Receptionists({ivr['Id']})/Forwards")).column("ForwardDN")[
        0
    ] == "800"
    department = (await client.get("/Groups", filter="IsDefault eq true")).value[0]
    inside = await client.get(f"/Groups({department['Id']})/Members", filter="Type eq 'Extension'")
    assert 0 < len(inside.value) < 30
    assert (await client.get(f"/Groups({department['Id']})/Rights")).column("RoleName")[
        0
    ] == "users"
    parking = (await client.get("/Parkings")).value[0]
    assert (await client.get(f"/Parkings({parking['Id']})/Groups")).value == []


@pytest.mark.parametrize(
    "path",
    [
        "/Users(1)/Agents",
        "/Queues(999999)/Agents",
        "/Trunks(1)/RoutingRules",
        "/Nowhere",
        "/Users(1)/Groups/1",
        "/Users/1",
    ],
)
async def test_other_addresses_are_not_found(client: Client, path: str) -> None:
    assert (await client.ask("GET", path)).status == 404


@pytest.mark.parametrize(("secrets", "shown"), [("concealed", False), ("shown", True)])
async def test_secrets_are_shown_only_if_switched_so(secrets: Any, shown: bool) -> None:
    client = Client(switches=Switches(secrets=secrets))
    user = (await client.get("/Users", top=1)).value[0]
    for name in ("AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"):
        assert (user[name] is not None) is shown
    trunk = (await client.get("/Trunks", top=1)).value[0]
    assert trunk["AuthPassword"] == {
        "Concealed": not shown,
        "Value": "trunk-10000" if shown else None,
    }


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


@pytest.mark.parametrize(("match", "ids"), [("exact", [2]), ("tail", [1, 2])])
async def test_contacts_are_found_by_number_as_switched(match: Any, ids: list[int]) -> None:
    directory = make_directory(7, 5, 1, contacts=0)
    client = Client(directory, Switches(contacts_match=match))
    for number in ("+7 495 123-45-67", "1234567", "7654321"):
        await client.ask("POST", "/Contacts", {"FirstName": "A", "PhoneNumber": number})
    answer = await client.get("/Contacts/Pbx.GetContactsByNumber(number='1234567')", select="Id")
    assert answer.column("Id") == ids
    assert (await client.ask("GET", "/Contacts/Pbx.GetContactsByNumber(number=1)")).status == 400


async def test_peers_are_found_by_their_numbers(client: Client) -> None:
    wanted = {"peersRequest": {"DnNumbers": ["100", "800", "nobody"], "IsReportPeers": False}}
    answer = await client.ask("POST", "/Peers/Pbx.RetreivePeersByNumbers", wanted)
    assert answer.column("Type") == ["Extension", "Queue"]
    assert (await client.ask("POST", "/Peers/Pbx.RetreivePeersByNumbers", {})).status == 400
    assert len((await client.get("/Peers/Pbx.GetReportPeers()")).value) > 30
    member = (await client.get("/Peers(Number='100')", expand="MemberOf")).body
    assert member["MemberOf"][0]["RoleName"] == "system_owners"


async def test_a_did_number_knows_its_rule(client: Client) -> None:
    answer = await client.get("/DidNumbers", expand="RoutingRule($expand=TrunkDN)")
    for row in answer.value:
        assert row["RoutingRule"]["Data"] == row["Number"]
        assert row["RoutingRule"]["TrunkDN"]["Id"] == row["TrunkId"]
    client.directory.inbound_rules.clear()
    assert {
        row["RoutingRule"] for row in (await client.get("/DidNumbers", expand="RoutingRule")).value
    } == {None}


@pytest.mark.parametrize(
    ("role", "status"), [("system_owners", 200), ("system_admins", 403), ("users", 403), ("", 403)]
)
async def test_recordings_are_for_owners(role: str, status: int) -> None:
    client = Client(role=role)
    assert (await client.ask("GET", "/Recordings")).status == status
    assert (await client.ask("GET", "/Users")).status == (
        200 if role.startswith("system_") else 403
    )
