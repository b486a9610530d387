"""Serve the web client's own interface ("MyPhone"): logins to queues, calls, and what it is told.

A session is opened with the token of a person, or of an API client that has the right to it. It may
stand for another person. Commands name the session. Sessions do not outlive a restart. A command
without a session, or with a forgotten one, is refused as text, with status 200. All others are
acknowledged, whether they were done or not. A session has to log in first, except for
``SetQueueStatus``.

Key and pass of a session open a WebSocket. It begins with the text ``START`` and is kept alive by
``ADDP``, which the client sends back. Once the session has logged in, it receives all queues, and
later what changes: logins that change through this interface, figures of queues, its own extension.
Logins that change through the XAPI are not sent. The switches say what is told in which way.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from monitor import myphone_messages
from monitor.myphone_messages import Action, AgentEntry, ConnectionEntry, QueueEntry, QueuesUpdate
from monitor.shared.tasks import running
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.exchange import Event
from monitor.simulator.calls.queue_figures import QueueFigures
from monitor.simulator.calls.switchboard import CallOutcome, ControlRequest, Switchboard
from monitor.simulator.pbx_data.directory import Directory

COMMANDS: Final = "/MyPhone/MPWebService.asmx"
PUSH: Final = "/ws/webclient"
_SESSION: Final = "/webclient/api/MyPhone/session"
_OCTETS: Final = "application/octet-stream"
_LARGEST_BYTES: Final = 64 * 1024
_MOST_SESSIONS: Final = 1_000
_BACKLOG: Final = 100
"""Messages that a socket may be behind. More are dropped."""
_KEEPALIVE_S: Final = 20.0
"""Seconds between two ``ADDP``."""
_GOING_AWAY: Final = 1001
_STATES: Final = {"Ringing": 1, "Dialing": 2, "Connected": 3}

_PROCESSED: Final = "Request has been successfully processed"
_NO_SUCH_REQUEST: Final = (1, "The request is not known")
_NOT_FOUND: Final = (8, "The agent was not found")
_LOGIN_REQUIRED: Final = (9, "Login is required")
_FAILED: Final = 43
"""3CX's codes of errors, with words of our own."""


@dataclass(slots=True, eq=False)
class _LoginSession:
    number: str
    """The extension, or the API client, for which it stands."""
    password: str
    logged_in: bool = False
    outboxes: set[asyncio.Queue[bytes | int | None]] = field(default_factory=set)
    """Queues of messages, one for each socket of the session.

    A number closes the socket with this code, None cuts it."""

    def put(self, message: bytes) -> None:
        """Send a message to its sockets, if the session has logged in."""
        for outbox in self.outboxes if self.logged_in else ():
            if not outbox.full():
                outbox.put_nowait(message)

    def end(self, code: int | None) -> None:
        """Close its sockets, or cut them."""
        for outbox in self.outboxes:
            while outbox.full():
                outbox.get_nowait()
            outbox.put_nowait(code)


