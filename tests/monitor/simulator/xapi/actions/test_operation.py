"""The bodies of actions, and deleting several entities at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client, refusal


async def test_several_entities_are_deleted_and_unknown_keys_passed_over() -> None:
    client = Client()
    for link in ("a", "b", "c"):
        await client.ask("POST", "/WebsiteLinks", {"Link": link})
    body = {"ids": ["a", "c", "z"]}
    assert (await client.ask("POST", "/WebsiteLinks/Pbx.BulkLinksDelete", body)).status == 204
    assert (await client.get("/WebsiteLinks")).column("Link") == ["b"]
    made = await client.ask("POST", "/Blocklist", {"IPAddrMask": "192.0.2.0/24"})
    await client.ask("POST", "/Blocklist/Pbx.BulkIpsDelete", {"ids": [made.body["Id"], 99]})
    assert (await client.get("/Blocklist")).value == []


@pytest.mark.parametrize("body", [{}, {"ids": None}, {"ids": [1]}, {"ids": "a"}])
async def test_keys_must_be_a_list_of_their_type(body: dict[str, Any]) -> None:
    answer = await Client().ask("POST", "/WebsiteLinks/Pbx.BulkLinksDelete", body)
    assert refusal(answer) == (400, "WARNINGS.XAPI.REQUIRED", "ids")


async def test_a_body_must_be_an_object() -> None:
    bodies: tuple[Any, ...] = (None, [], "x")
    for body in bodies:
        answer = await Client().ask("POST", "/Groups/Pbx.DeleteCompanyByNumber", body)
        assert answer.status == 400
