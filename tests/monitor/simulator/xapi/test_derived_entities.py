"""Rows that are made of others."""

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