class WebClientService:
    """Serve sessions and their commands. ``cut`` aborts the connection of a client's address."""

    def __init__(
        self,
        directory: Directory,
        switchboard: Switchboard,
        switches: Switches,
        cut: Callable[[tuple[str, int]], None],
    ) -> None:
        self._directory = directory
        self._switchboard = switchboard
        self._switches = switches
        self._cut = cut
        self._sessions: dict[str, _LoginSession] = {}
        self.figures = QueueFigures(switchboard, self._figures_changed, self._watched)
        directory.on_change(self._own_changed)
        switchboard.listen(self._call_changed)

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [
            WebSocketRoute(PUSH, self._push),
            Route(_SESSION, self._open, methods=["POST"], max_body_size=_LARGEST_BYTES),
            Route(COMMANDS, self._command, methods=["POST"], max_body_size=_LARGEST_BYTES),
        ]

    def forget(self) -> None:
        """End all sessions."""
        self.drop(_GOING_AWAY)
        self._sessions.clear()

    def restart(self) -> None:
        """End all sessions and count from zero again, as after a restart."""
        self.forget()
        self.figures.forget()

    def drop(self, code: int | None) -> None:
        """Close all sockets with a close frame of this code, or cut them (None)."""
        for session in self._sessions.values():
            session.end(code)

    def push(self, message: bytes) -> None:
        """Send a message of any kind to all sockets of sessions that have logged in."""
        for session in self._sessions.values():
            session.put(message)

    # HTTP

    async def _open(self, request: Request) -> Response:
        principal = request.scope["state"]["principal"]
        client = self._directory.entity(principal.client_id)
        if client is None or not (principal.person or client["MyPhoneEnabled"]):
            return Response(status_code=403)
        place = _place(await request.body())
        if place is not None and place not in self._directory.extensions():
            return Response(status_code=404)
        while len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions))).end(_GOING_AWAY)
        key = secrets.token_hex(16)
        session = _LoginSession(place or principal.client_id, secrets.token_hex(8))
        self._sessions[key] = session
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
        kind = message.message_id
        if kind == myphone_messages.LOGIN:
            session.logged_in = True
            if self._switches.queues_info != "answered":
                session.put(self._queues())
            return _acknowledged()
        if kind == myphone_messages.SET_QUEUE_STATUS:
            asked = message.set_queue_status
            return self._set(asked.queue_id, asked.agent_id, asked.logged_in)
        if not session.logged_in:
            return _refused(*_LOGIN_REQUIRED)
        match kind:
            case myphone_messages.GET_MY_INFO:
                return self._told(session)
            case myphone_messages.MAKE_CALL:
                asked = message.make_call
                return self._call(session.number, asked.destination, asked.device_id)
            case myphone_messages.DROP_CALL:
                return _outcome(
                    self._switchboard.act(
                        session.number, message.drop_call.connection_id, "drop", ControlRequest()
                    )
                )
            case _:
                return _refused(*_NO_SUCH_REQUEST)

    def _told(self, session: _LoginSession) -> bytes:
        """Tell a session that asked of itself and of the queues; return the answer by HTTP."""
        own, queues = self._my_info(session.number), self._queues()
        if self._switches.queues_info == "pushed":
            session.put(queues)
        if self._switches.queues_info == "answered" or self._switches.my_info == "pushed":
            session.put(own)
        if self._switches.queues_info == "answered":
            return queues
        return _acknowledged() if self._switches.my_info == "pushed" else own

    def _call(self, number: str, destination: str, device_id: str) -> bytes:
        devices = self._directory.devices(number)
        device = device_id or (devices[0].device_id if devices else None)
        if device not in (None, *(known.device_id for known in devices)):
            return _refused(_FAILED, "There is no such device")
        return _outcome(self._switchboard.makecall(number, device, destination, None, {}))

    def _set(self, queue_id: int, agent_id: int, logged_in: bool) -> bytes:
        queue, user = self._directory.queues.get(queue_id), self._directory.users.get(agent_id)
        if (
            queue is None
            or user is None
            or user["Number"] not in self._directory.agents(queue["Number"])
        ):
            return _refused(*_NOT_FOUND)
        if self._switches.queue_status == "obeyed":
            self._directory.logins.set(queue["Number"], user["Number"], logged_in=logged_in)
            agent = AgentEntry(agent_id, user["Number"], logged_in, Action.UPDATED)
            self._tell_queues(
                QueueEntry(
                    queue_id,
                    agents=(agent,),
                    action=Action.UPDATED,
                    agents_action=Action.UPDATED,
                )
            )
        return _acknowledged()

    # the socket

    async def _push(self, socket: WebSocket) -> None:
        asked = socket.query_params
        session = self._sessions.get(asked.get("sessionId", ""))
        if session is None or not hmac.compare_digest(
            session.password.encode(), asked.get("pass", "").encode()
        ):
            await socket.close()  # before it is accepted: 403
            return
        await socket.accept()
        outbox: asyncio.Queue[bytes | int | None] = asyncio.Queue(_BACKLOG)
        session.outboxes.add(outbox)
        async with running(self._write(socket, outbox)):
            try:
                while (await socket.receive())["type"] != "websocket.disconnect":
                    pass
            finally:
                session.outboxes.discard(outbox)

    async def _write(self, socket: WebSocket, outbox: asyncio.Queue[bytes | int | None]) -> None:
        await socket.send_text("START")
        while True:
            try:
                async with asyncio.timeout(_KEEPALIVE_S):
                    message = await outbox.get()
            except TimeoutError:
                await socket.send_text("ADDP")
                continue
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            elif message is None:
                self._cut(tuple(socket.scope["client"]))
                return
            else:
                await socket.close(message)
                return

    # what is told

    def _watched(self) -> bool:
        return any(session.outboxes for session in self._sessions.values())

    def _own_changed(self, number: str) -> None:
        for session in self._sessions.values():
            if session.number == number and session.outboxes:
                session.put(self._my_info(number))

    def _call_changed(self, event: Event) -> None:
        self._own_changed(event.dn)

    def _figures_changed(self, queue: str) -> None:
        entity = self._directory.entity(queue)
        if entity is not None:
            figures = self.figures.of(queue)
            self._tell_queues(QueueEntry(entity["Id"], figures=figures, action=Action.UPDATED))

    def _tell_queues(self, changed: QueueEntry) -> None:
        """Push what changed of a queue, without what stayed as it was."""
        if self._switches.queues_info != "answered":
            self.push(myphone_messages.queues_info(QueuesUpdate((changed,), Action.UPDATED)))

    def _queues(self) -> bytes:
        """Return the message with all queues, all agents and all figures."""
        entities = (self._directory.entity(number) for number in self._directory.queue_numbers())
        return myphone_messages.queues_info(
            QueuesUpdate(
                tuple(
                    QueueEntry(
                        entity["Id"],
                        entity["Number"],
                        entity["Name"],
                        self._agents(entity["Number"]),
                        self.figures.of(entity["Number"]),
                        Action.FULL,
                        Action.FULL,
                    )
                    for entity in entities
                    if entity is not None
                )
            )
        )

    def _agents(self, queue: str) -> tuple[AgentEntry, ...]:
        return tuple(
            AgentEntry(
                user["Id"],
                extension,
                self._directory.logins.logged_in(queue, extension),
                Action.FULL,
            )
            for extension in self._directory.agents(queue)
            if (user := self._directory.entity(extension)) is not None
        )

    def _my_info(self, number: str) -> bytes:
        entity = self._directory.entity(number) or {}
        return myphone_messages.my_info(
            int(entity.get("Id", 0)),
            number,
            queue_status=entity.get("QueueStatus") == "LoggedIn",
            connections=[
                ConnectionEntry(
                    view.id,
                    _STATES.get(view.status, 0),
                    view.party_caller_id or view.party_dn,
                    view.status == "Ringing",
                )
                for view in self._switchboard.participants(number)
            ],
        )


def _acknowledged() -> bytes:
    return myphone_messages.acknowledgement(success=True, text=_PROCESSED)


def _refused(code: int, text: str) -> bytes:
    return myphone_messages.acknowledgement(success=False, text=text, code=code)


def _outcome(outcome: CallOutcome) -> bytes:
    if outcome.finalstatus == "Success":
        return _acknowledged()
    return _refused(_FAILED, outcome.reasontext or outcome.reason)


def _place(body: bytes) -> str | None:
    """Return the extension for which a session is to be opened; None for the principal's own."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except msgspec.MsgspecError:
        return None
    found = asked.get("impersonate")
    return None if found is None else str(found)
