"""Serve the stream as Server-Sent Events: the same frames in JSON, for clients that only read.

- ``id`` is the position after a frame, so that ``Last-Event-ID`` resumes. Of a snapshot in parts
  only the last part has one.
- A client that takes gzip gets one stream of it. Each event can be read at once, and its frame is
  compressed once for all clients of the stream, WebSocket or not.
- A client that takes nothing costs its socket's buffer. When it reads again it gets one merged
  change.
- A browser's EventSource never comes back after a status other than 200. So it gets an empty
  stream in place of 503 and 429, which pass with time. That stream says when to come back. A
  client counts as an EventSource if it accepts ``text/event-stream`` and no JSON. All others get
  the status.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from gateway.errors import HoldsTooMuch, shown
from gateway.fanout.frames import Message, TakenSnapshot, encode
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import Subscribe, Watch
from gateway.stream.connection import (
    CLOSE_WITHIN_S,
    GONE,
    STALLED,
    CloseConnection,
    ConnectionLimits,
    StreamConnection,
    StreamPrincipal,
)
from gateway.transport.compression import GzipStream
from gateway.transport.http_protocol import TRANSPORT
from gateway.transport.websocket_protocol import keep_buffers_small, waiting_in
from monitor.shared.changes import Position, is_epoch
from monitor.shared.codec import Malformed, from_json

_RETRY_MS = (500, 3_000)
"""Milliseconds after which a client that lost the connection comes back: each gets a random
value of this range."""
_LONGEST_DIGITS = 18
_CONTENT_TYPE = "text/event-stream; charset=utf-8"
_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Encoding",
    "X-Accel-Buffering": "no",
}


class EventStream(StreamConnection):
    """Serve one client's stream of events.

    ``last_event_id``: the ``Last-Event-ID`` that it gives; None if it gives none. ``clock``:
    POSIX seconds. ``compressed``: whether events are sent as gzip.
    """

    __slots__ = ("_first", "_gzip", "_send", "_transport")

    def __init__(
        self,
        pbx: PbxContext,
        principal: StreamPrincipal,
        first: Subscribe | Watch,
        last_event_id: str | None,
        limits: ConnectionLimits,
        clock: Callable[[], float],
        *,
        compressed: bool = False,
    ) -> None:
        super().__init__(pbx, principal, "json", limits, clock)
        self._gzip = GzipStream() if compressed else None
        since = _position(last_event_id)
        self._first = first if since is None else replace(first, since=since)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        encoding = {} if self._gzip is None else {"Content-Encoding": "gzip"}
        return {"Content-Type": _CONTENT_TYPE, **_HEADERS, **encoding}

    async def run(
        self, receive: Receive, send: Send, transport: asyncio.Transport | None = None
    ) -> None:
        """Send until the client goes or is sent away. In the latter case tell it when to come back.

        ``transport``: the connection's transport; None where the server does not give it.
        """
        self._send = send
        self._transport = transport
        if transport is not None:
            keep_buffers_small(transport)
        farewell = await self._run(self._begin(receive))
        if farewell is not None and farewell.code != GONE:
            self._log_end("sse", farewell.code)
            await self._say_farewell(farewell)

    async def _begin(self, receive: Receive) -> None:
        retry = f"retry: {random.randint(*_RETRY_MS)}\n".encode()  # noqa: S311
        await self._say((retry, *_event(encode(self._hello(), "json"))))
        try:
            await self._enter(self._first)
        except HoldsTooMuch as error:
            raise CloseConnection(shown(error).close, "too much is held") from error
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _send_next(self) -> bool:
        await self._room()
        messages = await self._next_messages()
        at = self._place.position
        if isinstance(messages, TakenSnapshot):
            await self._send_snapshot(messages, at)
            return True
        last = len(messages) - 1
        for number, message in enumerate(messages):
            await self._room()  # before the event is made: one that waits would be held three times
            await self._say(_event(message, at if number == last else None))
        return bool(messages)

    async def _room(self) -> None:
        """Wait until the client has taken what was sent."""
        if self._waiting():
            await self._say(())

    async def _send_snapshot(self, snapshot: TakenSnapshot, at: Position | None) -> None:
        parts = snapshot.payloads()
        part = await self._next_part(parts)
        while part is not None:
            following = await self._next_part(parts)
            await self._room()
            await self._say(_event(part, at if following is None else None))
            part = following

    async def _say(self, parts: tuple[bytes, ...]) -> None:
        self._check()
        body = b"".join(parts) if self._gzip is None else self._gzip.pack(*parts)
        sending = self._send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            await self._await_send(sending)
        except RuntimeError as error:  # uvloop's, of a client that went a moment ago
            if self._transport is None or not self._transport.is_closing():
                raise
            raise WebSocketDisconnect(GONE) from error
        if self._gzip is not None:
            self._gzip.sent(*parts)

    def _waiting(self) -> int:
        return 0 if self._transport is None else waiting_in(self._transport)

    def _hold_direct_writes(self) -> None:
        """Do nothing: the hub never writes to this connection directly."""

    async def _say_farewell(self, farewell: CloseConnection) -> None:
        """End the answer; drop the connection if the end does not get out.

        Nobody would wait for it to close.
        """
        retry = _retry(farewell.reason)
        text = f": {farewell.code}\n" + (f"retry: {retry}\n" if retry is not None else "") + "\n"
        body = text.encode()
        if self._gzip is not None:
            packed = self._gzip.pack(body)
            self._gzip.sent(body)
            body = packed + self._gzip.end()
        end = {"type": "http.response.body", "body": body, "more_body": False}
        try:
            async with asyncio.timeout(0 if farewell.code == STALLED else CLOSE_WITHIN_S):
                await self._send(end)
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
                await self._send(
                    end
                )  # reaches nobody, but returns when the server knows that the connection is lost


class EventsResponse(Response):
    """Serve an :class:`EventStream`. ``gone`` is called once it is over, even if it failed."""

    def __init__(self, stream: EventStream, gone: Callable[[], None]) -> None:
        super().__init__()
        self._stream = stream
        self._over = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream; of a HEAD request only the headers."""
        fields = self._stream.headers
        headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            scope["headers"].clear()  # up to 32 KiB, not needed any more
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._stream.run(receive, send, scope.get("extensions", {}).get(TRANSPORT))
        finally:
            self._over()


