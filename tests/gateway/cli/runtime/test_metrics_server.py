"""``/metrics`` and ``/readyz`` on a socket of their own."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from gateway.cli.runtime import metrics_server
from gateway.transport.http_protocol import LARGEST_HEAD_BYTES
from monitor.shared.errors import ConfigError
from tests.bus import free_port, until_async
from tests.gateway.cli.runtime.test_workers import gateways, settings_file


async def test_nothing_else_is_served_beside_the_metrics() -> None:
    registry = metrics_server.new_registry("gateway")
    async with (
        metrics_server.exposed(registry, "127.0.0.1", 0) as address,
        httpx.AsyncClient(timeout=60) as http,
    ):
        assert address.endswith("/metrics")
        assert (await http.get(address)).status_code == 200
        assert (await http.get(address.replace("/metrics", "/"))).status_code == 404
        assert (await http.post(address)).status_code == 405
        port = httpx.URL(address).port or 0
        with pytest.raises(
            ConfigError,
            match=r"Cannot serve metrics, as set in \[metrics\], on 127.0.0.1:\d+: another program",
        ):
            async with metrics_server.exposed(CollectorRegistry(), "127.0.0.1", port):
                pass
    with pytest.raises(ConfigError, match="a port is at most 65535"):
        async with metrics_server.exposed(registry, "127.0.0.1", 70_000):
            pass


async def test_its_clients_are_limited_as_those_of_the_api_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_server, "MOST_CONNECTIONS", 1)
    async with metrics_server.exposed(CollectorRegistry(), "127.0.0.1", 0) as address:
        port = httpx.URL(address).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"GET / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
        writer.write(head)
        async with asyncio.timeout(60):
            await reader.readuntil(b"\r\n\r\n")
            other, one_too_many = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionResetError):
                assert not await other.read()
            one_too_many.close()
            writer.write(b"y" * 4 * LARGEST_HEAD_BYTES)
            with suppress(ConnectionResetError):
                while await reader.read(65_536):
                    pass
        writer.close()


async def test_what_is_left_out_on_redis_is_told_and_keeps_nobody_from_being_ready() -> None:
    rejected = {"callmon:{main}:keys": "garbage"}
    registry, troubles = metrics_server.new_registry("monitor"), dict[str, str]()
    async with (
        metrics_server.exposed(registry, "127.0.0.1", 0, troubles, lambda: rejected) as address,
        httpx.AsyncClient(timeout=60) as http,
    ):
        answer = await http.get(address.replace("/metrics", "/readyz"))
        assert answer.status_code == 200
        assert answer.json() == {"ready": True, "troubles": {}, "rejected": rejected}


async def test_each_worker_serves_its_own_on_the_next_port(tmp_path: Path) -> None:
    metrics_port = next_to_each_other(2)
    file = settings_file(tmp_path, "redis://127.0.0.1:1", free_port())
    with file.open("a", encoding="utf-8") as more:
        more.write(f"[metrics]\ngateway_port = {metrics_port}\n")
    async with gateways(file, 2), httpx.AsyncClient(timeout=60) as http:

        async def answers(port: int) -> bool:
            try:
                return (
                    "callmon_gateway_ready 0.0"
                    in (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                )
            except httpx.TransportError:
                return False

        for port in (metrics_port, metrics_port + 1):
            await until_async(partial(answers, port))


def next_to_each_other(count: int) -> int:
    """Return the first of ``count`` adjacent free ports, below the kernel's ephemeral ones."""
    while True:
        first = random.randrange(20_000, 32_000)
        with ExitStack() as stack, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
