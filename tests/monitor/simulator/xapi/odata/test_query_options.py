"""Options of a query, and what they leave."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client


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


async def test_options_given_twice_are_joined(client: Client) -> None:
    query = "$select=Id&$select=Number&$orderby=QueueStatus&$orderby=Number%20desc"
    rows = (await client.ask("GET", "/Users", query=query)).value
    assert set(rows[0]) == {"Id", "Number"}
    users = client.directory.users.values()
    ordered = sorted(users, key=lambda user: user["Number"], reverse=True)
    ordered.sort(key=lambda user: user["QueueStatus"])
    assert [row["Number"] for row in rows] == [user["Number"] for user in ordered]
    for query in ("$top=1&$top=2", "$count=true&$count=true"):
        assert (await client.ask("GET", "/Users", query=query)).status == 400, query


@pytest.mark.parametrize(
    "options", [{"top": 101}, {"top": 500}, {"expand": "Groups($top=101)", "top": 1}]
)
async def test_more_than_a_hundred_rows_cannot_be_asked_for(
    client: Client, options: dict[str, Any]
) -> None:
    assert (await client.get("/Contacts", top=100)).status == 200
    answer = await client.ask("GET", "/Users", **options)
    assert answer.status == 400
    asked = 500 if options["top"] == 500 else 101
    assert answer.body["error"]["message"] == (
        "The query specified in the URI is not valid. The limit of '100' for Top query has been "
        f"exceeded. The value from the incoming request is '{asked}'."
    )


async def test_options_need_no_dollar_and_others_are_left_alone(client: Client) -> None:
    assert (
        len((await client.ask("GET", "/Users", query="top=2&_=123&$format=json&$filter=")).value)
        == 2
    )
