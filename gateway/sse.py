"""The stream as Server-Sent Events: the same frames in JSON, for clients that only read.

``id`` is the position after a frame, so that ``Last-Event-ID`` resumes; of a snapshot in parts only the last part has
one. A client that takes nothing costs its socket's buffer; when it reads again it gets one merged change.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import NoState
from gateway.frames import PROTOCOL, Hello, Message, encode
from gateway.messages import Subscribe, Watch
from gateway.pbxview import PbxView
from gateway.places import Place
from gateway.session import Farewell, Guest, Manners
from monitor.model.change import Position
from monitor.model.instants import from_unix
from monitor.model.wire import Malformed, from_json

_RETRY = (500, 3_000)
"""Milliseconds after which a client that lost us comes back, drawn from this range for each."""
_LONGEST_DIGITS = 18

_log = structlog.get_logger(__name__)


class EventStream:
    """One client's stream. ``last_event_id``: what its header says. ``clock``: POSIX seconds."""

    def __init__(
        self,
        pbx: PbxView,
        guest: Guest,
        first: Subscribe | Watch,
        last_event_id: str | None,
        manners: Manners,
        clock: Callable[[], float],
    ) -> None:
        self.guest = guest
        self._pbx = pbx
        since = _position(last_event_id)
        self._first = replace(first, since=since) if isinstance(first, Subscribe) and since is not None else first
        self._manners = manners
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Farewell] = self._loop.create_future()
        self._woken = asyncio.Event()
        self._place = Place(pbx, guest.visibility, "json", self._woken.set)
        self._begun = self._loop.time()
        self._blocked_since: float | None = None

    @property
    def pbx(self) -> str:
        """The name of the PBX that is watched."""
        return self._pbx.name

    def end(self, code: int, reason: str) -> None:
        """Ask for the end; only the first time counts."""
        if not self._end.done():
            self._end.set_result(Farewell(code, reason))

    async def run(self, receive: Receive, send: Send) -> None:
        """Send until the client goes or is sent away. Who is sent away is told when to come back."""
        farewells: list[Farewell] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until_gone(receive))
                tasks.create_task(self._write(send))
                tasks.create_task(self._keep_time())
        except* Farewell as ends:
            farewells.extend(end for end in ends.exceptions if isinstance(end, Farewell))
        except* _Gone:
            pass
        finally:
            self._place.leave()
        if farewells and farewells[0].code != 4202:
            _log.info("events ended", pbx=self._pbx.name, key=self.guest.key_name, code=farewells[0].code)
            await self._say_farewell(send, farewells[0])

    async def _write(self, send: Send) -> None:
        hello = Hello(
            PROTOCOL,
            self._manners.server,
            self._pbx.name,
            self._pbx.hub.heartbeat,
            from_unix(self._clock()),
            self.guest.topics,
        )
        await self._send(send, f"retry: {random.randint(*_RETRY)}\n{_event(encode(hello, 'json'))}")  # noqa: S311
        try:
            self._place.enter(self._first)
        except NoState as error:
            raise Farewell(4103, "no state yet") from error
        while True:
            await self._woken.wait()
            self._woken.clear()
            while messages := self._place.take():
                last, at = len(messages) - 1, self._place.position
                for number, message in enumerate(messages):
                    await self._send(send, _event(message, at if number == last else None))

    async def _send(self, send: Send, text: str) -> None:
        if self._end.done():
            raise self._end.result()
        if self.guest.expires is not None and self._clock() >= self.guest.expires:
            raise Farewell(4001, "key expired")
        self._blocked_since = self._loop.time()
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        self._blocked_since = None

    async def _keep_time(self) -> None:
        while True:
            await asyncio.wait({self._end}, timeout=self._next_look())
            if self._end.done():
                raise self._end.result()
            now = self._loop.time()
            if self.guest.expires is not None and self._clock() >= self.guest.expires:
                raise Farewell(4001, "key expired")
            if now - self._begun >= self.guest.oldest:
                raise Farewell(4200, '{"retry_in":[0,10]}')
            if self._blocked_since is not None and now - self._blocked_since >= self._manners.stall:
                raise Farewell(4202, "nothing could be sent")

    def _next_look(self) -> float:
        until_old = self._begun + self.guest.oldest - self._loop.time()
        until_expiry = until_old if self.guest.expires is None else self.guest.expires - self._clock()
        return max(0.0, min(self._manners.stall / 4, until_old, until_expiry))

    @staticmethod
    async def _say_farewell(send: Send, farewell: Farewell) -> None:
        retry = _retry(farewell.reason)
        text = f": {farewell.code}\n" + (f"retry: {retry}\n" if retry is not None else "") + "\n"
        await send({"type": "http.response.body", "body": text.encode(), "more_body": False})


class EventsResponse(Response):
    """Serves an :class:`EventStream`; ``gone`` is called once it is over, whatever happens."""

    def __init__(self, stream: EventStream, gone: Callable[[], None]) -> None:
        super().__init__()
        self._stream = stream
        self._over = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole stream."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._stream.run(receive, send)
        finally:
            self._over()


class _Gone(Exception):
    """The client has closed the connection."""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _Gone


def _event(message: Message, at: Position | None = None) -> str:
    text = message if isinstance(message, str) else message.decode()
    return f"data: {text}\n\n" if at is None else f"id: {at}\ndata: {text}\n\n"


def _position(last_event_id: str | None) -> Position | None:
    """The position that an event's id is; None for anything else, which is answered by a snapshot."""
    epoch, _, seq = (last_event_id or "").rpartition("/")
    if not epoch or len(seq) > _LONGEST_DIGITS or not (seq.isascii() and seq.isdecimal()):
        return None
    return Position(epoch, int(seq))


def _retry(reason: str) -> int | None:
    """Milliseconds, drawn from the range in the reason."""
    try:
        low, high = from_json(reason)["retry_in"]
        return round(random.uniform(low, high) * 1000)  # noqa: S311
    except (Malformed, KeyError, TypeError, ValueError):
        return None
