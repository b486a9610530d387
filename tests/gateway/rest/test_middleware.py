"""Guarding headers, and the log's one line for each request."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.auth.api_keys import sha256_hex
from gateway.pbx_context import PbxContext
from gateway.rest.middleware import redacted
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
