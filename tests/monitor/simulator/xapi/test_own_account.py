"""What a client finds of itself."""

from __future__ import annotations

import pytest

from monitor.simulator.tokens import GrantRefused
from tests.monitor.simulator.api_client import phones, running
from tests.monitor.simulator.xapi_client import Client, user


async def test_a_person_reads_and_changes_the_own_user_with_any_role() -> None:
    client = Client(role="users", client_id="103")
    assert (await client.get("/MyUser")).body["Number"] == "103"
    assert (await client.ask("PATCH", "/MyUser", {"Mobile": "+1", "Number": "103"})).status == 204
    assert user(client, "103")["Mobile"] == "+1"
    assert (await client.ask("PATCH", "/MyUser", {"Number": "104"})).status == 400
    assert len((await client.get("/MyUser/ForwardingProfiles")).value) == 5
    assert (await client.get("/MyUser/Groups")).value
    assert (await client.ask("GET", "/Users")).status == 403


async def test_an_api_client_is_no_user_but_has_a_department() -> None:
    client = Client()
    assert (await client.ask("GET", "/MyUser")).status == 404
    assert (await client.get("/MyGroup")).body["Name"] == "DEFAULT"
    assert (await client.get("/MyGroup/Members")).value
    assert (await client.get("/MyGroup/Rights")).column("RoleName") == [
        "users",
        "managers",
        "group_owners",
    ]
    assert (await client.ask("PATCH", "/MyGroup", {"Language": "DE"})).status == 204
    assert (await client.get("/MyGroup")).body["Language"] == "DE"
    person = Client(role="users", client_id="103")
    assert (await person.ask("PATCH", "/MyGroup", {"Language": "DE"})).status == 403


async def test_logins_are_listed_and_ended_by_their_owner_alone() -> None:
    client = Client(role="users", client_id="103")
    assert client.site.tokens is not None
    grants = [
        client.site.tokens.log_in(number, user(client, number)["AccessPassword"])
        for number in ("103", "104", "103")
    ]
    rows = (await client.get("/MyTokens")).value
    assert [row["Username"] for row in rows] == ["103", "103"]
    others = [one.id for one in client.site.tokens.logins() if one.number == "104"]
    path = "/MyTokens({})/Pbx.RevokeToken"
    assert (await client.ask("POST", path.format(others[0]))).status == 404
    assert (await client.ask("POST", path.format(rows[0]["Id"]))).status == 204
    assert (await client.get("/MyTokens")).column("Id") == [rows[1]["Id"]]
    assert grants[0] is not None
    form = {"grant_type": "refresh_token", "refresh_token": str(grants[0]["refresh_token"])}
    with pytest.raises(GrantRefused):
        client.site.tokens.grant(form)
    assert (await client.ask("GET", "/SecurityTokens")).status == 403
    client.role = "system_owners"
    assert (await client.get("/SecurityTokens")).column("Username") == ["104", "103"]
    answer = await client.ask("POST", f"/SecurityTokens({others[0]})/Pbx.RevokeToken")
    assert answer.status == 204
    assert (await client.get("/SecurityTokens")).column("Username") == ["103"]


async def test_over_http_a_person_finds_the_own_user_and_login() -> None:
    async with running() as client:
        number = phones(client.pbx)[1]
        entity = client.pbx.directory.entity(number)
        assert entity is not None
        body = {"Username": number, "Password": entity["AccessPassword"], "SecurityCode": ""}
        client.token = ""
        login = await client.post("/webclient/api/Login/GetAccessToken", body)
        client.token = login.json["Token"]["access_token"]
        assert (await client.get("/xapi/v1/MyUser")).json["Number"] == number
        [own] = (await client.get("/xapi/v1/MyTokens")).json["value"]
        revoked = await client.post(f"/xapi/v1/MyTokens({own['Id']})/Pbx.RevokeToken")
        assert revoked.status == 204
        assert (await client.get("/xapi/v1/MyTokens")).json["value"] == []
