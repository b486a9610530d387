from __future__ import annotations

import time

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.paths import Segment, parse_path
from tests.monitor.simulator.xapi_client import Client


@pytest.fixture
def client() -> Client:
    return Client()


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


async def test_nested_options_hold_within_what_is_expanded(client: Client) -> None:
    answer = await client.get(
        "/Users",
        expand="Groups($expand=Rights($select=RoleName),GroupRights;$select=Name;$filter=Name "
        "ne 'a;b)'),"
        "ForwardingProfiles($select=Name;$orderby=Name desc;$top=2;$skip=1;$count=true)",
        select="Number",
        top=1,
    )
    (row,) = answer.value
    assert set(row) == {"Number", "Groups", "ForwardingProfiles", "ForwardingProfiles@odata.count"}
    assert set(row["Groups"][0]) == {"Name", "Rights", "GroupRights"}
    assert row["Groups"][0]["Rights"] == {"RoleName": "system_owners"}
    assert row["ForwardingProfiles"] == [{"Name": "Custom 2"}, {"Name": "Custom 1"}]
    assert row["ForwardingProfiles@odata.count"] == 5


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


@pytest.mark.parametrize(
    "options",
    [
        {"filter": "Number eq 101"},
        {"filter": "Colour eq 'red'"},
        {"filter": "Number eq"},
        {"orderby": "Colour"},
        {"orderby": "Groups"},
        {"select": "Colour"},
        {"expand": "Colour"},
        {"expand": "Groups($frobnicate=1)"},
        {"expand": "Groups(select)"},
        {"expand": "Groups($select=Name"},
        {"top": "-1"},
        {"top": "x"},
        {"skip": "1.5"},
        {"count": "yes"},
        {"levels": "3"},
    ],
)
async def test_a_wrong_option_is_refused(client: Client, options: dict[str, str]) -> None:
    answer = await client.ask("GET", "/Users", **options)
    assert answer.status == 400
    assert answer.body["error"]["message"].startswith(
        "The query specified in the URI is not valid."
    )


async def test_an_option_given_twice_is_refused(client: Client) -> None:
    assert (await client.ask("GET", "/Users", query="$top=1&$top=2")).status == 400


async def test_options_need_no_dollar_and_others_are_left_alone(client: Client) -> None:
    assert (
        len((await client.ask("GET", "/Users", query="top=2&_=123&$format=json&$filter=")).value)
        == 2
    )


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


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("Users(29)/Groups", (Segment("Users", {"": 29}), Segment("Groups"))),
        ("Queues(Number='8''/0')", (Segment("Queues", {"Number": "8'/0"}),)),
        (
            "/Contacts/Pbx.F(a='x,y', b=true,c=null)/",
            (Segment("Contacts"), Segment("Pbx.F", {"a": "x,y", "b": True, "c": None})),
        ),
        ("Users/Pbx.F()", (Segment("Users"), Segment("Pbx.F", {}))),
        ("Users('a=b')", (Segment("Users", {"": "a=b"}),)),
    ],
)
def test_an_address_has_segments(path: str, segments: tuple[Segment, ...]) -> None:
    assert parse_path(path) == segments


@pytest.mark.parametrize("path", ["Users(x)", "Users('", "Us ers", "Users(1", "Users(Number=)"])
def test_a_wrong_address_is_an_error(path: str) -> None:
    with pytest.raises(ODataError):
        parse_path(path)


async def test_a_large_address_book_is_leafed_through_quickly() -> None:
    client = Client(make_directory(5, 100, 4, contacts=100_000))
    directory = client.directory
    seen: list[int] = []
    started = time.perf_counter()
    for skip in range(0, 100_000, 20_000):
        page = await client.ask(
            "GET", "/Contacts", query=f"$select=Id&$orderby=LastName,Id&$top=500&$skip={skip}"
        )
        seen += page.column("Id")
    assert time.perf_counter() - started < 20
    ordered = sorted(
        directory.contacts.values(), key=lambda entry: (entry["LastName"], entry["Id"])
    )
    assert seen == [
        entry["Id"] for skip in range(0, 100_000, 20_000) for entry in ordered[skip : skip + 500]
    ]
    directory.book.remove(ordered[0]["Id"])
    first = await client.ask("GET", "/Contacts", query="$select=Id&$orderby=LastName,Id&$top=1")
    assert first.column("Id") == [ordered[1]["Id"]]
