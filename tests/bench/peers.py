"""Serve what others would use, and the bare limit, as processes: each line is one broadcast.

``write``: a loop of write(2) over the sockets. ``starlette``: ``send_bytes`` to each.
``broadcast``: that of the websockets library. ``picows``: its transports, if it is installed.
These take the bytes of a frame's payload. ``routes``: two HTTP routes, one returns bytes, one
encodes JSON each time; a line gives the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from monitor.shared.redis.connection import connect
from tests.bench.bus_feed import HEADER


def write_loop(frame: int) -> None:
    """Sockets come first, as many as the first line says.

    Then a broadcast for every byte of input.
    """
    listening = _listening()
    listening.listen(1024)
    _say_port(listening)
    sockets = []
    for _ in range(json.loads(sys.stdin.readline())["sockets"]):
        sock, _ = listening.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(sock)
    fds = [sock.fileno() for sock in sockets]
    wire, write = b"x" * (frame + HEADER), os.write
    while sys.stdin.readline():
        for fd in fds:
            write(fd, wire)


async def starlette(frame: int) -> None:
    """A task a connection that waits for its client; one loop that sends."""
    payload = b"x" * frame
    connected: list[WebSocket] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        connected.append(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            connected.remove(websocket)

    async def send() -> None:
        for websocket in connected:
            await websocket.send_bytes(payload)

    await serve_app(Starlette(routes=[WebSocketRoute("/", endpoint)]), send)


async def websockets_broadcast(frame: int) -> None:
    """The library's own server and function."""
    payload = b"x" * frame
    connected: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connected.add(connection)
        await connection.wait_closed()
        connected.discard(connection)

    listening = _listening()
    async with serve(handle, sock=listening, compression=None, ping_interval=None):
        _say_port(listening)
        async for _ in _broadcasts():
            broadcast(connected, payload)


async def picows(frame: int) -> None:
    """A listener a connection; the frame is written by a transport of the package's own."""
    package: Any = import_module("picows")
    payload, text = b"x" * frame, package.WSMsgType.TEXT
    connected: list[Any] = []

    class Listener(package.WSListener):  # type: ignore[misc]  # the package has no types for mypy
        def on_ws_connected(self, transport: Any) -> None:
            connected.append(transport)

    listening = _listening()
    serving = await package.ws_create_server(
        lambda _: Listener(), sock=listening, backlog=1024, enable_auto_pong=False
    )
    _say_port(listening)
    async with serving:
        async for _ in _broadcasts():
            for transport in connected:
                transport.send(text, payload)


async def routes() -> None:
    """The answer that they give is told by a line: ``{"body": …}``."""
    body, value = b"", None

    async def bare(_: Request) -> Response:
        return Response(body, media_type="application/json")

    async def encoding(_: Request) -> Response:
        return JSONResponse(value)

    listening = _listening()
    app = Starlette(routes=[Route("/bare", bare), Route("/json", encoding)])
    serving = asyncio.create_task(_uvicorn(app).serve(sockets=[listening]))
    _say_port(listening)
    async for line in _lines():
        text: Any = json.loads(line)["body"]
        body, value = text.encode(), json.loads(text)
        print(json.dumps({}), flush=True)
    serving.cancel()


async def listen(url: str) -> None:
    """A bare subscriber of a Redis server: tells when each message came."""
    async with connect(url).pubsub() as pubsub:
        await pubsub.subscribe("bench")
        async for message in pubsub.listen():
            at = time.perf_counter()
            print(
                json.dumps({"port": 0} if message["type"] == "subscribe" else {"at": at}),
                flush=True,
            )


async def serve_app(app: ASGIApp, send: Callable[[], Awaitable[None]]) -> None:
    """Under uvicorn; ``send`` is awaited for each broadcast."""
    listening = _listening()
    serving = asyncio.create_task(_uvicorn(app).serve(sockets=[listening]))
    _say_port(listening)
    async for _ in _broadcasts():
        await send()
    serving.cancel()


async def _broadcasts() -> AsyncIterator[bytes]:
    lines = _lines()
    await anext(lines)  # says how many will come
    async for line in lines:
        yield line


def _uvicorn(app: ASGIApp) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app, access_log=False, log_config=None, lifespan="off", ws_ping_interval=None
        )
    )


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield line


def _listening() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    return sock


def _say_port(sock: socket.socket) -> None:
    print(json.dumps({"port": sock.getsockname()[1]}), flush=True)


if __name__ == "__main__":
    match sys.argv[1]:
        case "write":
            write_loop(int(sys.argv[2]))
        case "starlette":
            uvloop.run(starlette(int(sys.argv[2])))
        case "broadcast":
            uvloop.run(websockets_broadcast(int(sys.argv[2])))
        case "picows":
            uvloop.run(picows(int(sys.argv[2])))
        case "listen":
            uvloop.run(listen(sys.argv[2]))
        case "routes":
            uvloop.run(routes())
