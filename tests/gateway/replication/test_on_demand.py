"""Test a gateway that follows only the PBXs that somebody asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway import pbx_context
from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.cli.runtime.status_reporter import StatusReporter
from gateway.config import GatewaySection, StreamSection
from gateway.replication.on_demand import Demand
from gateway.run import Gateway
from monitor.shared import tasks
from monitor.shared.process_status import ProcessStatus
from monitor.shared.redis.key_names import AccessKeys, SpaceKeys
from tests.bus import RealBus, only, until, until_async
from tests.monitor.terms import running

SCOPES = frozenset({"read", "contacts"})
KEYS = KeyTable(
    ApiKey(name, sha256_hex(f"key-of-{name}"), name, SCOPES) for name in ("pbx", "never")
)
QUERY = "/webapi/key-of-{}/pbx.calls.get"


@pytest.fixture(autouse=True)
def _a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first state comes in time, and is live, however late."""
    monkeypatch.setattr(pbx_context, "FIRST_STATE_WITHIN_S", 60.0)
    monkeypatch.setattr(pbx_context, "HEARD_WITHIN_S", 60.0)


def held(gateway: Gateway) -> AbstractAsyncContextManager[object]:
    """Somebody waits, so the PBX is not let go however long the test takes."""
    return tasks.running(gateway.pbxs["pbx"].demand.becomes(lambda: False, 600.0))


@asynccontextmanager
async def served(bus: RealBus, idle_s: float) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """A gateway for a PBX that a monitor watches and one that nobody watches."""
    section = GatewaySection(
        port=0, stream=StreamSection(drain_time=0), follow="on_demand"
    ).model_copy(update={"idle_time": idle_s})
    for name in ("pbx", "never"):
        await bus.client().set(AccessKeys(name).ready, "1")
    async with (
        gateway_run.serving(
            ["pbx", "never"], KEYS, section, only(bus.client()), registry=CollectorRegistry()
        ) as gateway,
        httpx.AsyncClient(base_url=gateway.address, timeout=60) as http,
    ):
        yield gateway, http


async def subscriptions(bus: RealBus) -> int:
    keys = SpaceKeys("pbx", "live"), SpaceKeys("pbx", "book")
    channels = await bus.client().pubsub_channels()
    return sum(key.channel.encode() in channels for key in keys)


async def test_it_follows_nothing_until_somebody_asks_and_lets_go_after_a_while(
    valkey: RealBus,
) -> None:
    async with running(valkey) as monitor, served(valkey, 0.5) as (gateway, http):
        monitor.source.call()

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await until_async(ready)
        assert await subscriptions(valkey) == 0
        view = gateway.pbxs["pbx"]
        for _ in range(2):
            async with held(gateway):
                got = await http.get(QUERY.format("pbx"))
                assert got.status_code == 200
                assert "callmon-stale-since" not in got.headers
                assert view.demand.followed
                assert await subscriptions(valkey) == 2
                health = (await http.get("/readyz", headers={"X-API-Key": "key-of-pbx"})).json()
                assert health["pbxs"]["pbx"]["followed"]
            await until(lambda: not view.demand.followed)
            await until(lambda: view.live.position is None and view.book.position is None)
            assert not any(view.live.state.values())

            async def gone() -> bool:
                return await subscriptions(valkey) == 0

            await until_async(gone)
            health = (await http.get("/readyz", headers={"X-API-Key": "key-of-pbx"})).json()
            assert (health["ready"], health["pbxs"]["pbx"]["followed"]) == (True, False)


async def test_a_stream_has_its_pbx_followed_as_long_as_it_lasts(valkey: RealBus) -> None:
    async with running(valkey) as monitor, served(valkey, 0.3) as (gateway, _):
        view = gateway.pbxs["pbx"]
        url = gateway.address.replace("http", "ws", 1) + "/webapi/key-of-pbx/stream?topics=ivrs"
        async with held(gateway):
            stream = await connect(url)
            while '"snapshot"' not in str(await stream.recv()):
                pass
        async with stream:
            await asyncio.sleep(1.0)  # several times as long as an idle one is kept
            assert view.demand.followed
            monitor.source.call()
            while '"change"' not in str(await stream.recv()):
                pass
        await until(lambda: not view.demand.followed)


async def test_who_subscribes_late_has_the_pbx_followed_again(valkey: RealBus) -> None:
    async with running(valkey), served(valkey, 0.3) as (gateway, _):
        view = gateway.pbxs["pbx"]
        url = gateway.address.replace("http", "ws", 1) + "/webapi/key-of-pbx/stream"
        async with connect(url) as stream:
            await until(lambda: not view.demand.followed)
            await stream.send('{"type": "subscribe", "topics": ["ivrs"]}')
            await until(lambda: view.demand.followed)


