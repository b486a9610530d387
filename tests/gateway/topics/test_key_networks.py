"""Test keys that are tied to networks, for queries and stream, with and without a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway import run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection
from tests.bus import FakeBus, fake_bus, only, until_async
from tests.monitor.terms import running

OFFICE = ApiKey(
    "office", sha256_hex("office-key"), "pbx", frozenset({"read"}), networks=("203.0.113.0/24",)
)
LOCAL = ApiKey(
    "local",
    sha256_hex("local-key"),
    "pbx",
    frozenset({"read"}),
    networks=("127.0.0.0/8", "::1/128"),
)


@asynccontextmanager
async def served(bus: FakeBus, proxies: str) -> AsyncIterator[httpx.AsyncClient]:
    section = GatewaySection(port=0, forwarded_allow_ips=proxies)
    async with (
        running(bus),
        run.serving(["pbx"], KeyTable([OFFICE, LOCAL]), section, only(bus.client())) as server,
        httpx.AsyncClient(base_url=server.address, timeout=60) as http,
    ):

        async def loaded() -> bool:
            told = (await http.get("/readyz", headers={"X-API-Key": "local-key"})).json()
            return bool(told.get("pbxs", {}).get("pbx", {}).get("snapshot"))

        await until_async(loaded)
        yield http


async def answers(http: httpx.AsyncClient, key: str, forwarded_for: str | None) -> tuple[int, int]:
    """The statuses of a query and of a stream's handshake."""
    headers = {"Authorization": f"Bearer {key}"}
    if forwarded_for is not None:
        headers["X-Forwarded-For"] = forwarded_for
    query = await http.get("/webapi/pbx.calls.get", headers=headers)
    if query.status_code != 200:
        assert query.json()["error"]["code"] == "address_not_allowed"
    try:
        async with connect(
            str(http.base_url).replace("http", "ws", 1) + "/webapi/stream",
            additional_headers=headers,
            proxy=None,
        ):
            return query.status_code, 101
    except InvalidStatus as refused:
        return query.status_code, refused.response.status_code


@pytest.mark.parametrize(
    ("key", "forwarded_for", "let_in"),
    [
        ("local-key", None, True),
        ("office-key", None, False),
        ("office-key", "203.0.113.9", True),
        ("local-key", "203.0.113.9", False),
        (
            "office-key",
            "203.0.113.9, 198.51.100.1",
            False,
        ),  # what the client wrote, and what the proxy added
        ("office-key", "198.51.100.1, 203.0.113.9", True),
        ("office-key", "198.51.100.1", False),
        ("office-key", "no address", False),
    ],
)
async def test_behind_a_trusted_proxy_the_address_that_it_saw_counts(
    key: str, forwarded_for: str | None, let_in: bool
) -> None:
    async with fake_bus() as bus, served(bus, "127.0.0.1") as http:
        assert await answers(http, key, forwarded_for) == ((200, 101) if let_in else (403, 403))


async def test_without_a_trusted_proxy_nobody_can_say_that_he_comes_from_elsewhere() -> None:
    async with fake_bus() as bus, served(bus, "192.0.2.1") as http:
        assert await answers(http, "office-key", "203.0.113.9") == (403, 403)
        assert await answers(http, "local-key", "203.0.113.9") == (200, 101)
