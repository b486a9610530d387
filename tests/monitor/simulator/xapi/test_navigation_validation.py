"""Agents, members and memberships that clients write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client, refusal


async def test_agents_are_replaced_as_a_whole_and_in_order(client: Client) -> None:
    key = (await client.get("/Queues(Number='800')")).body["Id"]
    agents = [{"Number": "105", "SkillGroup": "2"}, {"Number": "101"}]
    assert (
        await client.ask("PATCH", f"/Queues({key})", {"Agents": agents, "SLATime": 33})
    ).status == 204
    found = await client.get(f"/Queues({key})/Agents")
    assert [(row["Number"], row["SkillGroup"]) for row in found.value] == [
        ("105", "2"),
        ("101", "1"),
    ]
    assert client.directory.agents("800") == ["105", "101"]
    assert (
        await client.ask("PATCH", f"/Queues({key})", {"Managers": [{"Number": "102"}]})
    ).status == 204
    assert (await client.get(f"/Queues({key})/Managers")).column("Number") == ["102"]
    assert client.directory.agents("800") == ["105", "101"]
    assert (await client.ask("PATCH", f"/Queues({key})", {"Agents": []})).status == 204
    assert client.directory.agents("800") == []


@pytest.mark.parametrize(
    ("rows", "message", "target"),
    [
        ([{"Number": "4444"}], "WARNINGS.XAPI.NON_EXISTENT_EXT_NUMBER", "Agents"),
        ([{"Number": "801"}], "WARNINGS.XAPI.NON_EXISTENT_EXT_NUMBER", "Agents"),
        ([{"Number": "101"}, {"Number": "101"}], "WARNINGS.XAPI.DUPLICATE", "Agents"),
        ([{"SkillGroup": "1"}], "WARNINGS.XAPI.REQUIRED", "Agents/Number"),
    ],
)
async def test_wrong_agents_change_nothing(
    client: Client, rows: Any, message: str, target: str
) -> None:
    key = (await client.get("/Queues(Number='800')")).body["Id"]
    before = client.directory.agents("800")
    answer = await client.ask("PATCH", f"/Queues({key})", {"Name": "Other", "Agents": rows})
    assert refusal(answer) == (400, message, target)
    assert client.directory.agents("800") == before
    assert (await client.get(f"/Queues({key})")).body["Name"] != "Other"


async def test_members_of_a_ring_group_are_replaced(client: Client) -> None:
    key = (await client.get("/RingGroups(Number='600')")).body["Id"]
    members = {"Members": [{"Number": "107"}, {"Number": "103"}]}
    assert (await client.ask("PATCH", f"/RingGroups({key})", members)).status == 204
    assert client.directory.members("600") == ["107", "103"]
