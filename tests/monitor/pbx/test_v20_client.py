from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.pbx.facts import SystemRow
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.shared.errors import ConfigError, PbxGarbled, PbxRefused, PbxUnreachable, TokenRefused
from tests.monitor.pbx.scripted import ScriptedPbx, settings_for

_WRONG_SECRET = {"error": "invalid_client", "error_description": "no"}


async def test_what_check_asks_is_answered(pbx: ScriptedPbx, client: PbxClient) -> None:
    pbx.put(1, "Ringing")
    assert await client.system_status() == SystemRow("20.0.10.1")
    assert (await client.whoami()).roles == {"Users"}
    assert [p.id for p in (await client.full_state()).participants] == [1]
    assert pbx.minted == 1


async def test_a_token_revoked_in_mid_life_is_replaced_within_the_request(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    await client.system_status()
    pbx.revoke()
    await client.system_status()
    assert pbx.minted == 2


async def test_a_fresh_token_that_is_refused_is_not_tried_a_third_time(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    pbx.revoke_at_once = True
    with pytest.raises(TokenRefused):
        await client.system_status()
    assert pbx.minted == 2
    assert pbx.requests["/xapi/v1/SystemStatus"] == 2


async def test_who_else_mints_is_named_in_words_and_not_fought(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    pbx.revoke_at_once = True
    messages = set()
    for _ in range(30):
        with pytest.raises(TokenRefused) as caught:
            await client.system_status()
        messages.add(str(caught.value))
    assert any("another program uses this API client" in message for message in messages)
    assert pbx.minted < 12


async def test_many_requests_after_a_revocation_cause_one_mint(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    await client.system_status()
    pbx.revoke()
    await asyncio.gather(*(client.system_status() for _ in range(20)))
    assert pbx.minted == 2


@pytest.mark.parametrize("status", [401, 400])
async def test_a_wrong_secret_is_said_in_words(
    pbx: ScriptedPbx, client: PbxClient, status: int
) -> None:
    pbx.answer("/connect/token", status, _WRONG_SECRET)
    with pytest.raises(TokenRefused, match="'callmon' with this secret") as caught:
        await client.system_status()
    assert "'secret'" not in str(caught.value)


async def test_a_participant_that_is_gone_is_none(client: PbxClient) -> None:
    assert await client.participant("100", 5) is None


async def test_a_dns_number_is_encoded_in_paths(pbx: ScriptedPbx, client: PbxClient) -> None:
    await client.participant("*5/5 ü", 5)
    assert pbx.requests["/callcontrol/%2A5%2F5%20%C3%BC/participants/5"] == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422])
async def test_a_refusal_carries_3cx_own_word(
    pbx: ScriptedPbx, client: PbxClient, status: int
) -> None:
    pbx.answer("/xapi", status, {"error": {"code": "", "message": "WARNINGS.XAPI.NOT_FOUND"}})
    with pytest.raises(PbxRefused, match="NOT_FOUND") as caught:
        await client.system_status()
    assert (caught.value.status, caught.value.code) == (status, "WARNINGS.XAPI.NOT_FOUND")


async def test_a_refusal_without_a_body_is_one_too(pbx: ScriptedPbx, client: PbxClient) -> None:
    pbx.answer("/xapi", 403, "<html>no</html>")
    with pytest.raises(PbxRefused) as caught:
        await client.system_status()
    assert (caught.value.status, caught.value.code) == (403, "")


async def test_a_redirect_is_not_followed_with_our_token(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    pbx.answer("/xapi", 302, headers={"Location": f"{pbx.url}/elsewhere"})
    with pytest.raises(PbxRefused, match="elsewhere"):
        await client.system_status()
    assert not pbx.requests["/elsewhere"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_what_may_pass_is_unreachable(
    pbx: ScriptedPbx, client: PbxClient, status: int
) -> None:
    pbx.answer("/xapi", status, headers={"Retry-After": "7"})
    with pytest.raises(PbxUnreachable) as caught:
        await client.system_status()
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 300, 300),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("999999999", 300, 300),
    ],
    ids=["tomorrow", "long ago", "for years"],
)
async def test_retry_after_may_be_a_date(
    pbx: ScriptedPbx, client: PbxClient, header: str, least: float, most: float
) -> None:
    pbx.answer("/xapi", 503, headers={"Retry-After": header})
    with pytest.raises(PbxUnreachable) as caught:
        await client.system_status()
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("header", ["soon", "-5", "", "1.5.5"])
async def test_a_retry_after_that_says_nothing_is_none(
    pbx: ScriptedPbx, client: PbxClient, header: str
) -> None:
    pbx.answer("/xapi", 503, headers={"Retry-After": header})
    with pytest.raises(PbxUnreachable) as caught:
        await client.system_status()
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    "body", ["<html>Sign in to the guest network</html>", "{", "[]", '"x"', "null"]
)
async def test_what_is_no_pbx_is_garbled(pbx: ScriptedPbx, client: PbxClient, body: str) -> None:
    pbx.answer("/xapi", 200, body)
    with pytest.raises(PbxGarbled):
        await client.system_status()


@pytest.mark.parametrize(
    "answer", [{}, [], {"access_token": ""}, {"access_token": "a b"}, {"access_token": "ü"}]
)
async def test_an_answer_without_a_token_is_garbled(
    pbx: ScriptedPbx, client: PbxClient, answer: Any
) -> None:
    pbx.answer("/connect/token", 200, answer)
    with pytest.raises(PbxGarbled):
        await client.system_status()


async def test_a_pbx_that_hangs_is_unreachable(pbx: ScriptedPbx) -> None:
    client = PbxClient(settings_for(pbx.url, request_timeout=1.0))
    await client.tokens.get()
    held = pbx.hold("/xapi")
    with pytest.raises(PbxUnreachable, match="in time"):
        await client.system_status()
    held.release()
    await client.close()


async def test_a_pbx_that_is_off_is_unreachable_in_words(pbx: ScriptedPbx) -> None:
    client = PbxClient(settings_for("http://127.0.0.1:9"))
    with pytest.raises(PbxUnreachable, match="cannot be reached"):
        await client.system_status()
    await client.close()


async def test_active_calls_give_the_pbx_clock(pbx: ScriptedPbx, client: PbxClient) -> None:
    pbx.rows = [{"Id": 2, "ServerNow": "2026-03-04T03:15:30Z"}, {"Id": 3}]
    calls = await client.active_calls()
    assert [call.id for call in calls.rows] == [2, 3]
    assert calls.server_now == 1772594130.0


async def test_closing_twice_does_no_harm(client: PbxClient) -> None:
    await client.system_status()
    await client.close()
    await client.close()


async def test_the_secret_is_not_in_what_settings_print() -> None:
    assert "hunter2" not in repr(PbxSettings("https://pbx", "callmon", "hunter2"))


async def test_a_ca_file_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        PbxClient(PbxSettings("https://pbx", "callmon", "secret", ca_file=tmp_path / "none.pem"))


Ask = Callable[[PbxClient], Awaitable[object]]


@pytest.mark.parametrize("ask", [PbxClient.full_state, PbxClient.active_calls])
async def test_a_list_that_is_none_is_garbled(
    pbx: ScriptedPbx, client: PbxClient, ask: Ask
) -> None:
    for prefix in ("/callcontrol", "/xapi"):
        pbx.answer(prefix, 200, {"hello": 1})
    with pytest.raises(PbxGarbled):
        await ask(client)
