"""Test a monitor and a gateway with many PBXs on one Redis that is killed again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import uvloop
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import MaxConnectionsError

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from gateway.stream_client import StreamClient
from monitor import run as monitor_run
from monitor.config import MonitorSettings
from monitor.leadership.pbx_service import PbxService
from monitor.pbx.facts import Fact
from monitor.persistence.sqlite_store import Store
from monitor.shared import tasks
from monitor.shared.entities.topics import System
from monitor.shared.redis.subscriptions import ChannelSubscription
from monitor.shared.redis.topology import RedisClients
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import Bus, RealBus, only, patient, real_bus, until, until_async
from tests.gateway.entities import START
from tests.monitor.hands import CountingTracker, ReadySource
from tests.monitor.test_run import kill_again_and_again
from tests.system.stack import Subscriber, running, section

MANY = 60
_SYSTEM = System("connected", START, "", "20", "pbx", None, "activecalls", "m", "", 0)


def test_redis_killed_again_and_again_under_20_pbxs_ends_none_of_them() -> None:
    """Run on uvloop: its writes to a connection that just died raise a bare RuntimeError."""

    async def scene() -> None:
        async with real_bus() as bus:
            assert await kill_again_and_again(bus, kills=4) == []

    uvloop.run(scene())


async def test_60_pbxs_have_connections_enough_at_a_monitor_and_a_gateway(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts: list[ChannelSubscription] = []
    distrust = ChannelSubscription.distrust

    def in_doubt(subscription: ChannelSubscription) -> None:
        doubts.append(subscription)
        distrust(subscription)

    monkeypatch.setattr(ChannelSubscription, "distrust", in_doubt)
    servers, at_gateway = RedisClients(valkey.url), RedisClients(valkey.url)
    names = [f"pbx{number}" for number in range(MANY)]
    key = ApiKey("test", sha256_hex("a-key"), names[0], frozenset({"read"}))
    pools = [of(names[0]).connection_pool for of in (servers.of, at_gateway.of)]
    refused: list[str] = []
    for pool in pools:
        note_refusals(pool, refused)
    store = Store(None)
    await store.open()
    services = [_service(name, servers, store) for name in names]
    section = GatewaySection(port=0, stream=StreamSection(drain_time=0))
    serving = gateway_run.serving(names, KeyTable([key]), section, at_gateway.of)
    try:
        async with (
            tasks.running(*map(monitor_run.keep_running, services)),
            serving as server,
            httpx.AsyncClient(base_url=server.address, timeout=60) as http,
        ):
            await until(lambda: all(service.hears_requests for service in services))

            async def ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await until_async(ready)
            looking = patient(valkey)

            async def subscribers() -> set[str]:
                return {client["id"] for client in await looking.client_list(_type="pubsub")}

            before = await subscribers()
            # Who is in doubt about the shared one on a busy machine is given another.
            assert 2 <= len(before) <= 2 + len(doubts), "one of the monitor's, one of the gateway's"
            await valkey.drop_subscribers()  # and all PBXs come back at once

            async def back() -> bool:
                now = await subscribers()
                return not now & before and 2 <= len(now) <= 2 + len(doubts)

            await until_async(back)
            await until(lambda: all(service.hears_requests for service in services))
            await until_async(ready)
            monitors, gateways = pools
            await until(lambda: _open(monitors) <= 4 * MANY)
            await until(lambda: _open(gateways) <= MANY)
            assert refused == []
    finally:
        await store.close()
        await servers.aclose()
        await at_gateway.aclose()


async def test_a_pbx_that_dies_is_told_so_and_the_other_goes_on(bus: Bus) -> None:
    """Two simulated PBXs, one monitor, one gateway, and a subscriber of both."""
    names = ("going", "dying")
    key = ApiKey("test", sha256_hex("a-key"), "going", frozenset({"read"}), pbxs=("*",))
    small = SimulatorSettings(extensions=6, queues=1, rate=0)
    async with SimulatedPbx(small) as going, AsyncExitStack() as life:
        dying = await life.enter_async_context(SimulatedPbx(small))
        sections = tuple(
            section(pbx).model_copy(update={"name": name})
            for name, pbx in zip(names, (going, dying), strict=True)
        )
        watching = monitor_run.run(MonitorSettings(pbx=sections), only(bus.client()))
        settings = GatewaySection(port=0, stream=StreamSection(drain_time=0))
        async with (
            running(asyncio.create_task(watching)),
            gateway_run.serving(names, KeyTable([key]), settings, only(bus.client())) as server,
            StreamClient(server.address + "/webapi/stream", "a-key", ["pbxs"]) as client,
        ):
            held = Subscriber(client)

            def told(name: str, field: str) -> Any:
                return held.state.get("pbxs", {}).get(name, {}).get(field)

            async with running(asyncio.create_task(held.listen())):
                await until(lambda: all(told(name, "alarms") == [] for name in names))
                await life.aclose()
                await until(
                    lambda: (
                        (told("dying", "connection"), told("dying", "alarms"))
                        == ("lost", ["connection"])
                        and bool(told("dying", "reason"))
                    )
                )
                going.switchboard.arrive("10000", "+4930555010")
                await until(
                    lambda: (
                        (
                            told("going", "connection"),
                            told("going", "alarms"),
                            told("going", "calls"),
                        )
                        == ("connected", [], 1)
                    )
                )


def note_refusals(pool: ConnectionPool, refused: list[str]) -> None:
    """Note from now on each time at which the pool had no room for one more connection."""
    given: Callable[[], AbstractConnection] = pool.get_available_connection

    def noting() -> AbstractConnection:
        try:
            return given()
        except MaxConnectionsError:
            refused.append(f"{len(pool._in_use_connections)} of {pool.max_connections} were in use")
            raise

    pool.get_available_connection = noting  # type: ignore[method-assign]  # there is no event for it


def _open(pool: ConnectionPool) -> int:
    return len(pool._in_use_connections)


def _service(name: str, servers: RedisClients, store: Store) -> PbxService[Fact]:
    return PbxService(
        "m",
        name,
        servers.of(name),
        _Tracker,
        ReadySource,
        store=store,
        lease_ttl=30.0,
    )


class _Tracker(CountingTracker):
    """Tells that its PBX is connected, for the gateway to be ready."""

    def __init__(self) -> None:
        super().__init__()
        self.state["system"]["pbx"] = _SYSTEM


@pytest.mark.soak
def test_redis_killed_50_times_under_20_pbxs_ends_none_of_them() -> None:
    async def scene() -> None:
        async with real_bus() as bus:
            assert await kill_again_and_again(bus, kills=50) == []

    uvloop.run(scene())
