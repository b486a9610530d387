"""Play a recording as a PBX: send the recorded answers and events, at the same pace or faster.

Its time begins with the first request. Times in ActiveCalls are moved, so that what was recorded
happens now. When the recording is over, the player stays in its last state. Nothing can be changed:
every request that would change something is answered 403.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, Self

from starlette.types import Receive, Scope, Send

from monitor import myphone_messages
from monitor.myphone_messages import AgentEntry, QueueEntry, QueuesUpdate
from monitor.recording import masking_rules
from monitor.recording.file_format import Recording
from monitor.recording.response_matcher import (
    FULL_STATE,
    RecordedResponse,
    SocketLife,
    SocketRefused,
    Timeline,
    Wait,
)
from monitor.shared.codec import to_json
from monitor.shared.tasks import running
from monitor.shared.timestamps import moment
from monitor.simulator.listener import Listener

_ACTIVE_CALLS: Final = "/xapi/v1/ActiveCalls"
_SOCKET: Final = f"{FULL_STATE}/ws"
_TIMES: Final = ("LastChangeStatus", "EstablishedAt", "ServerNow")
_TOKEN_LIFE_S: Final = 86_400
_LINGER_S: Final = 1.0
"""Seconds that a refused socket may take to end."""
_LARGEST_BYTES: Final = 64 * 1024
_NO_FRAME: Final = (None, 1005, 1006, 1015)
"""Codes that no close frame can have (RFC 6455, section 7.4.1): the connection was cut."""


class Player:
    """Serve a recording at ``url``: ``async with Player(recording) as pbx``.

    ``speed``: how many times faster than recorded.
    """

    def __init__(
        self, recording: Recording, speed: float = 1.0, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.recording = recording
        self.speed = speed
        self.ended = asyncio.Event()
        """Set when everything has been played."""
        self._timeline = Timeline(recording)
        self._listener = Listener(host, port, headers={})
        self._started: float | None = None
        self._wall = 0.0
        self._playing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Return the address at which it listens."""
        return self._listener.url

    @property
    def settings(self) -> dict[str, float]:
        """Return the settings with which a client asks as often as in the recording.

        Seconds, by the names that the recording gives them.
        """
        return {name: value / self.speed for name, value in self.recording.header.settings.items()}

    async def __aenter__(self) -> Self:
        self._listener.serve(self)
        await self._listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait([self._playing])
        await self._listener.stop()

    # time

    def _now(self) -> float:
        """Return the recording's time; the first call starts it."""
        if self._started is None:
            self._started, self._wall = time.monotonic(), time.time()
            self._playing = asyncio.create_task(self._play(), name="recording being played")
        return (time.monotonic() - self._started) * self.speed

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self._now()) / self.speed)

    def _moved(self, text: str, late: float) -> str:
        """Return a recorded moment as one of now.

        ``late``: seconds by which it is told later than in the recording.
        """
        try:
            then = moment(text).timestamp()
        except ValueError:
            return text
        seconds = self._wall + (then - self.recording.header.began) / self.speed + late
        whole, part = divmod(round(seconds * 1_000_000), 1_000_000)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{part:06d}Z"

    async def _play(self) -> None:
        await self._until(self._timeline.seconds)
        self.ended.set()

    # HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as recorded (ASGI)."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        content = await _content(receive)
        reply = await self._reply(scope["method"], f"{path}?{query}" if query else path, content)
        if reply.status is None:
            self._listener.cut(scope["client"])
            return
        body, kind = self._body(path, reply)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, method: str, address: str, content: bytes) -> RecordedResponse:
        ask = _message(content) if address == masking_rules.WEB_CLIENT else 0
        while True:
            now = self._now()
            match self._timeline.reply(method, address, ask, now):
                case Wait(until):
                    await self._until(until)
                case RecordedResponse() as reply:
                    await self._until(reply.at)
                    return reply
                case None:
                    return RecordedResponse(now, now, 404 if method == "GET" else 403, {})

    def _body(self, path: str, reply: RecordedResponse) -> tuple[bytes, bytes]:
        """Return the body and its type."""
        kept = reply.body
        if "logins" in kept:
            logins: Mapping[str, Mapping[str, tuple[int, bool]]] = kept["logins"]
            return _queues_info(logins), b"application/octet-stream"
        if "said" in kept:
            said = str(kept["said"])
            if said == "NOT AUTH":
                return said.encode(), b"text/plain"
            done = said == masking_rules.DONE
            answer = myphone_messages.acknowledgement(success=done, text=said)
            return answer, b"application/octet-stream"
        if "body" not in kept:
            return _filler(kept).encode(), b"text/plain"
        body = kept["body"]
        if reply.status == 200 and path == masking_rules.TOKEN:
            token = secrets.token_urlsafe(24)
            body = {
                "token_type": "Bearer",
                "expires_in": _TOKEN_LIFE_S,
                "access_token": token,
                "refresh_token": None,
            }
        elif reply.status == 200 and path == masking_rules.SESSION:
            body = {"sessionKey": secrets.token_hex(16), "pass": secrets.token_hex(8)}
        elif path == _ACTIVE_CALLS:
            body = self._moved_rows(body, max(0.0, self._now() - reply.at) / self.speed)
        return to_json(body), b"application/json"

    def _moved_rows(self, body: Any, late: float) -> Any:
        rows = body.get("value") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            return body
        return {
            **body,
            "value": [self._moved_row(row, late) if isinstance(row, dict) else row for row in rows],
        }

    def _moved_row(self, row: dict[str, Any], late: float) -> dict[str, Any]:
        times = {name: row[name] for name in _TIMES if isinstance(row.get(name), str)}
        return row | {
            name: self._moved(text, late if name == "ServerNow" else 0.0)
            for name, text in times.items()
        }

    # the event socket

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if scope["path"] != _SOCKET:  # nothing that was pushed there is in a recording
            await _deny(receive, send, 404)
            return
        fate = self._timeline.socket(self._now())
        while isinstance(fate, Wait):
            await self._until(fate.until)
            fate = self._timeline.socket(self._now())
        if fate is None:
            await _deny(receive, send, 503)
            return
        if isinstance(fate, SocketRefused):
            if fate.status is None:
                self._listener.cut(scope["client"])
            else:
                await _deny(receive, send, fate.status)
            return
        await send({"type": "websocket.accept"})
        async with running(self._until_end(fate), self._tell(send), _gone(receive)) as parts:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            over = parts[0].done()
        if over and fate.code in _NO_FRAME:
            self._listener.cut(scope["client"])
        elif over:
            with suppress(RuntimeError):  # the other side was quicker
                await send({"type": "websocket.close", "code": fate.code, "reason": fate.reason})

    async def _tell(self, send: Send) -> NoReturn:
        """Send all events from now on."""
        events = self._timeline.events
        for line in events[bisect_right(events, self._now(), key=lambda line: line.t) :]:
            await self._until(line.t)
            said = line.said
            text = to_json(said["body"]).decode() if "body" in said else _filler(said)
            await send({"type": "websocket.send", "text": text})
        await asyncio.Event().wait()
        raise AssertionError("nothing more is told")

    async def _until_end(self, life: SocketLife) -> None:
        await (asyncio.Event().wait() if life.closed is None else self._until(life.closed))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _deny(receive: Receive, send: Send, status: int) -> None:
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [(b"content-length", b"0")],
        }
    )
    await send({"type": "websocket.http.response.body", "body": b""})
    # One disconnect is the refusal itself, the other the connection. The server logs an error if
    # we return before both.
    ends = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while ends < 2:
                ends += (await receive())["type"] == "websocket.disconnect"


def _queues_info(logins: Mapping[str, Mapping[str, tuple[int, bool]]]) -> bytes:
    return myphone_messages.queues_info(
        QueuesUpdate(
            tuple(
                QueueEntry(
                    0,
                    number,
                    agents=tuple(
                        AgentEntry(id_, extension, logged_in)
                        for extension, (id_, logged_in) in agents.items()
                    ),
                )
                for number, agents in logins.items()
            )
        )
    )


def _filler(said: Mapping[str, Any]) -> str:
    """Return a text of the same length in place of one that was not kept."""
    return "?" * min(int(said.get("bytes", 0)), _LARGEST_BYTES)


async def _content(receive: Receive) -> bytes:
    content = b""
    more = True
    while more and len(content) <= _LARGEST_BYTES:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content


def _message(content: bytes) -> int:
    try:
        return int(myphone_messages.decode(content).message_id)
    except myphone_messages.NotAMessage:
        return 0
