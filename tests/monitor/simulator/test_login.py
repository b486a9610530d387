"""Test logins with extension and password, as wallboards and older programs do them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import jwt
import pytest

from monitor import myphone_messages
from monitor.simulator import tokens as token_rules
from monitor.simulator.tokens import GrantRefused
from tests.monitor.simulator.api_client import PATIENCE, QUIET, ApiClient, Reply, running
from tests.monitor.simulator.test_myphone import DONE, SESSION, command, words
from tests.monitor.simulator.test_tokens import make, mint

LOGIN = "/webclient/api/Login/GetAccessToken"
REFRESH = {"grant_type": "refresh_token", "client_id": "Webclient"}


@pytest.fixture
async def client() -> AsyncIterator[ApiClient]:
    async with running() as client:
        client.token = ""
        yield client


def password(client: ApiClient, number: str) -> str:
    user = client.pbx.directory.entity(number)
    assert user is not None
    return str(user["AccessPassword"])


async def log_in(client: ApiClient, number: str = "100") -> dict[str, Any]:
    """Log in, use the token from now on, and give all tokens."""
    body = {"Username": number, "Password": password(client, number), "SecurityCode": ""}
    reply = await client.post(LOGIN, body)
    assert reply.status == 200
    assert (reply.json["Status"], reply.json["TwoFactorAuth"]) == ("AuthSuccess", None)
    tokens: dict[str, Any] = reply.json["Token"]
    client.token = tokens["access_token"]
    return tokens


async def refreshed(client: ApiClient, cookie: str, **more: str) -> Reply:
    headers = {"Cookie": f"RefreshTokenCookie={cookie}"}
    async with aiohttp.ClientSession() as other:
        url = client.pbx.url + "/connect/token"
        async with other.post(
            url, params=REFRESH, data=REFRESH | more, headers=headers
        ) as response:
            return Reply(response.status, await response.json(), response.headers)


async def test_the_operator_logs_in_and_may_do_all(client: ApiClient) -> None:
    tokens = await log_in(client)
    assert tokens.keys() == {"token_type", "expires_in", "access_token", "refresh_token"}
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert (claims["unique_name"], claims["MaxRole"]) == ("100", "system_owners")
    assert "PhoneSystemAdmin" in claims["role"]
    assert (await client.get("/xapi/v1/Users")).status == 200
    assert (await client.get("/xapi/v1/Recordings")).status == 200


async def test_an_email_address_names_a_person_too(client: ApiClient) -> None:
    reply = await client.post(
        LOGIN, {"Username": "ext101@example.com", "Password": password(client, "101")}
    )
    assert reply.status == 200
    claims = jwt.decode(reply.json["Token"]["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["role"][0]) == ("101", "MyUser")
    assert "Admin" not in claims["role"]


async def test_a_person_sees_his_own_extension_and_no_configuration(client: ApiClient) -> None:
    await log_in(client, "101")
    assert (await client.get("/xapi/v1/Users")).status == 403
    [own] = (await client.get("/callcontrol")).json
    assert (own["dn"], own["type"]) == ("101", "Wextension")
    assert (await client.get("/callcontrol/100")).status == 403
    device = own["devices"][0]["device_id"]
    made = (await client.makecall("101", "102", device)).json["result"]["id"]
    assert (await client.get(f"/callcontrol/101/participants/{made}/stream")).status == 403, (
        "no route point"
    )


@pytest.mark.parametrize(
    ("number", "word"), [("100", "wrong"), ("100", ""), ("", ""), ("4711", "wrong"), ("800", "")]
)
async def test_who_does_not_know_the_password_stays_outside(
    client: ApiClient, number: str, word: str
) -> None:
    reply = await client.post(LOGIN, {"Username": number, "Password": word, "SecurityCode": ""})
    assert (reply.status, reply.json) == (
        401,
        {"Status": "AuthFailed", "Token": None, "TwoFactorAuth": None},
    )


async def test_a_disabled_extension_is_nobody(client: ApiClient) -> None:
    tokens = await log_in(client, "101")
    user = client.pbx.directory.entity("101")
    assert user is not None
    client.pbx.directory.update(user, {"Enabled": False})
    assert (await client.get("/callcontrol")).status == 403
    assert (await refreshed(client, tokens["refresh_token"])).status == 400
    client.token = ""
    assert (
        await client.post(LOGIN, {"Username": "101", "Password": password(client, "101")})
    ).status == 401


async def test_what_is_no_login_is_a_bad_request_and_a_bare_look_not_allowed(
    client: ApiClient,
) -> None:
    assert (await client.post(LOGIN, form="{no")).status == 400
    assert (await client.post(LOGIN, {"Username": 100})).status == 400
    reply = await client.get(LOGIN)
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


async def test_a_refresh_token_gives_another_token_and_the_first_lives_on(
    client: ApiClient,
) -> None:
    first = await log_in(client)
    reply = await refreshed(client, first["refresh_token"])
    assert (reply.status, reply.json["token_type"]) == (200, "Bearer")
    assert (await client.get("/xapi/v1/Users")).status == 200
    client.token = reply.json["access_token"]
    assert (await client.get("/xapi/v1/Users")).status == 200
    in_form = await client.post(
        "/connect/token", form={**REFRESH, "refresh_token": first["refresh_token"]}
    )
    assert in_form.status == 200
    assert (await refreshed(client, "invented")).json["error"] == "invalid_grant"


async def test_the_cookie_comes_with_the_login_and_is_enough() -> None:
    async with running(settings=replace(QUIET, tls=True)) as client:
        client.token = ""
        body = {"Username": "100", "Password": password(client, "100")}
        reply = await client.post(LOGIN, body)
        cookie = reply.headers["Set-Cookie"]
        assert cookie.startswith(f"RefreshTokenCookie={reply.json['Token']['refresh_token']};")
        assert {"HttpOnly", "Secure"} <= {part.strip() for part in cookie.split(";")}
        pair = {"Cookie": cookie.partition(";")[0]}
        url = client.pbx.url + "/connect/token"
        async with client.session.post(url, data=REFRESH, headers=pair) as refreshed:
            assert refreshed.status == 200


async def test_who_logs_out_has_to_log_in_again(client: ApiClient) -> None:
    tokens = await log_in(client)
    headers = {**client.headers, "Cookie": f"RefreshTokenCookie={tokens['refresh_token']}"}
    async with client.session.post(
        client.pbx.url + "/webclient/api/Logout", headers=headers
    ) as response:
        assert response.status == 200
    assert (await client.get("/xapi/v1/Users")).status == 401
    assert (await refreshed(client, tokens["refresh_token"])).status == 400


def test_a_refresh_token_lives_sixty_days_and_survives_a_restart() -> None:
    tokens, clock = make()
    user = tokens._directory.entity("100")
    assert user is not None
    granted = tokens.log_in("100", user["AccessPassword"])
    assert granted is not None
    tokens.restart()
    assert tokens.principal(str(granted["access_token"])) is None
    again = {**REFRESH, "refresh_token": str(granted["refresh_token"])}
    clock.now += 60 * 86400 - 1
    assert tokens.principal(str(tokens.grant(again)["access_token"])) is not None
    clock.now += 1
    with pytest.raises(GrantRefused, match="refresh token"):
        tokens.grant(again)


def test_the_oldest_of_too_many_tokens_is_forgotten_but_no_api_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_rules, "_MOST", 3)
    tokens, _ = make()
    ours = mint(tokens)
    user = tokens._directory.entity("100")
    assert user is not None
    granted = [tokens.log_in("100", user["AccessPassword"]) for _ in range(5)]
    alive = [
        one is not None and tokens.principal(str(one["access_token"])) is not None
        for one in granted
    ]
    assert alive == [False, False, True, True, True]
    assert tokens.principal(ours) is not None


async def test_a_person_needs_no_licence_for_the_web_client_but_for_the_apis() -> None:
    async with running(settings=replace(QUIET, licence="professional")) as client:
        client.token = ""
        await log_in(client)
        assert (
            await client.post(SESSION, {"Name": "RelayAgent", "Version": "18.0.10.0"})
        ).status == 200
        assert (await client.get("/xapi/v1/Users")).status == 403


async def session(client: ApiClient) -> dict[str, str]:
    reply = await client.post(
        SESSION, {"Name": "RelayAgent", "Version": "18.0.10.0", "fingerprint": "1"}
    )
    assert reply.status == 200
    opened: dict[str, str] = reply.json
    return opened


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(PATIENCE):
        message = await socket.receive()
    assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
    return (
        message.data
        if message.type is aiohttp.WSMsgType.TEXT
        else myphone_messages.decode(message.data)
    )


async def test_the_web_clients_socket_tells_of_logins_asked_for_and_changed(
    client: ApiClient,
) -> None:
    await log_in(client)
    opened = await session(client)
    directory = client.pbx.directory
    queue = directory.entity(directory.queue_numbers()[0])
    agent = directory.entity(directory.agents(directory.queue_numbers()[0])[0])
    assert queue is not None
    assert agent is not None
    url = f"{client.pbx.url}/ws/webclient?sessionId={opened['sessionKey']}&pass={opened['pass']}"
    async with client.session.ws_connect(url) as socket:
        assert await heard(socket) == "START"
        await socket.send_str("ADDP")
        key = opened["sessionKey"]
        assert words(await command(client, key, myphone_messages.login())) == DONE
        whole = await heard(socket)
        answer = await command(client, key, myphone_messages.get_my_info())
        assert myphone_messages.decode(answer.json).my_info.number == "100"
        assert await heard(socket) == whole
        await command(
            client,
            key,
            myphone_messages.set_queue_status(queue["Id"], agent["Id"], logged_in=False),
        )
        [changed] = (await heard(socket)).queues_info.queues
        [row] = changed.agents.items
        assert (changed.id, row.id, row.logged_in) == (queue["Id"], agent["Id"], False)
        before = {one.number: one for one in whole.queues_info.queues}[queue["Number"]]
        assert {one.extension: one.logged_in for one in before.agents.items} == dict.fromkeys(
            directory.agents(queue["Number"]), True
        )


async def test_the_web_clients_socket_wants_key_and_pass(client: ApiClient) -> None:
    await log_in(client)
    opened = await session(client)
    for query in (
        "",
        f"?sessionId={opened['sessionKey']}&pass=wrong",
        f"?sessionId=none&pass={opened['pass']}",
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.session.ws_connect(f"{client.pbx.url}/ws/webclient{query}")
        assert refused.value.status == 403


async def test_an_api_client_may_take_the_place_of_an_extension_that_there_is() -> None:
    async with running() as client:
        body = {"name": "AI", "version": "0.1", "isHuman": False, "impersonate": "101"}
        assert (await client.post(SESSION, body)).status == 200
        assert (await client.post(SESSION, {**body, "impersonate": "4711"})).status == 404


async def test_an_administrators_cookie_gives_a_token_for_another_person(
    client: ApiClient,
) -> None:
    cookie = (await log_in(client))["refresh_token"]
    reply = await refreshed(client, cookie, impersonate="110")
    claims = jwt.decode(reply.json["access_token"], options={"verify_signature": False})
    assert claims["unique_name"] == "110"
    assert "Impersonate" in claims["role"]
    assert "PhoneSystemAdmin" not in claims["role"], "the rights are the other person's"
    client.token = reply.json["access_token"]
    key = (await session(client))["sessionKey"]
    await command(client, key, myphone_messages.login())
    told = await command(client, key, myphone_messages.get_my_info())
    assert myphone_messages.decode(told.json).my_info.number == "110"


async def test_nobody_else_is_impersonated_and_nobody_else_impersonates(client: ApiClient) -> None:
    cookie = (await log_in(client))["refresh_token"]
    for number in ("4711", client.pbx.client_id, "800"):
        reply = await refreshed(client, cookie, impersonate=number)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
    cookie = (await log_in(client, "101"))["refresh_token"]
    reply = await refreshed(client, cookie, impersonate="110")
    assert (reply.status, reply.json["error"]) == (403, "access_denied")
    assert (await refreshed(client, "none", impersonate="110")).status == 400
