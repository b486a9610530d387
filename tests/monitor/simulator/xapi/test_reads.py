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


@pytest.mark.parametrize(
    ("role", "status"), [("system_owners", 200), ("system_admins", 403), ("users", 403), ("", 403)]
)
async def test_recordings_and_reports_are_for_owners(role: str, status: int) -> None:
    client = Client(role=role)
    assert (await client.ask("GET", "/Recordings")).status == status
    report = "/ReportInboundRules/Pbx.GetInboundRulesData()"
    assert (await client.ask("GET", report)).status == status
    assert (await client.ask("GET", "/Users")).status == (
        200 if role.startswith("system_") else 403
    )
