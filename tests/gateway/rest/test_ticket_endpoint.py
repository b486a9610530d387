"""Where a client asks for a ticket."""

from __future__ import annotations

import fakeredis
import httpx
import pytest
from starlette.applications import Starlette

from gateway.auth.api_keys import ApiKey, KeyTable
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.rest.ticket_endpoint import ticket_routes
from monitor.shared.api_keys import Budgets
from tests.gateway.serving import KEYS, READER


async def test_tickets_are_counted_as_reads() -> None:
    redis = fakeredis.FakeAsyncRedis()
    rate_limiter = RateLimiter({"main": redis}, Budgets(reads=2), clock=lambda: 0.0)
    rate_limiter._lease_of(KEYS[0], 2).reads.continue_offline()
    tickets = Tickets({"main": redis}, KeyTable(KEYS), lambda: 1_800_000_000.0)
    transport = httpx.ASGITransport(
        app=Starlette(
            routes=ticket_routes(tickets, KeyTable(KEYS), lambda: 1_800_000_000.0, rate_limiter)
        )
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answers = [await client.post("/webapi/ticket", headers=READER) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(await redis.keys("*ticket*")) == 2
    assert answers[2].headers["retry-after"] == "60"


async def test_a_key_of_a_pbx_that_is_not_served_gets_no_ticket_and_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []

    async def spend(_: RateLimiter, key: ApiKey, __: object) -> None:
        counted.append(key.name)

    monkeypatch.setattr(RateLimiter, "spend", spend)
    keys = KeyTable([ApiKey("away", KEYS[0].digest, "away", frozenset({"read"}))])
    clients = {"main": fakeredis.FakeAsyncRedis()}
    tickets, rate_limiter = (
        Tickets(clients, keys, lambda: 1_800_000_000.0),
        RateLimiter(clients, Budgets(reads=2)),
    )
    app = Starlette(routes=ticket_routes(tickets, keys, lambda: 1_800_000_000.0, rate_limiter))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway"
    ) as client:
        refused = await client.post("/webapi/ticket", headers=READER)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_pbx")
    assert counted == []
