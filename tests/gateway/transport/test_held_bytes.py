"""Test that slow connections hold so much together, and that the longest holders are dropped."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from functools import partial

import pytest

from gateway import run
from gateway.config import StreamSection
from gateway.stream.websocket import WebSocketSession
from gateway.transport.held_bytes import HeldBytes
from gateway.transport.websocket_protocol import SEND_BUFFER_BYTES
from tests.bus import until
from tests.gateway.sockets import KEY, answered, connected, handshake, on_both_loops, standing

HEAD = b"GET /x HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 20_000
BODY = (
    b"POST /webapi/pbx.calls.get HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n" + b"x" * 20_000
)


def test_over_the_bound_those_are_dropped_that_have_held_theirs_longest() -> None:
    held, dropped = HeldBytes(100), list[str]()

    def hold(name: str, size: int) -> None:
        held.hold(name, size, partial(dropped.append, name))

    hold("first", 40)
    hold("second", 30)
    hold("third", 30)
    hold("first", 30)  # it keeps its place
    assert (held.bytes, dropped) == (90, [])
    hold("fourth", 65)
    assert (held.bytes, dropped) == (95, ["first", "second"])
    held.let_go("third")
    held.let_go("third")
    held.let_go("first")
    assert (held.bytes, len(held)) == (65, 1)
    hold("huge", 101)
    assert (held.bytes, len(held)) == (0, 0)
    assert dropped == ["first", "second", "fourth", "huge"]


async def is_lost(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("begin", [HEAD, BODY], ids=["head", "body"])
async def test_requests_that_are_not_whole_hold_so_much_together(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_UNFINISHED_BYTES", 200_000)
    async with standing() as server, asyncio.timeout(60):
        connections = server.server_state.connections
        port = int(server.address.rpartition(":")[2])
        slow = []
        for _ in range(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begin)
            slow.append((reader, writer))
        assert all([await is_lost(reader) for reader, _ in slow[:20]]), "the longest ones"
        assert len(connections) <= 11, "200,000 bytes, and the client of the fixture"
        reader, writer = slow[-1]
        writer.write(b"\r\n\r\n" if begin is HEAD else b"x" * 40_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 4"), "it is whole, and answered"
        for _, writer in slow:
            writer.transport.abort()


AHEAD = {
    "requests": b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n" * 7,
    "headers": b"GET /x HTTP/1.1\r\nHost: test\r\n" + b"a: b\r\n" * 90 + b"\r\n",
    "body": b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000,
}


@pytest.mark.parametrize("kind", AHEAD)
async def test_requests_that_wait_for_the_answer_to_an_endless_one_hold_so_much_together(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_UNFINISHED_BYTES", 200_000)
    endless = f"GET /webapi/{KEY}/events?topics=system HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    async with (
        standing(heartbeat_interval=60.0) as server,
        connected(server, 30) as sockets,
    ):
        for one in sockets:
            one.sendall(endless)
            await answered(one)
            one.sendall(AHEAD[kind])
        connections = server.server_state.connections
        await until(lambda: len(connections) <= 13)
        assert len(connections) >= 7, "the others go on"
        await until(lambda: len(server.live) <= len(connections))


@on_both_loops
async def test_whole_requests_and_handshakes_hold_nothing() -> None:
    held: list[HeldBytes] = []
    make = HeldBytes.__init__

    def watched(self: HeldBytes, most: int) -> None:
        make(self, most)
        held.append(self)

    whole = [
        handshake(),
        handshake("/webapi/no-key/stream"),
        HEAD + b"\r\n\r\n",
        BODY + b"x" * 40_000,
        f"GET /webapi/{KEY}/pbx.calls.get HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
        b"GET /webapi/no-key/pbx.calls.get HTTP/1.1\r\nHost: test\r\n\r\n" * 10,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeldBytes, "__init__", watched)
        async with standing() as server:
            for data in whole:
                async with connected(server, 3) as sockets:
                    for one in sockets:
                        one.setblocking(False)
                        await asyncio.get_running_loop().sock_sendall(one, data[:30])
                        await asyncio.sleep(0.01)
                        await asyncio.get_running_loop().sock_sendall(one, data[30:])
                        await answered(one)
                    await until(lambda: not any(map(len, held)))
            assert [one.bytes for one in held] == [0, 0]


@pytest.mark.parametrize("many", [False, True])
async def test_answers_that_are_not_taken_hold_so_much_together(
    many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_UNTAKEN_BYTES", 3_000_000)
    ask = b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n"
    async with standing() as server, asyncio.timeout(60):
        connections = server.server_state.connections
        kernels = server._bound.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert kernels <= 2 * SEND_BUFFER_BYTES, "each connection inherits it"
        async with connected(server, 8 if many else 1) as sockets:
            before = set(connections)
            for one in sockets:
                one.sendall(ask)
            await until(lambda: len(before - connections) == len(sockets) - 1)
            taken = [await taken_of(one) for one in sockets]
            assert sum(much > 1_000_000 for much in taken) == 1, "there is room for one of them"


async def taken_of(one: socket.socket) -> int:
    """Bytes that come until there are more than a kernel keeps, or the connection is lost."""
    one.setblocking(False)
    taken = 0
    with suppress(ConnectionError):
        while taken <= 1_000_000:
            data = await asyncio.get_running_loop().sock_recv(one, 65_536)
            if not data:
                break
            taken += len(data)
    return taken


LARGE = b"x" * 20_000
UNREAD = {
    "part": struct.pack("!BBH4x", 0x01, 0x80 | 126, 20_000) + LARGE,
    "whole": struct.pack("!BBH4x", 0x81, 0x80 | 126, 20_000) + LARGE,
    "many empty ones": b"\x81\x80\0\0\0\0" * 60,
}


@pytest.mark.parametrize("kind", UNREAD)
async def test_messages_that_are_not_whole_or_not_read_hold_so_much_together(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_UNFINISHED_BYTES", 200_000)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    if kind != "part":  # the sessions read nothing
        monkeypatch.setattr(WebSocketSession, "_read", never)
    stream = StreamSection(subscribe_timeout=600.0, drain_time=0)
    async with standing(stream=stream) as server, connected(server, 30) as sockets:
        for one in sockets:
            one.sendall(handshake())
            assert (await answered(one)).startswith(b"HTTP/1.1 101 ")
        await until(lambda: len(server.live) == 30)
        for one in sockets:
            one.sendall(UNREAD[kind])
        connections = server.server_state.connections
        await until(lambda: len(connections) <= 10)
        assert len(connections) >= 8, "the others go on"
