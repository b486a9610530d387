"""What clients may send: known properties, of their types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi.test_writes import user_id
from tests.monitor.simulator.xapi_client import Client, refusal


@pytest.mark.parametrize(
    ("body", "message", "target"),
    [
        ({"Number": "100"}, "WARNINGS.XAPI.ALREADY_IN_USE", "Number"),
        ({"Number": "800"}, "WARNINGS.XAPI.ALREADY_IN_USE", "Number"),
        ({"Number": "12a"}, "WARNINGS.INVALID", "Number"),
        ({"CurrentProfileName": "Asleep"}, "WARNINGS.INVALID", "CurrentProfileName"),
        ({"PrimaryGroupId": 99999}, "WARNINGS.XAPI.NOT_FOUND", "PrimaryGroupId"),
        ({"Groups": [{"GroupId": 99999}]}, "WARNINGS.XAPI.NOT_FOUND", "Groups"),
        ({"Phones": [{"Id": 1}]}, "WARNINGS.XAPI.NOT_SUPPORTED", "Phones"),
    ],
)
async def test_a_wrong_user_is_refused(
    client: Client, body: dict[str, Any], message: str, target: str
) -> None:
    before = client.directory.extensions()
    assert refusal(await client.ask("POST", "/Users", body)) == (400, message, target)
    assert client.directory.extensions() == before


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        b"{",
        {"Colour": "red"},
        {"Enabled": "yes"},
        {"FirstName": 5},
        {"QueueStatus": "Asleep"},
        {"PinProtectTimeout": 2**31},
        {"Hours": {"Colour": "red"}},
        {"Groups": {}},
        {"Tags": None},
        {"ForwardingProfiles": [{"Colour": "red"}]},
    ],
)
async def test_a_body_of_the_wrong_kind_is_refused(client: Client, body: Any) -> None:
    for method, path in (("POST", "/Users"), ("PATCH", f"/Users({await user_id(client, '101')})")):
        assert (await client.ask(method, path, body)).status == 400


async def test_what_only_the_pbx_sets_is_left_alone(client: Client) -> None:
    key = await user_id(client, "109")
    change = {"IsRegistered": True, "DisplayName": "Somebody", "Id": 5}
    assert (await client.ask("PATCH", f"/Users({key})", change)).status == 204
    after = (await client.get(f"/Users({key})")).body
    assert (after["Id"], after["IsRegistered"]) == (key, False)
    assert after["DisplayName"] != "Somebody"
