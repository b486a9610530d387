"""Test the web client's socket alone: how it begins, what it passes on, why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from monitor.myphone_messages import MAX_MESSAGE_BYTES
from monitor.pbx.myphone.push_socket import PushSocket
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import PbxGarbled, PbxUnreachable
from tests.monitor.pbx.scripted import noted_messages, settings_for


class Far:
    """A PBX's end of one socket. ``status``: the answer in place of a socket."""

    def __init__(self, begin: str = "START", status: int = 0) -> None:
        self.begin, self.status = begin, status
        self.socket: web.WebSocketResponse | None = None
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.status:
            return web.Response(status=self.status)
        self.socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.begin:
            await socket.send_str(self.begin)
        async for _ in socket:
            pass
        return socket

    @property
    def end(self) -> web.WebSocketResponse:
        assert self.socket is not None
        return self.socket


@asynccontextmanager
async def opened(far: Far, **changes: Any) -> AsyncIterator[tuple[PushSocket, list[bytes]]]:
    """A socket to it, and what the socket has passed on."""
    app = web.Application()
    app.router.add_get("/ws/webclient", far.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    far.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = PbxClient(settings_for(far.url, **{"connect_timeout": 60.0} | changes))
    heard: list[bytes] = []
    socket = PushSocket(client, heard.append)
    try:
        await socket.open("key", "p&ss")
        yield socket, heard
    finally:
        await socket.close()
        await socket.close()
        await client.close()
        await runner.cleanup()


async def lost(socket: PushSocket) -> str:
    """The reason why it ended, once it has."""
    async with asyncio.timeout(60):
        while socket.lost is None:
            socket.news.clear()
            await socket.news.wait()
    assert isinstance(socket.lost, PbxUnreachable)
    return str(socket.lost)


async def test_binary_messages_are_passed_on_in_order_and_text_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far, taken = Far(), noted_messages(monkeypatch)
    async with opened(far) as (socket, heard):
        assert (socket.opened, socket.lost) == (True, None)
        for message in (b"one", b"", b"two"):
            await far.end.send_bytes(message)
            await far.end.send_str("hello")
        await far.end.close(code=1001)
        assert "1001" in await lost(socket)
        assert heard == [b"one", b"", b"two"]
        assert taken == ["START", b"one", "hello", b"", "hello", b"two", "hello"], "at their pace"


async def test_a_pbx_that_does_not_say_that_it_is_ready_is_used_all_the_same() -> None:
    far = Far(begin="")
    async with opened(far, connect_timeout=1.2) as (socket, heard):
        assert socket.lost is None
        await far.end.send_bytes(b"one")
        await far.end.close()
        await lost(socket)
        assert heard == [b"one"]


@pytest.mark.parametrize("word", ["STOP", "NOT AUTH"])
async def test_a_pbx_may_end_it_in_words(word: str) -> None:
    async with opened(Far(begin=word)) as (socket, _):
        assert word in await lost(socket)


async def test_a_message_beyond_all_measure_ends_it() -> None:
    far = Far()
    async with opened(far) as (socket, heard):
        await far.end.send_bytes(b"x" * (MAX_MESSAGE_BYTES + 1))
        await lost(socket)
        assert heard == []


async def test_a_refusal_is_told_with_its_status_and_without_the_address() -> None:
    async with opened(Far(status=403)) as (socket, _):
        assert not socket.opened
        assert isinstance(socket.lost, PbxGarbled)
        assert "403" in str(socket.lost)
        assert "p%26ss" not in str(socket.lost)


async def test_a_pbx_that_is_off_is_unreachable() -> None:
    client = PbxClient(settings_for("http://127.0.0.1:9"))
    socket = PushSocket(client, lambda _: None)
    await socket.open("key", "pass")
    assert isinstance(socket.lost, PbxUnreachable)
    assert "127.0.0.1" not in str(socket.lost)
    await socket.close()
    await client.close()
