"""Serve Call Control's WebSocket: send events and answer requests on the same socket.

Rules:

- The token is checked when the socket opens. At its expiry the socket closes with 1001 or stays
  open, as the switch says. A token renewed meanwhile changes nothing.
- An event only names an entity: ``attached_data`` is null unless the switch fills it. Two types
  differ: type 2 says that keys were pressed at the client's route point and holds them, and type 3
  says that a prompt played there has ended.
- A client gets the events of the DNs that it may see, in the order in which they happened. There is
  no replay.
- Every message has a ``sequence``, counted as the switch says. Every second Upsert comes twice
  where the switch is on.
- A request ``{"RequestID", "Path", "RequestData"}``, with names in any case, is answered by a
  message of type 4 among the events, some only later. Any other message is ignored.
- A client that does not read may fall ``backlog`` messages behind. Then its connection is cut
  without a close frame.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from monitor.shared.tasks import end
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.callcontrol.api import (
    ApiResponse,
    CallControl,
    LaterResponse,
    MonitoredDns,
)
from monitor.simulator.calls.switchboard import (
    Event,
    KeysPressed,
    ParticipantUpsert,
    ParticipantView,
    Signal,
    Switchboard,
)
from monitor.simulator.faults import EventPath, Faults
from monitor.simulator.tokens import Principal, Tokens

BACKLOG: Final = 10_000
UPSERT, REMOVE, KEYS, PLAYED, RESPONSE = 0, 1, 2, 3, 4
_GOING_AWAY: Final = 1001

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Outgoing:
    kind: int
    dn: str
    participant_id: int
    view: ParticipantView | None = None
    data: object = None


class Sockets:
    """Serve all open sockets and send them their events.

    ``clock`` returns POSIX seconds. ``cut`` ends the connection of one client's address.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        switches: Switches,
        control: CallControl,
        visibility: MonitoredDns,
        faults: Faults,
        tokens: Tokens,
        clock: Callable[[], float],
        cut: Callable[[tuple[str, int]], object],
        backlog: int = BACKLOG,
    ) -> None:
        self.backlog = backlog
        self._switchboard, self._switches = switchboard, switches
        self._control, self._visibility, self._faults = control, visibility, faults
        self._clock, self._cut = clock, cut
        self._sessions: set[_ListenerSession] = set()
        self._path: EventPath[_Outgoing] = EventPath(faults, self._deliver)
        self._count = 0
        self._upserts = 0
        switchboard.listen(self._heard)
        switchboard.on_signal(self._signalled)
        faults.on_drop(self._drop)
        tokens.on_expire(self._expire)

    def __len__(self) -> int:
        return len(self._sessions)

    async def serve(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, from its handshake to its end."""
        session = _ListenerSession(principal.client_id, tuple(scope["client"]), send)
        await receive()
        await send({"type": "websocket.accept"})
        self._sessions.add(session)
        writing = asyncio.create_task(session.write(), name="socket of the simulated PBX")
        closing = None
        if self._switches.socket_at_expiry == "close":
            left = max(0.0, principal.expires - self._clock())
            closing = asyncio.get_running_loop().call_later(left, session.close, _GOING_AWAY)
        try:
            await self._read(session, receive)
        finally:
            self._sessions.discard(session)
            if closing is not None:
                closing.cancel()
            await session.end(writing)

    def clear(self) -> None:
        """Forget events that are on their way and restart the count, as after a restart."""
        self._path.clear()
        self._count = 0

    # events

    def _heard(self, event: Event) -> None:
        if isinstance(event, ParticipantUpsert):
            with_data = self._switches.event_data and self._sessions
            view = (
                self._switchboard.participant(event.dn, event.participant_id) if with_data else None
            )
            outgoing = _Outgoing(UPSERT, event.dn, event.participant_id, view)
        else:
            outgoing = _Outgoing(REMOVE, event.dn, event.participant_id)
        self._path.put(outgoing)

    def _signalled(self, signal: Signal) -> None:
        if isinstance(signal, KeysPressed):
            data = {"dtmf_input": signal.keys}
            self._path.put(_Outgoing(KEYS, signal.dn, signal.participant_id, data=data))
        else:
            self._path.put(_Outgoing(PLAYED, signal.dn, signal.participant_id))

    def _deliver(self, outgoing: _Outgoing) -> None:
        times = 1
        if outgoing.kind == UPSERT:
            self._upserts += 1
            times = 2 if self._switches.duplicates and self._upserts % 2 == 0 else 1
        seeing = [
            one for one in self._sessions if outgoing.dn in self._visibility.of(one.client_id)
        ]
        if seeing and outgoing.view is not None:
            self._switchboard.served_participant(outgoing.view)
        message = self._message(outgoing) if seeing else b""
        for _ in range(times):
            self._count += 1
            for session in seeing:
                self._send(session, message)

    def _message(self, outgoing: _Outgoing) -> bytes:
        entity = (
            f"/callcontrol/{quote(outgoing.dn, safe='')}/participants/{outgoing.participant_id}"
        )
        data = outgoing.data if outgoing.view is None else outgoing.view.to_json(self._switches)
        return _encode({"event_type": outgoing.kind, "entity": entity, "attached_data": data})

    def _send(self, session: _ListenerSession, event: bytes) -> None:
        if len(session.outbox) >= self.backlog:
            self._sessions.discard(session)
            self._cut(session.client)
            return
        session.put(f'{{"sequence":{self._sequence(session)},"event":{event.decode()}}}')

    def _sequence(self, session: _ListenerSession) -> int:
        session.sent += 1
        match self._switches.sequence:
            case "connection":
                return session.sent - 1
            case "process":
                return self._count
            case "gaps":
                return session.sent * 3 + session.sent // 5

    # requests

    async def _read(self, session: _ListenerSession, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            self._respond(
                session, text.encode() if text is not None else message.get("bytes") or b""
            )

    def _respond(self, session: _ListenerSession, message: bytes) -> None:
        try:
            request_id, path, body = _request(message)
        except msgspec.MsgspecError:
            return
        answer = (
            self._control.ask(session.client_id, path, body)
            if path.startswith("/callcontrol")
            else ApiResponse(404)
        )
        if isinstance(answer, LaterResponse):
            session.later(self._respond_later(session, request_id, path, answer))
        else:
            self._send_response(session, request_id, path, answer)

    async def _respond_later(
        self, session: _ListenerSession, request_id: str, path: str, answer: LaterResponse
    ) -> None:
        self._send_response(session, request_id, path, await answer.settled())

    def _send_response(
        self, session: _ListenerSession, request_id: str, path: str, answer: ApiResponse
    ) -> None:
        data = {
            "RequestID": request_id,
            "Path": path,
            "StatusCode": answer.status,
            "Response": answer.payload,
        }
        self._count += 1
        self._send(
            session, _encode({"event_type": RESPONSE, "entity": path, "attached_data": data})
        )

    # closing sockets

    def _drop(self, code: int | None) -> None:
        for session in list(self._sessions):
            self._faults.happened["dropped"] += 1
            if code is None:
                self._sessions.discard(session)
                self._cut(session.client)
            else:
                session.close(code)

    def _expire(self) -> None:
        if self._switches.socket_at_expiry == "close":
            for session in self._sessions:
                session.close(_GOING_AWAY)


class _ListenerSession:
    """Hold the messages that one client has yet to receive."""

    def __init__(self, client_id: str, client: tuple[str, int], send: Send) -> None:
        self.client_id, self.client = client_id, client
        self.outbox: deque[str | int] = deque()
        self.sent = 0
        self._closing = False
        self._answering: set[asyncio.Task[None]] = set()
        self._send = send
        self._filled = asyncio.Event()

    def put(self, message: str) -> None:
        """Queue a message to send. After :meth:`close` it is ignored."""
        if not self._closing:
            self.outbox.append(message)
            self._filled.set()

    def later(self, answering: Coroutine[Any, Any, None]) -> None:
        """Run what answers a request later. It ends with the session."""
        task = asyncio.create_task(answering, name="answer over a socket of the simulated PBX")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def end(self, writing: asyncio.Task[None]) -> None:
        """End all tasks of the session; ``writing`` is the one that sends."""
        await end((writing, *self._answering))

    def close(self, code: int) -> None:
        """Close with this code once all queued messages are sent."""
        if not self._closing:
            self.outbox.append(code)
            self._filled.set()
            self._closing = True

    async def write(self) -> None:
        """Send queued messages until the socket is closed or gone."""
        while True:
            await self._filled.wait()
            while self.outbox:
                message = self.outbox.popleft()
                if isinstance(message, int):
                    await self._send({"type": "websocket.close", "code": message})
                    return
                await self._send({"type": "websocket.send", "text": message})
            self._filled.clear()


def _request(message: bytes) -> tuple[str, str, bytes]:
    """Return id, path and body of a request. Raises MsgspecError if it is not one.

    Names may be in any case, as .NET reads them.
    """
    given = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
    fields = {name.lower(): value for name, value in given.items()}
    request_id = msgspec.json.decode(fields.get("requestid", b'""'), type=str)
    path = msgspec.json.decode(fields.get("path", b'""'), type=str)
    return request_id, path, _body(fields.get("requestdata", msgspec.Raw(b"null")))


def _body(data: msgspec.Raw) -> bytes:
    """Return a request's data as a body.

    An object stays as it is, a text becomes its content, null becomes empty.
    """
    value = msgspec.json.decode(data)
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else bytes(data)
