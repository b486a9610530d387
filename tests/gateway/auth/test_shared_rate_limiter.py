"""Test how often a key may ask, counted on Redis for all gateways, and seen over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway import run as gateway_run
from gateway.auth import shared_rate_limiter
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.quotas import RemainingQuota
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.config import GatewaySection
from gateway.errors import BusAway, TooManyRequests
from gateway.operations.operation_table import COMMANDS, Command
from monitor.shared import tasks
from monitor.shared.api_keys import Budgets
from tests.bus import Bus, RealBus, only, until_async
from tests.monitor.terms import running

RAW = "a-testers-key"
KEY = ApiKey("tester", sha256_hex(RAW), "pbx", frozenset({"read", "control"}))
READ, CALL = COMMANDS["pbx.calls.get"], COMMANDS["makecall"]


@asynccontextmanager
async def rate_limiter(bus: Bus, **budgets: int) -> AsyncIterator[RateLimiter]:
    """As a gateway has it."""
    made = RateLimiter({"pbx": bus.client()}, Budgets(**budgets))
    async with tasks.running(made.run()):
        yield made


@asynccontextmanager
async def served(bus: Bus, key: ApiKey, **section: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(bus),
        gateway_run.serving(
            ["pbx"], KeyTable([key]), GatewaySection(port=0, **section), only(bus.client())
        ) as server,
        httpx.AsyncClient(base_url=server.address, timeout=60) as http,
    ):

        async def loaded() -> bool:
            told = (await http.get("/readyz", headers={"X-API-Key": RAW})).json()
            return bool(told.get("pbxs", {}).get("pbx", {}).get("snapshot"))

        await until_async(loaded)
        yield http


async def passes(gateway: RateLimiter, command: Command, key: ApiKey = KEY) -> bool:
    try:
        await gateway.spend(key, command)
    except TooManyRequests:
        return False
    return True


async def test_a_budget_is_shared_by_all_gateways_and_each_key_and_kind_has_its_own(
    bus: Bus,
) -> None:
    async with rate_limiter(bus, makecall=5) as one, rate_limiter(bus, makecall=5) as two:
        for number, gateway in enumerate((one, two, one, two, one)):
            left = await gateway.spend(KEY, CALL)
            assert left is not None
            assert replace(left, reset=0) == RemainingQuota("makecall", 5, 4 - number, 0)
            assert 1 <= left.reset <= 60
        for gateway in (one, two):
            with pytest.raises(TooManyRequests) as refused:
                await gateway.spend(KEY, CALL)
            assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
        assert await passes(one, CALL, replace(KEY, digest=sha256_hex("another")))
        assert await passes(one, READ)


async def test_what_is_counted_on_redis_ends_by_itself(bus: Bus) -> None:
    async with rate_limiter(bus, makecall=1) as gateway:
        assert await passes(gateway, CALL)
        redis = bus.client()
        (name,) = await redis.keys("*spent*")
        assert 0 < await redis.pttl(name) <= 60_000
        await redis.delete(name)  # as when its time is over
        assert await passes(gateway, CALL)
        assert not await passes(gateway, CALL)
        assert await redis.pttl(name) > 0


@pytest.mark.parametrize("limit", [1, 7, 133])
async def test_all_gateways_together_let_pass_a_small_budget_of_reads_exactly(
    bus: Bus, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_rate_limiter, "PATIENCE_S", 60.0)  # of a slow machine
    async with rate_limiter(bus, reads=limit) as one, rate_limiter(bus, reads=limit) as two:
        passed = 0
        for number in range(2 * limit + 10):
            passed += await passes((one, two)[number % 2], READ)
        assert passed == limit, "each asked often enough to use up what it leased"


async def test_requests_that_come_at_once_lease_no_more_than_they_need(bus: Bus) -> None:
    async with rate_limiter(bus, reads=100) as one, rate_limiter(bus, reads=100) as two:
        assert all(await asyncio.gather(*(passes(one, READ) for _ in range(40))))
        assert sum(await asyncio.gather(*(passes(two, READ) for _ in range(100)))) >= 55


async def test_reads_cost_a_round_trip_only_now_and_then(valkey: RealBus) -> None:
    redis = valkey.client()
    async with rate_limiter(valkey, reads=100_000) as gateway:
        for _ in range(5_000):
            assert await passes(gateway, READ)
        left = await gateway.spend(KEY, READ)
        assert left is not None
        assert left.remaining == 100_000 - 5_001
    assert (await redis.info("commandstats"))["cmdstat_incrby"]["calls"] <= 6


async def test_no_budget_is_no_limit_and_a_keys_own_goes_before_the_gateways(bus: Bus) -> None:
    async with rate_limiter(bus, reads=0, makecall=0) as gateway:
        assert await gateway.spend(KEY, READ) is None
        assert await gateway.spend(KEY, CALL) is None
        own = replace(KEY, budgets=Budgets(reads=1))
        assert await passes(gateway, READ, own)
        assert not await passes(gateway, READ, own)
        assert await gateway.spend(own, CALL) is None


@pytest.mark.parametrize("hung", [False, True])
async def test_while_redis_is_away_reads_are_counted_here_and_commands_refused_as_undone(
    valkey: RealBus, hung: bool
) -> None:
    async with rate_limiter(valkey, reads=20, makecall=2) as gateway:
        if not hung:
            valkey.kill()
        async with asyncio.timeout(60):
            if hung:
                with valkey.paused():
                    await _alone(gateway)
            else:
                await _alone(gateway)


async def _alone(gateway: RateLimiter) -> None:
    assert [await passes(gateway, READ) for _ in range(21)] == [True] * 20 + [False]
    with pytest.raises(BusAway, match=r"nothing was done for this request\."):
        await gateway.spend(KEY, CALL)


async def test_over_http_the_budget_stands_in_headers_and_its_end_is_a_429(bus: Bus) -> None:
    async with served(bus, replace(KEY, budgets=Budgets(reads=3, makecall=1))) as http:
        answers = [await http.get(f"/webapi/{RAW}/pbx.calls.get") for _ in range(4)]
        assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
            '"reads";r=2',
            '"reads";r=1',
            '"reads";r=0',
            '"reads";r=0',
        ]
        assert answers[3].headers["RateLimit-Policy"] == '"reads";q=3;w=60'
        assert answers[3].status_code == 429
        assert answers[3].json()["error"]["code"] == "too_many_requests"
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
        assert (await http.get(f"/webapi/{RAW}/")).status_code == 429
        wrong = await http.post(f"/webapi/{RAW}/makecall")
        assert wrong.status_code == 400
        assert wrong.headers["RateLimit"].startswith('"makecall";r=0;')
        assert (await http.post(f"/webapi/{RAW}/makecall")).status_code == 429


async def test_pages_of_chosen_origins_may_read_answers_and_their_headers(bus: Bus) -> None:
    async with served(bus, KEY, cors_origins=("https://Wall.example.com",)) as http:
        origin = {"Origin": "https://wall.example.com"}
        answer = await http.get(f"/webapi/{RAW}/pbx.calls.get", headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://wall.example.com"
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert all(
            name in exposed for name in ("Callmon-Position", "ETag", "RateLimit", "Retry-After")
        )
        assert "Origin" in answer.headers["Vary"]
        assert "Authorization" in answer.headers["Vary"]
        refused = await http.get(f"/webapi/{RAW}/nothing", headers=origin)
        assert refused.status_code == 404
        assert refused.headers["Access-Control-Allow-Origin"] == "https://wall.example.com"
        wants = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-api-key, if-none-match, last-event-id, "
            "x-requested-with, content-type",
        }
        preflight = await http.options("/webapi/pbx.calls.get", headers=origin | wants)
        assert preflight.status_code == 200
        assert "x-api-key" in preflight.headers["Access-Control-Allow-Headers"].lower()
        elsewhere = await http.get("/healthz", headers={"Origin": "https://elsewhere.example.com"})
        assert "Access-Control-Allow-Origin" not in elsewhere.headers


async def test_without_chosen_origins_no_page_from_elsewhere_reads_anything(bus: Bus) -> None:
    async with served(bus, KEY) as http:
        answer = await http.get(
            f"/webapi/{RAW}/pbx.calls.get", headers={"Origin": "https://wall.example.com"}
        )
        assert "Access-Control-Allow-Origin" not in answer.headers
