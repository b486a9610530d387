"""How often a key may ask, over all gateways."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gateway import run as gateway_run
from gateway.auth import ApiKey, Budgets, KeyTable, Kind, digest_of
from gateway.budgets import Left, Spending, kind_of
from gateway.commands_table import COMMANDS
from gateway.config import GatewaySection
from gateway.errors import TooManyRequests
from tests.bus import Bus, RealBus
from tests.monitor.terms import running

KEY = ApiKey("tester", digest_of("a-testers-key"), "pbx", frozenset({"read", "control"}))
READ, CALL = COMMANDS["pbx.calls.get"], COMMANDS["makecall"]


class Clock:
    """POSIX seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 6_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pbx.ac.get", "reads"),
        ("contact.get", "reads"),
        ("ext.new", "commands"),
        ("makecall", "makecall"),
        ("query", "query"),
    ],
)
def test_every_command_is_of_one_kind(command: str, kind: Kind) -> None:
    assert kind_of(COMMANDS[command]) == kind
    assert kind_of(None) == "reads"


async def test_a_budget_is_shared_by_all_gateways_and_whole_again_with_the_next_minute(bus: Bus) -> None:
    clock = Clock()
    one, two = (Spending(bus.client(), Budgets(makecall=5), clock) for _ in range(2))
    for number, gateway in enumerate((one, two, one, two, one)):
        assert await gateway.spend(KEY, CALL) == Left("makecall", 5, 4 - number, 60)
    for gateway in (one, two):
        with pytest.raises(TooManyRequests) as refused:
            await gateway.spend(KEY, CALL)
        assert refused.value.headers["Retry-After"] == "60"
    assert await one.spend(replace(KEY, digest=digest_of("another")), CALL) is not None
    assert await one.spend(KEY, READ) is not None
    clock.now += 60
    assert await two.spend(KEY, CALL) == Left("makecall", 5, 4, 60)


@pytest.mark.parametrize("limit", [1, 7, 20, 100, 133])
async def test_all_gateways_together_never_let_more_reads_pass_than_the_budget(bus: Bus, limit: int) -> None:
    gateways = [Spending(bus.client(), Budgets(reads=limit), Clock()) for _ in range(3)]
    passed = 0
    for number in range(3 * limit + 10):
        try:
            await gateways[number % 3].spend(KEY, READ)
        except TooManyRequests:
            continue
        passed += 1
    assert passed == limit, "each asks often enough to use up what it took"


async def test_reads_cost_a_round_trip_only_now_and_then(valkey: RealBus) -> None:
    redis = valkey.client()
    spending = Spending(redis, Budgets(reads=6_000), Clock())
    await spending.spend(KEY, READ)
    before = (await redis.info("commandstats"))["cmdstat_incrby"]["calls"]
    for _ in range(299):
        await spending.spend(KEY, READ)
    assert (await redis.info("commandstats"))["cmdstat_incrby"]["calls"] == before


async def test_no_budget_is_no_limit(bus: Bus) -> None:
    spending = Spending(bus.client(), Budgets(reads=0), Clock())
    assert await spending.spend(KEY, READ) is None
    own = replace(KEY, budgets=Budgets(reads=1))
    assert await spending.spend(own, READ) is not None
    with pytest.raises(TooManyRequests):
        await spending.spend(own, READ)


async def test_while_redis_is_away_each_gateway_counts_for_itself(valkey: RealBus) -> None:
    spending = Spending(valkey.client(), Budgets(makecall=2), Clock())
    valkey.kill()
    assert await spending.spend(KEY, CALL) is not None
    assert await spending.spend(KEY, CALL) is not None
    with pytest.raises(TooManyRequests):
        await spending.spend(KEY, CALL)


async def test_over_http_the_budget_stands_in_headers_and_its_end_is_a_429(bus: Bus) -> None:
    key = replace(KEY, budgets=Budgets(reads=3))
    section = GatewaySection(port=0, cors_origins=("https://wall.example.com",))
    async with (
        running(bus),
        gateway_run.serving(["pbx"], KeyTable([key]), section, bus.client()) as server,
        httpx.AsyncClient(base_url=server.address) as http,
    ):
        origin = {"Origin": "https://wall.example.com"}
        answers = [await http.get("/webapi/a-testers-key/pbx.calls.get", headers=origin) for _ in range(4)]
        assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
            '"reads";r=2',
            '"reads";r=1',
            '"reads";r=0',
            '"reads";r=0',
        ]
        assert answers[3].status_code == 429
        assert answers[3].json()["error"]["code"] == "too_many_requests"
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
        assert answers[0].headers["Access-Control-Allow-Origin"] == "https://wall.example.com"
        assert "Callmon-Position" in answers[0].headers["Access-Control-Expose-Headers"]
        other = await http.get("/healthz", headers={"Origin": "https://elsewhere.example.com"})
        assert "Access-Control-Allow-Origin" not in other.headers
        preflight = await http.options(
            "/webapi/pbx.calls.get",
            headers=origin | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"},
        )
        assert preflight.status_code == 200
        assert "x-api-key" in preflight.headers["Access-Control-Allow-Headers"].lower()
