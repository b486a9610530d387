from __future__ import annotations

import time

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.generator import make_directory
from tests.monitor.simulator.xapi_client import Client


async def test_what_is_selected_is_answered_and_nothing_else(client: Client) -> None:
    answer = await client.get("/Users", select="Id,Number", orderby="Number desc", top=2, skip=1)
    assert answer.value == [
        {"Id": user["Id"], "Number": user["Number"]}
        for user in sorted(
            client.directory.users.values(), key=lambda user: user["Number"], reverse=True
        )[1:3]
    ]
    defs = await client.get("/Defs", select="Id")
    assert set(defs.body) == {"@odata.context", "Id"}


async def test_a_queue_says_who_its_agents_are_only_if_asked(client: Client) -> None:
    plain = await client.get("/Queues(Number='800')")
    assert "Agents" not in plain.body
    asked = await client.get(
        "/Queues(Number='800')", expand="Agents,Managers,Groups($expand=Rights,GroupRights)"
    )
    assert [agent["Number"] for agent in asked.body["Agents"]] == client.directory.agents("800")
    assert {agent["SkillGroup"] for agent in asked.body["Agents"]} <= {"1", "2", "3"}


@pytest.mark.parametrize(
    ("path", "expression", "numbers"),
    [
        ("/Users", "Number eq '101'", ["101"]),
        ("/Users", "Number eq '800'", []),
        ("/Users", "Number in ('101','103')", ["101", "103"]),
        ("/Users", "IsRegistered eq false", ["109", "120"]),
        ("/Users", "QueueStatus eq 'LoggedOut'", ["111", "124"]),
        ("/Users", "CurrentProfileName ne 'Available'", ["117"]),
        ("/Users", "Number ge '128' and Enabled eq true", ["128", "129"]),
        ("/Queues", "contains(tolower(Name),'SUP') or endswith(Name,'les')", ["800"]),
        ("/Queues", "Agents/any(a: a/Number ge '101' and a/Name ne null)", None),
        ("/Trunks", "Gateway/Name eq 'skyetel'", ["10000"]),
        ("/InboundRules", "TrunkDN/Number eq '10001'", None),
        ("/Peers", "Type eq 'Queue'", ["800", "801", "802"]),
        ("/Groups", "HasMembers eq true and Rights/any(r: r/RoleName eq 'users')", None),
        (
            "/Users",
            "Groups/any(g: g/Rights/RoleName eq 'users') and Number lt '103'",
            ["101", "102"],
        ),
    ],
)
async def test_a_filter_finds(
    client: Client, path: str, expression: str, numbers: list[str] | None
) -> None:
    answer = await client.get(path, filter=expression, count="true")
    if numbers is None:
        assert answer.value
    else:
        assert answer.column("Number") == numbers
    assert answer.body["@odata.count"] == len(answer.value)


async def test_search_finds_words_in_names_and_numbers(client: Client) -> None:
    assert (await client.get("/Users", search="ext105@example.com")).column("Number") == ["105"]
    contact = client.directory.contacts[5]
    found = await client.get(
        "/Contacts", search=f"{contact['LastName'].upper()} {contact['FirstName']}"
    )
    assert 5 in found.column("Id")
    assert (await client.get("/Queues", search="nothing like it")).value == []


async def test_the_server_cuts_pages_where_it_is_switched_to() -> None:
    client = Client(switches=Switches(page_size=7))
    everybody = sorted(client.directory.extensions())
    seen: list[str] = []
    answer = await client.get(
        "/Users", select="Number", orderby="Number", count="true", expand="Groups($select=Name)"
    )
    while True:
        assert len(answer.value) <= 7
        assert answer.body["@odata.count"] == 30
        seen += answer.column("Number")
        if "@odata.nextLink" not in answer.body:
            break
        answer = await client.follow(answer.body["@odata.nextLink"])
    assert seen == everybody
    first = await client.get("/Users", top=9, skip=2)
    assert len(first.value) == 7
    rest = await client.follow(first.body["@odata.nextLink"])
    assert len(rest.value) == 2
    assert "@odata.nextLink" not in rest.body
    assert "@odata.nextLink" not in (await client.get("/Users", top=7)).body


async def test_a_next_link_keeps_a_filter_with_signs_in_it() -> None:
    client = Client(switches=Switches(page_size=1))
    answer = await client.get("/DidNumbers", filter="startswith(Number,'+1515')")
    following = await client.follow(answer.body["@odata.nextLink"])
    assert following.column("Number") == ["+15153182961"]


async def test_a_large_address_book_is_leafed_through_quickly() -> None:
    client = Client(make_directory(5, 100, 4, contacts=100_000))
    directory = client.directory
    seen: list[int] = []
    started = time.process_time()
    for skip in range(0, 100_000, 20_000):
        page = await client.ask(
            "GET", "/Contacts", query=f"$select=Id&$orderby=LastName,Id&$top=100&$skip={skip}"
        )
        seen += page.column("Id")
    assert time.process_time() - started < 20
    ordered = sorted(
        directory.contacts.values(), key=lambda entry: (entry["LastName"], entry["Id"])
    )
    assert seen == [
        entry["Id"] for skip in range(0, 100_000, 20_000) for entry in ordered[skip : skip + 100]
    ]
    directory.book.remove(ordered[0]["Id"])
    first = await client.ask("GET", "/Contacts", query="$select=Id&$orderby=LastName,Id&$top=1")
    assert first.column("Id") == [ordered[1]["Id"]]


async def test_the_service_document_lists_what_is_served() -> None:
    client = Client()
    for path in ("/", ""):
        answer = await client.ask("GET", path)
        assert answer.body["@odata.context"] == "https://pbx.example.com:5001/xapi/v1/$metadata"
        kinds = {row["url"]: row["kind"] for row in answer.value}
        assert (kinds["Users"], kinds["SystemStatus"]) == ("EntitySet", "Singleton")


async def test_documents_say_what_they_are() -> None:
    client = Client()
    for path, media_type in (
        ("/$metadata", "application/xml"),
        ("/swagger.yaml", "application/yaml"),
    ):
        answer = await client.ask("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, media_type)
        assert (await client.ask("POST", path, {})).status == 405
    assert (await Client(role="users").ask("GET", "/$metadata")).status == 403


async def test_an_entity_is_found_by_its_key_below_another() -> None:
    client = Client()
    queue = client.directory.entity("800")
    assert queue is not None
    agents = (await client.get(f"/Queues({queue['Id']})/Agents")).value
    path = f"/Queues({queue['Id']})/Agents({agents[1]['Id']})"
    found = await client.get(path, select="Number")
    assert found.body["Number"] == agents[1]["Number"]
    assert found.body["@odata.context"].endswith(f"Queues({queue['Id']})/Agents/$entity")
    assert (await client.ask("GET", f"/Queues({queue['Id']})/Agents(999999)")).status == 404
    assert (await client.ask("PATCH", path, {})).status == 405