def is_event_source(accept: str) -> bool:
    """Return whether an ``Accept`` header is that of an EventSource.

    It names events, and no type that an error's JSON could be.
    """
    ranges = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/event-stream" in ranges and ranges.isdisjoint(
        ("application/json", "application/*", "*/*")
    )


def come_back_later(why: str, retry_after_s: float) -> Response:
    """Return a stream that ends at once.

    A comment in it says ``why``. ``retry`` says when to come back, at random for each client:
    between ``retry_after_s`` and twice that.
    """
    retry = round(random.uniform(retry_after_s, 2 * retry_after_s) * 1000)  # noqa: S311
    text = f": {' '.join(why.split())}\nretry: {retry}\n\n"
    return Response(text, headers={**_HEADERS, "Content-Type": _CONTENT_TYPE})


def _event(message: Message, at: Position | None = None) -> tuple[bytes, bytes, bytes]:
    """Return the event in three parts; the middle one is the same for all clients."""
    payload = message.encode() if isinstance(message, str) else message
    return b"data: " if at is None else f"id: {at}\ndata: ".encode(), payload, b"\n\n"


def _position(last_event_id: str | None) -> Position | None:
    """Return the position that an event's id stands for; None for anything else.

    Without a position a snapshot is sent.
    """
    epoch, _, seq = (last_event_id or "").rpartition("/")
    if not is_epoch(epoch) or len(seq) > _LONGEST_DIGITS or not (seq.isascii() and seq.isdecimal()):
        return None
    return Position(epoch, int(seq))


def _retry(reason: str) -> int | None:
    """Return random milliseconds from the range in the reason; None if the reason has none."""
    try:
        low, high = from_json(reason)["retry_in"]
        return round(random.uniform(low, high) * 1000)  # noqa: S311
    except (Malformed, KeyError, TypeError, ValueError):
        return None
