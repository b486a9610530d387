"""The gateway process: it listens, changes what it may, and ends in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from gateway import run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import BudgetsSection, GatewaySection, StreamSection
from gateway.visibility import Limits
from monitor.shared.changes import Position
from monitor.shared.entities.topics import TOPICS, empty_state
from monitor.shared.errors import ConfigError
from monitor.shared.http_server import bind
from monitor.shared.redis.key_names import AccessKeys
from tests.bus import FakeBus, fake_bus, free_port, only, until, until_async
from tests.gateway.entities import START, call
from tests.gateway.serving import closed
from tests.monitor.terms import running

STAYS, GOES = (
    ApiKey(name, sha256_hex(f"key-that-{name}"), "pbx", frozenset({"read"}))
    for name in ("stays", "goes")
)


@asynccontextmanager
async def served(
    bus: FakeBus, *, compression: bool = True, **more: Any
) -> AsyncIterator[run.Gateway]:
    section = GatewaySection(port=0, stream=StreamSection(drain_time=0), compression=compression)
    async with run.serving(
        ["pbx"], KeyTable([STAYS, GOES]), section, only(bus.client()), **more
    ) as gateway:
        yield gateway


async def status(gateway: run.Gateway, key: str = "key-that-stays") -> int:
    async with httpx.AsyncClient(base_url=gateway.address, timeout=60) as http:
        return (await http.get(f"/webapi/{key}/pbx.calls.get")).status_code


async def test_it_answers_from_when_it_is_entered_until_it_is_left() -> None:
    bound: list[str] = []
    async with fake_bus() as bus:
        async with served(bus, bound=bound.append) as gateway:
            assert bound == [gateway.address]
            async with httpx.AsyncClient(base_url=gateway.address, timeout=60) as http:
                assert (await http.get("/healthz")).status_code == 200
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(base_url=gateway.address, timeout=60) as http:
                await http.get("/healthz")
        with pytest.raises(RuntimeError, match="ended by itself"):
            await gateway.ended()


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_it_ends_in_order_however_often_it_is_told_to_end(turns: int) -> None:
    async with fake_bus() as bus:
        entered = asyncio.Event()

        async def works() -> None:
            async with served(bus) as gateway:
                entered.set()
                await gateway.ended()

        before = asyncio.all_tasks()
        task = asyncio.create_task(works())
        await entered.wait()
        while not task.done():
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        assert task.cancelled()
        await until(lambda: asyncio.all_tasks() == before)


@pytest.mark.parametrize("compression", [True, False])
async def test_the_setting_says_whether_anything_is_compressed(*, compression: bool) -> None:
    state = empty_state(TOPICS)
    state["calls"] = {str(number): call(number) for number in range(20)}
    async with fake_bus() as bus, served(bus, compression=compression) as gateway:
        view = gateway.pbxs["pbx"]
        view.live.load(Position(f"{1:015d}-t", 0), START, state)
        gzip = {"Accept-Encoding": "gzip"}
        async with httpx.AsyncClient(base_url=gateway.address, headers=gzip, timeout=60) as http:
            for _ in range(2):  # the second one is answered from memory
                answer = await http.get("/webapi/key-that-stays/pbx.callsinfo.get")
                assert answer.json()["count"] == 20
                assert ("content-encoding" in answer.headers) is compression
            accept = {"Accept": "text/event-stream"}
            events = await http.head("/webapi/key-that-stays/events?topics=calls", headers=accept)
            assert ("content-encoding" in events.headers) is compression
        url = gateway.address.replace("http", "ws") + "/webapi/key-that-stays/stream"
        async with connect(url) as connection:
            assert connection.response is not None
            assert ("Sec-WebSocket-Extensions" in connection.response.headers) is compression


async def test_what_waits_for_its_end_ends_when_cancelled() -> None:
    started: asyncio.Future[run.Gateway] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with served(bus) as gateway:
            started.set_result(gateway)
            await gateway.ended()

    async with fake_bus() as bus:
        task = asyncio.create_task(serve())
        async with asyncio.timeout(60):
            gateway = await started
            assert await status(gateway) in (200, 503)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]


@pytest.mark.parametrize("changed", [False, True], ids=["gone", "limited"])
async def test_a_key_that_no_longer_holds_ends_its_streams_and_no_others(changed: bool) -> None:
    async with fake_bus() as bus, running(bus), served(bus) as gateway:
        await until_async(lambda: _answers(gateway))
        address = gateway.address.replace("http", "ws", 1) + "/webapi/{}/stream?topics=calls"
        async with (
            connect(address.format("key-that-stays")) as stays,
            connect(address.format("key-that-goes")) as goes,
        ):
            limited = replace(GOES, limits=Limits(frozenset({"101"})))
            gateway.change([STAYS, *([limited] if changed else [])], GatewaySection(port=0))
            assert (await closed(goes))[0] == 4001
            async with asyncio.timeout(60):
                await (await stays.ping())
        await bus.client().set(AccessKeys("pbx").ready, "1")  # so that keys may be called unknown

        async def is_so() -> bool:
            return await status(gateway, "key-that-goes") == (200 if changed else 401)

        await until_async(is_so)


async def _answers(gateway: run.Gateway) -> bool:
    return await status(gateway) == 200


async def test_new_budgets_count_from_the_next_request() -> None:
    async with fake_bus() as bus, running(bus), served(bus) as gateway:
        await until_async(lambda: _answers(gateway))
        settings = GatewaySection(port=0, budgets=BudgetsSection(reads=2))
        gateway.change([STAYS, GOES], settings)
        found = [await status(gateway, "key-that-goes") for _ in range(4)]
        assert found == [200, 200, 429, 429]


async def test_who_is_on_the_stream_is_told_at_the_end_when_to_come_back() -> None:
    async with fake_bus() as bus, running(bus):
        async with served(bus) as gateway:
            await until_async(lambda: _answers(gateway))
            address = gateway.address.replace("http", "ws", 1)
            stream = await connect(f"{address}/webapi/key-that-stays/stream?topics=calls")
            await until(lambda: len(gateway.live) == 1)
            closing = asyncio.create_task(closed(stream))
        code, reason = await closing
        assert code == 4200
        assert "retry_in" in reason


async def test_its_metrics_stand_in_the_registry_that_it_is_given() -> None:
    registry = CollectorRegistry()
    async with fake_bus() as bus, served(bus, registry=registry):
        names = {family.name for family in registry.collect()}
        assert {"callmon_gateway_ready", "callmon_gateway_requests"} <= names


async def test_a_port_is_shared_only_by_those_who_say_so() -> None:
    first = bind("127.0.0.1", 0, shared=True)
    port = first.getsockname()[1]
    bind("127.0.0.1", port, shared=True).close()
    first.listen()
    with pytest.raises(ConfigError, match=f"Cannot listen on 127.0.0.1:{port}: another program"):
        bind("127.0.0.1", port, shared=False)
    first.close()


@pytest.mark.parametrize("host", ["callmon.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_hosts_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=f"Cannot listen on {host}"):
        bind(host, free_port(), shared=False)


@pytest.mark.skipif(not socket.has_ipv6, reason="this host has no IPv6")
async def test_an_ipv6_address_is_told_in_brackets() -> None:
    async with (
        fake_bus() as bus,
        run.serving(
            ["pbx"], KeyTable([STAYS]), GatewaySection(port=0, host="::1"), only(bus.client())
        ) as gateway,
        httpx.AsyncClient(base_url=gateway.address, timeout=60) as http,
    ):
        assert gateway.address.startswith("http://[::1]:")
        assert (await http.get("/healthz")).status_code == 200
