"""Test how WebSockets to a PBX are opened, read and closed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from monitor.pbx.http_client import websocket
from tests.bus import until


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


@pytest.mark.parametrize(
    ("number", "size", "seconds"), [(25, 1, 2), (3, 10_500, 2), (2, 30_000, 3)]
)
async def test_a_flood_of_messages_is_taken_so_many_in_a_second(
    number: int, size: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0

    async def sleep(pause: float) -> None:
        nonlocal now
        now += max(0.0, pause)

    monkeypatch.setattr(websocket, "MOST_MESSAGES", 10)
    clock = SimpleNamespace(monotonic=lambda: now, thread_time=float)
    monkeypatch.setattr(websocket, "time", clock)
    monkeypatch.setattr(websocket, "asyncio", SimpleNamespace(sleep=sleep))
    async with far() as end:
        socket = await websocket.connect(end.url, "/ws", None, 60.0, 32_768, 8)
        for _ in range(number):
            await socket.send("x" * size)
        messages = websocket.PacedMessages(socket)
        assert [await messages.next() for _ in range(number)] == ["x" * size] * number
        assert now == 100.0 + seconds
        await websocket.close(socket)


async def test_messages_that_take_long_are_taken_for_a_fifth_of_the_time_and_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, cpu, turns = 100.0, 0.0, 0

    async def sleep(pause: float) -> None:
        nonlocal now, turns
        now, turns = now + max(0.0, pause), turns + (pause == 0)

    clock = SimpleNamespace(monotonic=lambda: now, thread_time=lambda: cpu)
    monkeypatch.setattr(websocket, "time", clock)
    monkeypatch.setattr(websocket, "asyncio", SimpleNamespace(sleep=sleep))
    async with far() as end:
        socket = await websocket.connect(end.url, "/ws", None, 60.0, 1024, 512)
        for _ in range(400):
            await socket.send("x")
        messages = websocket.PacedMessages(socket)
        for _ in range(400):
            await messages.next()
            cpu += 0.002
        assert now == 104.0, "0.8 seconds of work"
        assert turns == 133, "one after each six milliseconds"
        for _ in range(2):
            await socket.send("x")
            await messages.next()
            cpu += 30.0
        assert now <= 106.0, "a pause that came of something else is not made up for"
        await websocket.close(socket)


Sending = Callable[[ServerConnection], Awaitable[None]]


async def _pings(socket: ServerConnection) -> None:
    for _ in range(1_000):
        _ = await socket.ping()


async def _pongs(socket: ServerConnection) -> None:
    for _ in range(1_000):
        await socket.pong()


async def _parts(socket: ServerConnection) -> None:
    await socket.send("" for _ in range(1_000))


async def _parts_in_one_read(socket: ServerConnection) -> None:
    frames = [Frame(Opcode.TEXT, b"", fin=False), *[Frame(Opcode.CONT, b"", fin=False)] * 98]
    frames += [Frame(Opcode.CONT, b""), Frame(Opcode.TEXT, b"farewell")]
    socket.transport.write(b"".join(frame.serialize(mask=False) for frame in frames))


async def _messages_in_parts(socket: ServerConnection) -> None:
    for _ in range(1_000):
        await socket.send(["a", "b"])


async def heard(send: Sending) -> list[str | bytes]:
    """What our end hears of a far end that sends this and its farewell."""

    async def far_end(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await send(socket)
            await socket.send("farewell")

    async with serve(far_end, "127.0.0.1", 0, compression=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        socket = await websocket.connect(f"http://127.0.0.1:{port}", "/", None, 60.0, 1024, 8)
        messages = list[str | bytes]()
        with suppress(ConnectionClosed):
            while True:
                messages.append(await socket.recv())
        return messages


@pytest.mark.parametrize("flood", [_pings, _pongs, _parts, _parts_in_one_read])
async def test_a_flood_of_what_is_no_whole_message_is_cut_off(
    flood: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MOST_MESSAGES", 10)
    monkeypatch.setattr(websocket, "time", SimpleNamespace(monotonic=lambda: 0.0))
    assert await heard(flood) == []


@pytest.mark.parametrize(("send", "number"), [(_pings, 0), (_messages_in_parts, 1_000)])
async def test_a_ping_a_second_and_messages_in_few_parts_go_on_for_ever(
    send: Sending, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(websocket, "MOST_MESSAGES", 10)
    monkeypatch.setattr(websocket, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    assert await heard(send) == ["ab"] * number + ["farewell"]


async def test_of_each_message_it_is_known_when_it_came() -> None:
    async def far_end(socket: ServerConnection) -> None:
        await socket.send("a")
        await socket.send(["b", "c", "d"])
        await socket.wait_closed()

    async with serve(far_end, "127.0.0.1", 0, compression=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        socket = await websocket.connect(f"http://127.0.0.1:{port}", "/", None, 60.0, 1024, 8)
        await until(lambda: len(socket.came_at) == 2)
        waited_from = time.monotonic()
        await asyncio.sleep(0.05)
        messages, taken = websocket.PacedMessages(socket), list[tuple[str | bytes, bool]]()
        for _ in range(2):
            taken.append((await messages.next(), messages.came_at <= waited_from))
        assert taken == [("a", True), ("bcd", True)]
        await websocket.close(socket)
