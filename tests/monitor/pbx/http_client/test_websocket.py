"""Test how WebSockets to a PBX are opened, read and closed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from monitor.pbx.http_client import websocket


class _Far:
    """A far end that notes what it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str | None]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, request.headers.get("Authorization")))
        if request.path == "/elsewhere":
            raise web.HTTPFound("/ws")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket


@asynccontextmanager
async def far() -> AsyncIterator[_Far]:
    end = _Far()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", end.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    end.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield end
    finally:
        await runner.cleanup()


async def test_a_socket_is_opened_with_its_headers_and_closed_again() -> None:
    async with far() as end:
        headers = {"Authorization": "Bearer x"}
        socket = await websocket.connect(end.url, "/ws?a=1", None, 60.0, 1024, 8, headers)
        await socket.send("ADDP")
        assert await socket.recv() == "ADDP"
        await websocket.close(socket)
        await websocket.close(socket)
        assert end.asked == [("/ws?a=1", "Bearer x")]


async def test_a_redirect_is_not_followed_as_the_address_may_be_secret() -> None:
    async with far() as end:
        with pytest.raises(InvalidStatus):
            await websocket.connect(end.url, "/elsewhere?pass=x", None, 60.0, 1024, 8)
        assert end.asked == [("/elsewhere?pass=x", None)]


@pytest.mark.parametrize(("number", "size"), [(25, 1), (3, 10_500)])
async def test_a_flood_of_messages_is_taken_so_many_in_a_second(
    number: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MOST_MESSAGES", 10)
    async with far() as end:
        socket = await websocket.connect(end.url, "/ws", None, 60.0, 16_384, 8)
        for _ in range(number):
            await socket.send("x" * size)
        messages, began = websocket.PacedMessages(socket), time.monotonic()
        assert [await messages.next() for _ in range(number)] == ["x" * size] * number
        assert time.monotonic() - began >= 2.0
        await websocket.close(socket)


async def _pings(socket: ServerConnection) -> None:
    for _ in range(1_000):
        _ = await socket.ping()


async def _parts(socket: ServerConnection) -> None:
    await socket.send("" for _ in range(1_000))


@pytest.mark.parametrize("flood", [_pings, _parts])
async def test_a_flood_of_what_is_no_whole_message_is_cut_off(
    flood: Callable[[ServerConnection], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MOST_MESSAGES", 10)

    async def far_end(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await flood(socket)
            await socket.send("all was taken")

    async with serve(far_end, "127.0.0.1", 0, compression=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        socket = await websocket.connect(f"http://127.0.0.1:{port}", "/", None, 60.0, 1024, 8)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
