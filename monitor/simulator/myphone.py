"""Serve the web client's own interface ("MyPhone"), as far as it is about logins to queues.

A session is opened with the token of a person, or of an API client that has the right to it. It may
stand for another person. Commands name the session. Sessions do not outlive a restart. A command
without a session, or with a forgotten one, is refused as text, with status 200.

Key and pass of a session open a WebSocket. It begins with the text ``START`` and is kept alive by
``ADDP``, which the client sends back. Once the session has logged in, it receives all logins to
queues: when it asks for them, and when a login changes through this interface. Changes made through
the XAPI are not sent.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from monitor import myphone_messages
from monitor.simulator.pbx_data.directory import Directory

COMMANDS: Final = "/MyPhone/MPWebService.asmx"
PUSH: Final = "/ws/webclient"
_SESSION: Final = "/webclient/api/MyPhone/session"
_OCTETS: Final = "application/octet-stream"
_LARGEST_BYTES: Final = 64 * 1024
_MOST_SESSIONS: Final = 1_000
_BACKLOG: Final = 100
"""Messages that a socket may be behind. More are dropped, because each message holds all logins."""
_KEEPALIVE_S: Final = 20.0
"""Seconds between two ``ADDP``."""


@dataclass(slots=True)
class _LoginSession:
    password: str
    logged_in: bool = False
    outboxes: set[asyncio.Queue[bytes]] = field(default_factory=set)
    """Queues of messages, one for each socket of the session."""

    def put(self, message: bytes) -> None:
        """Send a message to its sockets, if the session has logged in."""
        for outbox in self.outboxes if self.logged_in else ():
            if not outbox.full():
                outbox.put_nowait(message)


class WebClientService:
    """Serve sessions and their commands."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._sessions: dict[str, _LoginSession] = {}

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [
            WebSocketRoute(PUSH, self._push),
            Route(_SESSION, self._open, methods=["POST"], max_body_size=_LARGEST_BYTES),
            Route(COMMANDS, self._command, methods=["POST"], max_body_size=_LARGEST_BYTES),
        ]

    def forget(self) -> None:
        """End all sessions."""
        self._sessions.clear()

    async def _open(self, request: Request) -> Response:
        principal = request.scope["state"]["principal"]
        client = self._directory.entity(principal.client_id)
        if client is None or not (principal.person or client["MyPhoneEnabled"]):
            return Response(status_code=403)
        place = _place(await request.body())
        if place is not None and place not in self._directory.extensions():
            return Response(status_code=404)
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        key = secrets.token_hex(16)
        self._sessions[key] = session = _LoginSession(secrets.token_hex(8))
        return JSONResponse({"sessionKey": key, "pass": session.password})

    async def _command(self, request: Request) -> Response:
        session = self._sessions.get(request.headers.get("MyPhoneSession", ""))
        if session is None:
            return Response(b"NOT AUTH", media_type="text/plain")
        try:
            message = myphone_messages.decode(await request.body())
        except myphone_messages.NotAMessage:
            return Response(status_code=400)
        return Response(self._done(session, message), media_type=_OCTETS)

    def _done(self, session: _LoginSession, message: Any) -> bytes:
        if message.message_id == myphone_messages.LOGIN:
            session.logged_in = True
            return myphone_messages.done("Login was successfully processed")
        if not session.logged_in:
            return myphone_messages.done("Login is required")
        match message.message_id:
            case myphone_messages.GET_MY_INFO:
                told = myphone_messages.queues_info(self._queues())
                session.put(told)
                return told
            case myphone_messages.SET_QUEUE_STATUS:
                asked = message.set_queue_status
                return myphone_messages.done(
                    self._set(asked.queue_id, asked.agent_id, asked.logged_in)
                )
            case _:
                return myphone_messages.done("The command is not known")

    async def _push(self, socket: WebSocket) -> None:
        asked = socket.query_params
        session = self._sessions.get(asked.get("sessionId", ""))
        if session is None or not hmac.compare_digest(
            session.password.encode(), asked.get("pass", "").encode()
        ):
            await socket.close()  # before it is accepted: 403
            return
        await socket.accept()
        outbox: asyncio.Queue[bytes] = asyncio.Queue(_BACKLOG)
        session.outboxes.add(outbox)
        writing = asyncio.create_task(
            _write(socket, outbox), name="web client's socket of the simulated PBX"
        )
        try:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            session.outboxes.discard(outbox)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _queues(self) -> dict[str, dict[str, tuple[int, bool]]]:
        return {
            number: {
                extension: (user["Id"], self._directory.logins.logged_in(number, extension))
                for extension in self._directory.agents(number)
                if (user := self._directory.entity(extension)) is not None
            }
            for number in self._directory.queue_numbers()
        }

    def _set(self, queue_id: int, agent_id: int, logged_in: bool) -> str:
        queue, user = self._directory.queues.get(queue_id), self._directory.users.get(agent_id)
        if (
            queue is None
            or user is None
            or user["Number"] not in self._directory.agents(queue["Number"])
        ):
            return "The agent was not found"
        self._directory.logins.set(queue["Number"], user["Number"], logged_in=logged_in)
        told = myphone_messages.queues_info(self._queues())
        for session in self._sessions.values():
            session.put(told)
        return "The command was successfully processed"


async def _write(socket: WebSocket, outbox: asyncio.Queue[bytes]) -> None:
    await socket.send_text("START")
    while True:
        try:
            async with asyncio.timeout(_KEEPALIVE_S):
                message = await outbox.get()
        except TimeoutError:
            await socket.send_text("ADDP")
        else:
            await socket.send_bytes(message)


def _place(body: bytes) -> str | None:
    """Return the extension for which a session is to be opened; None for the principal's own."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except msgspec.MsgspecError:
        return None
    found = asked.get("impersonate")
    return None if found is None else str(found)
