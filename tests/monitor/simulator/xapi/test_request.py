"""Answers with many rows: pages, counts, and where they go on."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.xapi_client import Client


@pytest.fixture
def client() -> Client:
    return Client(switches=Switches(page_size=3))


async def rest(client: Client, **options: Any) -> list[dict[str, Any]]:
    """All rows, page by page, as a client follows the links."""
    answer = await client.get("/Users", **options)
    rows = list(answer.value)
    while (link := answer.body.get("@odata.nextLink")) is not None:
        assert len(answer.value) == 3
        answer = await client.follow(link)
        rows += answer.value
    return rows


async def test_who_follows_the_links_gets_every_row_once(client: Client) -> None:
    rows = await rest(client, select="Number", orderby="Number")
    assert [row["Number"] for row in rows] == sorted(client.directory.extensions())


async def test_a_link_keeps_the_options_and_counts_down_what_was_asked_for(client: Client) -> None:
    rows = await rest(client, select="Number", orderby="Number desc", top=7, skip=2)
    assert [row["Number"] for row in rows] == sorted(client.directory.extensions())[::-1][2:9]


async def test_the_count_is_of_all_that_match_and_the_page_is_not(client: Client) -> None:
    answer = await client.get("/Users", count="true", top=1)
    assert answer.body["@odata.count"] == len(client.directory.extensions())
    assert len(answer.value) == 1
    assert "@odata.count" not in (await client.get("/Users", top=1)).body


async def test_an_answer_says_of_which_kind_it_is(client: Client) -> None:
    assert (await client.get("/Users", top=1)).body["@odata.context"].endswith("/$metadata#Users")
