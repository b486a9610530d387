"""Test security headers, and what the access log says of requests and how much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.auth.api_keys import sha256_hex
from gateway.pbx_context import PbxContext
from gateway.rest.endpoint import KEY_NAME
from gateway.rest.middleware import AccessLog, redacted
from gateway.token_bucket import AT_ONCE
from tests.gateway.world import EXPIRED, FULL, READ, client, view

ADDRESS = f"/webapi/{FULL}/pbx.calls.get"


@pytest.fixture
def pbx() -> PbxContext:
    return view()


@pytest.fixture
async def http(pbx: PbxContext) -> AsyncIterator[httpx.AsyncClient]:
    async with client(pbx) as http:
        yield http


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", ADDRESS, "/webapi/x/y", "/nothing/here"]
)
async def test_every_answer_is_guarded(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'none'")


async def test_no_log_line_holds_a_key_or_a_query_string() -> None:
    with capture_logs() as logged:
        async with client() as http:
            for raw in (FULL, READ, EXPIRED, "a-wrong-key-0123"):
                for path in (
                    f"/webapi/{raw}/",
                    f"/webapi/{raw}/ext.info.get?num=99",
                    f"/webapi/{raw}/typo/{raw}",
                ):
                    await http.get(path)
                await http.get(f"/webapi/pbx.calls.get?key={raw}")
                await http.get(f"/{raw}")
                await http.get("/webapi/pbx.calls.get", headers={"Authorization": f"Bearer {raw}"})
                await http.post("/webapi/contact.get", json={"key": raw, "id": 12})
    assert len(logged) == 4 * 7
    text = str(logged)
    assert not any(raw in text for raw in (FULL, READ, EXPIRED, "a-wrong-key", "num=99"))
    assert {"method", "path", "status", "ms", "key"} <= set(logged[0])
    assert {line["path"] for line in logged} >= {
        "/webapi/*/ext.info.get",
        "/webapi/*/*/*",
        "/webapi/pbx.calls.get",
    }


async def test_refusals_of_unknown_keys_are_logged_with_address_and_digest_and_so_many_only() -> (
    None
):
    wrong, begun = "a-wrong-key-0123", time.monotonic()
    with capture_logs() as logged:
        async with client() as http:
            for _ in range(300):
                assert (await http.get(f"/webapi/{wrong}/pbx.calls.get")).status_code == 401
            passed = time.monotonic() - begun
            assert (await http.get(f"/webapi/{FULL}/pbx.calls.get?x=")).status_code == 400
    refused = [line for line in logged if line["status"] == 401]
    assert 60 <= len(refused) <= 61 + passed
    assert {(line["address"], line["refused_key"]) for line in refused} == {
        ("127.0.0.1", sha256_hex(wrong)[:8])
    }
    assert logged[-1]["status"] == 400, "whoever has a key is logged each time"
    assert not any(wrong in str(line) for line in logged)


def test_a_path_is_logged_without_what_might_be_a_key() -> None:
    assert redacted("/webapi/secret/pbx.calls.get") == "/webapi/*/pbx.calls.get"
    assert redacted("/webapi/secret/") == "/webapi/*/"
    assert redacted("/secret") == "/*"
    assert redacted("/readyz") == "/readyz"


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    pass


@pytest.mark.parametrize("status", [0, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("key", [None, "wall"])
async def test_whatever_goes_wrong_a_client_fills_no_log(
    status: int, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.token_bucket.PER_SECOND", 0.0)  # however long it takes here

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if status:  # else the client is gone before the answer
            await send({"type": "http.response.start", "status": status, "headers": []})

    log = AccessLog(app)
    scope = {"type": "http", "method": "POST", "path": "/webapi", "client": ("192.0.2.1", 1)}
    named = scope if key is None else scope | {KEY_NAME: key}
    with capture_logs() as logged:
        async with asyncio.timeout(60):
            for _ in range(5 * AT_ONCE):
                await log(dict(named), _nothing, _send)
        await log(scope | {KEY_NAME: "other"}, _nothing, _send)
    *lines, other = logged
    assert len(lines) == AT_ONCE
    assert {line["key"] for line in lines} == {key}
    assert other["key"] == "other"
