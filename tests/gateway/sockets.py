"""The stream's sockets in the hands of clients that use them ill, on both event loops."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import structlog
import uvloop
from websockets.asyncio.client import ClientConnection

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from gateway.stream.websocket import WebSocketSession
from tests.bus import fake_bus, only, until, until_async
from tests.gateway.entities import extension
from tests.gateway.serving import (
    ALL_TOPICS,
    Served,
)
from tests.monitor.terms import running

KEY = "a-key-of-tests"
HANDSHAKE = (
    "Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def on_both_loops(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test once on asyncio's own loop and once on uvloop.

    Nothing may be logged that says of a fault of ours.
    """

    @pytest.mark.parametrize(
        "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )
    def run(
        loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
    ) -> None:
        with asyncio.Runner(loop_factory=loop) as runner, structlog.testing.capture_logs() as lines:
            runner.run(test())
        assert not [line for line in lines if line["event"] == "stream_failure"]
        assert not [record for record in caplog.records if "ASGI" in record.getMessage()]

    return run


OURS = ("gateway.", "uvicorn.", "starlette.", "websockets.", "httptools.")


@contextmanager
def left_for_the_garbage_collector() -> Iterator[list[type]]:
    """The types of ours whose objects were left in cycles meanwhile; filled at the end."""
    left: list[type] = []
    gc.collect()
    gc.freeze()  # what was there before needs no look
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left += [type(found) for found in gc.garbage if type(found).__module__.startswith(OURS)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def big_change(number: int) -> list[tuple[str, str, Any]]:
    return [
        (
            "extensions",
            str(100 + at),
            extension(str(100 + at), (f"{number}",) * 5, activity="Talking"),
        )
        for at in range(60)
    ]


async def stuck(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that subscribes and then reads nothing: a socket on which nobody calls recv."""
    host, port = served.host.split(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    path = f"/webapi/reader-key/stream?topics={','.join(ALL_TOPICS)}"
    writer.write(f"GET {path} HTTP/1.1\r\n{HANDSHAKE}\r\n".encode())
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def sessions(served: Served) -> list[WebSocketSession]:
    """The WebSockets that are open."""
    return [session for session in served.live._sessions if isinstance(session, WebSocketSession)]


async def frame_after_ping(connection: ClientConnection) -> None:
    pong = await connection.ping()
    await pong
    await asyncio.sleep(0.05)  # not waiting for anything: going easy on the loop that is observed


@asynccontextmanager
async def standing(**section: Any) -> AsyncIterator[gateway_run.Gateway]:
    """A whole gateway whose state is loaded; its key is KEY."""
    section.setdefault("stream", StreamSection(drain_time=0))
    keys = KeyTable([ApiKey("tests", sha256_hex(KEY), "pbx", frozenset({"read"}))])
    async with (
        fake_bus() as bus,
        running(bus),
        gateway_run.serving(
            ["pbx"], keys, GatewaySection(port=0, **section), only(bus.client())
        ) as server,
    ):
        async with httpx.AsyncClient(
            base_url=server.address, timeout=60, headers={"X-API-Key": KEY}
        ) as http:

            async def loaded() -> bool:
                return (
                    await http.get("/webapi/pbx.calls.get", headers={"Connection": "close"})
                ).status_code == 200

            await until_async(loaded)
        yield server


@asynccontextmanager
async def connected(server: gateway_run.Gateway, many: int) -> AsyncIterator[list[socket.socket]]:
    """So many connections that the server has taken; nothing was sent on them."""
    before = set(server.server_state.connections)
    port = int(server.address.rpartition(":")[2])
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(many)]
    try:
        await until(lambda: len(server.server_state.connections - before) == many)
        yield sockets
    finally:
        for one in sockets:
            one.close()


async def answered(one: socket.socket) -> bytes:
    """What the server answers."""
    one.setblocking(False)
    async with asyncio.timeout(60):
        return await asyncio.get_running_loop().sock_recv(one, 65_536)


def handshake(path: str = f"/webapi/{KEY}/stream", *headers: str) -> bytes:
    """A WebSocket handshake."""
    more = "".join(f"{header}\r\n" for header in headers)
    return f"GET {path} HTTP/1.1\r\n{HANDSHAKE}{more}\r\n".encode()
