"""Collections and settings that are stored as clients write them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client, refusal


async def test_a_website_link_lives_and_dies(client: Client) -> None:
    body = {"Link": "o'hara", "Name": "Shop", "DN": {"Number": "101"}, "Website": ["https://a.b"]}
    made = await client.ask("POST", "/WebsiteLinks", body)
    assert made.status == 201
    assert made.headers["location"].endswith("/WebsiteLinks('o%27%27hara')")
    path = "/WebsiteLinks('o''hara')"
    assert (await client.get(path, expand="DN")).body["DN"]["Type"] == "Extension"
    assert (await client.ask("PATCH", path, {"CallsEnabled": True})).status == 204
    assert (await client.get(path)).body["CallsEnabled"] is True
    listed = await client.get("/WebsiteLinks", filter="Name eq 'Shop'", select="Link")
    assert listed.value == [{"Link": "o'hara"}]
    assert (await client.ask("DELETE", path)).status == 204
    assert (await client.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    ("path", "body", "refused"),
    [
        ("/WebsiteLinks", {}, (400, "WARNINGS.XAPI.REQUIRED", "Link")),
        ("/WebsiteLinks", {"Link": "a"}, (400, "WARNINGS.XAPI.DUPLICATE", "Link")),
        (
            "/WebsiteLinks",
            {"Link": "b", "DN": {"Number": "4711"}},
            (400, "WARNINGS.XAPI.NOT_FOUND", "DN"),
        ),
        ("/Holidays", {"Name": "Easter"}, (400, "WARNINGS.XAPI.DUPLICATE", "Name")),
        ("/BlackListNumbers", {"Description": "x"}, (400, "WARNINGS.XAPI.REQUIRED", "CallerId")),
        ("/Blocklist", {"IPAddrMask": ""}, (400, "WARNINGS.XAPI.REQUIRED", "IPAddrMask")),
    ],
)
async def test_a_wrong_entity_is_refused(
    client: Client, path: str, body: dict[str, Any], refused: tuple[int, str, str]
) -> None:
    for name, there in (("WebsiteLinks", {"Link": "a"}), ("Holidays", {"Name": "Easter"})):
        assert (await client.ask("POST", f"/{name}", there)).status == 201
    assert refusal(await client.ask("POST", path, body)) == refused


async def test_keys_are_given_and_stay(client: Client) -> None:
    first = await client.ask("POST", "/Holidays", {"Name": "Easter", "Day": 5, "Month": 4})
    second = await client.ask("POST", "/Holidays", {"Name": "Eid", "Id": first.body["Id"]})
    assert first.body["Id"] != second.body["Id"]
    path = f"/Holidays({first.body['Id']})"
    assert refusal(await client.ask("PATCH", path, {"Id": 99})) == (
        400,
        "WARNINGS.XAPI.FORBIDDEN_CHANGE",
        "Id",
    )
    assert (await client.ask("PATCH", path, {"Id": first.body["Id"], "Name": "E"})).status == 204
    number = await client.ask("POST", "/BlackListNumbers", {"CallerId": "+7"})
    assert isinstance(number.body["Id"], str)
    found = await client.get(f"/BlackListNumbers('{number.body['Id']}')")
    assert found.body["CallerId"] == "+7"


async def test_each_pbx_has_its_own(client: Client) -> None:
    await client.ask("POST", "/Holidays", {"Name": "Easter"})
    assert (await Client().get("/Holidays")).value == []


async def test_settings_are_changed(client: Client) -> None:
    change = {"AllowBlockCalls": True, "AvatarStyle": None}
    assert (await client.ask("PATCH", "/GeneralSettingsForApps", change)).status == 204
    assert (await client.get("/GeneralSettingsForApps")).body["AllowBlockCalls"] is True
    wrongs: tuple[Any, ...] = ({"Colour": "red"}, {"AllowBlockCalls": "yes"}, [])
    for wrong in wrongs:
        assert (await client.ask("PATCH", "/GeneralSettingsForApps", wrong)).status == 400
