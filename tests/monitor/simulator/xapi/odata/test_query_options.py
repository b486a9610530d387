"""Options of a query, and what they leave."""

from __future__ import annotations

import pytest

from tests.monitor.simulator.xapi_client import Client


@pytest.fixture
def client() -> Client:
    return Client()


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


async def test_an_option_given_twice_is_refused(client: Client) -> None:
    assert (await client.ask("GET", "/Users", query="$top=1&$top=2")).status == 400


async def test_options_need_no_dollar_and_others_are_left_alone(client: Client) -> None:
    assert (
        len((await client.ask("GET", "/Users", query="top=2&_=123&$format=json&$filter=")).value)
        == 2
    )
