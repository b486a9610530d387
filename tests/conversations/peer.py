"""Play the server of each conversation, on one port: ``/{name}/webapi/stream``.

Everything else that a client may ask of a gateway is answered as a gateway does: tickets, and a
plain request for the stream's address. Below is the gateway's own transport, with its compression.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.stream.connection import ConnectionLimits
from gateway.transport.http_protocol import TimeoutHttpProtocol
from gateway.transport.websocket_protocol import EXTENSION, Socket, uvicorn_options
from tests.conversations.conversation import Conversation, Step
from tests.gateway.entities import START

_REFUSES_TICKETS = (401, 403, 404)
"""Statuses with which a gateway refuses the key already when it is asked for a ticket."""


class Peer:
    """Play the server's part of one conversation. ``wrong``: what the client did wrong."""

    def __init__(self, conversation: Conversation) -> None:
        self.wrong: list[str] = []
        self.name = conversation.name
        self._steps = [step for step in conversation.server if "gateway" not in step]
        self._at = 0
        self._refusal: Response | None = None

    @property
    def left(self) -> list[Step]:
        """The steps that did not come about."""
        return self._steps[self._at :]

    async def ticket(self, _: Request) -> Response:
        """Answer a client that asks for a ticket."""
        refusal = self._next("refuse")
        if refusal is not None and refusal["status"] in _REFUSES_TICKETS:
            return self._refuse(refusal)
        return JSONResponse({"ticket": "t", "expires_in": 30})

    async def without_upgrade(self, _: Request) -> Response:
        """Answer a client that asks why its handshake was refused."""
        error = {"code": "upgrade_required", "message": "This address is for WebSocket."}
        return self._refusal or JSONResponse({"result": False, "error": error}, 426)

    async def stream(self, websocket: WebSocket) -> None:
        """Serve one connection: play the steps up to its end."""
        try:
            refusal, accept = self._next("refuse"), self._next("accept")
            if refusal is not None:
                await websocket.send_denial_response(self._refuse(refusal))
                return
            if accept is None:
                await self._unexpected(websocket, "it connects")
                return
            self._at += 1
            self._refusal = None
            offered = websocket.headers.get("sec-websocket-extensions", "")
            if accept.get("compressed") and "permessage-deflate" not in offered:
                self.wrong.append(f"{self.name}: it does not offer permessage-deflate")
            protocols = websocket.scope["subprotocols"]
            await websocket.accept("callmon.v1.json" if "callmon.v1.json" in protocols else None)
            await self._play(websocket)
        except WebSocketDisconnect:
            if self.left:
                self.wrong.append(f"{self.name}: it left before {self.left[0]}")

    async def _play(self, websocket: WebSocket) -> None:
        """Raises WebSocketDisconnect if the client goes while there are steps for it."""
        while self.left:
            ((kind, value),) = self.left[0].items()
            if kind in ("accept", "refuse"):
                await self._unexpected(websocket, "it stays")
                return
            if kind in ("close", "break", "dropped"):
                self._at += 1
                await self._end(websocket, kind, value)
                return
            if kind == "expect":
                message = await self._heard(websocket)
                if message != value:
                    self.wrong.append(f"{self.name}: it says {message}, not {value}")
            else:
                await websocket.send_text(value if kind == "text" else json.dumps(value))
            self._at += 1
        while True:
            try:
                await self._unexpected(websocket, f"it says {await self._heard(websocket)}")
            except WebSocketDisconnect:
                return  # it was told all, and goes

    async def _end(self, websocket: WebSocket, kind: str, value: Any) -> None:
        if kind == "close":
            await websocket.close(value["code"], value.get("reason", ""))
        elif kind == "break":
            line = websocket.scope["extensions"][EXTENSION]
            assert isinstance(line, Socket)
            line.abort()
        else:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass  # no ping is answered

    async def _heard(self, websocket: WebSocket) -> Any:
        """The next message that is no ping. Pings are answered."""
        while True:
            message = json.loads(await websocket.receive_text())
            if message.get("type") != "ping":
                return message
            pong = {"type": "pong", "at": message.get("at"), "server_time": START}
            await websocket.send_text(json.dumps(pong))

    def _next(self, kind: str) -> Any:
        """The value of the next step if it is of this kind, else None."""
        return self.left[0].get(kind) if self.left else None

    def _refuse(self, refusal: dict[str, Any]) -> Response:
        self._at += 1
        body = {"result": False, "error": refusal["error"]}
        self._refusal = JSONResponse(body, refusal["status"], refusal.get("headers"))
        return self._refusal

    async def _unexpected(self, websocket: WebSocket, what: str) -> None:
        expected = self.left[0] if self.left else "the end"
        self.wrong.append(f"{self.name}: {what}, but next is {expected}")
        await websocket.close(4000, "not in this conversation")


@asynccontextmanager
async def serving(conversations: Iterable[Conversation]) -> AsyncIterator[tuple[str, list[Peer]]]:
    """The address of a server that has all of these conversations, each once; and the peers."""
    peers = {each.name: Peer(each) for each in conversations}
    routes = [
        route
        for name, peer in peers.items()
        for route in (
            Route(f"/{name}/webapi/ticket", peer.ticket, methods=["POST"]),
            Route(f"/{name}/webapi/stream", peer.without_upgrade),
            WebSocketRoute(f"/{name}/webapi/stream", peer.stream),
        )
    ]
    limits = ConnectionLimits()
    options = uvicorn_options(limits.message_burst, limits.messages_per_second, compression=True)
    config = uvicorn.Config(
        Starlette(routes=routes),
        lifespan="off",
        log_config=None,
        http=TimeoutHttpProtocol,
        **options,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", list(peers.values())
        finally:
            server.should_exit = True
            await running


def faults(peers: Iterable[Peer]) -> list[str]:
    """What all clients did wrong, and what did not come about."""
    return [
        fault
        for peer in peers
        for fault in (
            *peer.wrong,
            *(f"{peer.name}: {step} did not come about" for step in peer.left),
        )
    ]