@pytest.mark.parametrize("by", ["query", "stream"])
async def test_a_pbx_without_a_state_delays_whoever_asks_for_it_within_a_bound_and_no_other(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(pbx_context, "FIRST_STATE_WITHIN_S", 0.5)
    async with running(valkey), served(valkey, 600.0) as (gateway, http):
        waiting = asyncio.create_task(_refusal(gateway, http, by))
        await until(lambda: gateway.pbxs["never"].demand.followed)
        monkeypatch.setattr(pbx_context, "FIRST_STATE_WITHIN_S", 60.0)
        assert (await http.get(QUERY.format("pbx"))).status_code == 200
        assert await waiting == (503, "1")

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await until_async(ready)


async def _refusal(gateway: Gateway, http: httpx.AsyncClient, by: str) -> tuple[int, str]:
    if by == "query":
        got = await http.get(QUERY.format("never"))
        assert got.json()["error"]["code"] == "no_state"
        return got.status_code, got.headers["retry-after"]
    url = gateway.address.replace("http", "ws", 1) + "/webapi/key-of-never/stream?topics=ivrs"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url)
    answer = refused.value.response
    return answer.status_code, answer.headers["Retry-After"]


async def test_a_summary_that_is_watched_has_its_pbx_followed_as_long_as_that_lasts(
    valkey: RealBus,
) -> None:
    async with running(valkey), served(valkey, 0.5) as (gateway, http):
        view = gateway.pbxs["pbx"]
        url = f"{gateway.address.replace('http', 'ws')}/webapi/key-of-pbx/stream?topics=pbxs"
        async with held(gateway):
            first = await http.get("/webapi/key-of-pbx/all.pbx.get")
            assert first.status_code == 200
            await until(lambda: view.demand.followed and view.loaded)
            stream = await connect(url)
            while '"snapshot"' not in str(await stream.recv()):
                pass
        async with stream:
            asks = view.demand.asks
            await asyncio.sleep(1.5)
            assert view.demand.followed
            assert view.demand.asks <= asks + 1, "it is the connection that has it followed"
        await until(lambda: not view.demand.followed)


async def test_repeated_queries_count_also_on_the_fast_path(valkey: RealBus) -> None:
    async with running(valkey), served(valkey, 600.0) as (gateway, http):
        demand = gateway.pbxs["pbx"].demand
        for asks in range(1, 6):
            assert (await http.get(QUERY.format("pbx"))).status_code == 200
            assert demand.asks == asks


async def test_status_tells_which_pbxs_are_not_followed(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ProcessStatus] = []
    async with running(valkey), served(valkey, 600.0) as (gateway, http):
        assert (await http.get(QUERY.format("pbx"))).status_code == 200
        reporter = StatusReporter(valkey.client(), "gateway")

        async def tell(process: ProcessStatus) -> None:
            told.append(process)

        monkeypatch.setattr(reporter, "_try_to_tell", tell)
        reporter.of_gateway(gateway)
        async with tasks.running(reporter.run()):
            await until(lambda: bool(told))
    assert {name: part.role for name, part in told[0].pbxs.items()} == {
        "pbx": "serving",
        "never": "idle",
    }


async def test_who_asks_while_it_is_let_go_has_it_followed_anew() -> None:
    demand, events, occupied = Demand("pbx", 0.05), list[str](), True

    async def follow() -> None:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            if events.count("begun") == 1:
                demand.ask()
            await asyncio.sleep(0)
            events.append("ended")

    async with tasks.running(demand.run(follow, lambda: occupied, lambda: events.append("let go"))):
        await asyncio.sleep(0.2)
        assert not events, "nobody asked"
        demand.ask()
        await until(lambda: bool(events))
        await asyncio.sleep(0.3)
        assert events == ["begun"], "somebody is connected"
        occupied = False
        await until(lambda: len(events) == 6)
        assert events == ["begun", "ended", "let go"] * 2


async def test_it_is_not_let_go_while_somebody_waits_for_its_state() -> None:
    demand, loaded, let_go = Demand("pbx", 0.05), False, asyncio.Event()

    async def follow() -> None:
        await asyncio.Event().wait()

    async with tasks.running(demand.run(follow, lambda: False, let_go.set)):
        demand.ask()
        waiting = asyncio.create_task(demand.becomes(lambda: loaded, 60.0))
        await asyncio.sleep(0.3)
        assert not let_go.is_set()
        loaded = True
        demand.moved()
        assert await waiting
        await let_go.wait()
