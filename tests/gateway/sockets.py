"""The stream's sockets in the hands of clients that use them ill, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog
import uvloop
from websockets.asyncio.client import ClientConnection

from gateway.stream.websocket import WebSocketSession
from tests.gateway.entities import extension
from tests.gateway.serving import (
    ALL_TOPICS,
    Served,
)

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
