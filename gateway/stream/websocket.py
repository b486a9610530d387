"""Serve one client over a WebSocket, from ``hello`` to the close code.

Answers wait for the socket before the next message is read. So nothing piles up on our side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.errors import HoldsTooMuch, TooManyRequests, shown
from gateway.fanout.frames import (
    Encoding,
    ErrorFrame,
    Frame,
    Message,
    Pong,
    TakenSnapshot,
    encode,
    size,
)
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import BadMessage, Ping, Subscribe, Watch, parse
from gateway.stream.connection import (
    CLOSE_WITHIN_S,
    GONE,
    STALLED,
    CloseConnection,
    ConnectionLimits,
    StreamConnection,
    StreamPrincipal,
)
from gateway.token_bucket import TokenBucket
from gateway.transport.websocket_protocol import EXTENSION, FLOODED, Socket


class WebSocketSession(StreamConnection):
    """Serve an accepted WebSocket connection. ``clock``: POSIX seconds."""

    __slots__ = (
        "_allowance",
        "_bad_messages",
        "_encoding",
        "_sending",
        "_socket",
        "_subscribed",
        "_websocket",
    )

    def __init__(
        self,
        websocket: WebSocket,
        pbx: PbxContext,
        principal: StreamPrincipal,
        encoding: Encoding,
        limits: ConnectionLimits,
        clock: Callable[[], float],
    ) -> None:
        found = websocket.scope.get("extensions", {}).get(EXTENSION)
        self._socket = found if isinstance(found, Socket) else None
        line = (
            self._socket if principal.expires is None else None
        )  # a key that expires is checked before each send
        super().__init__(pbx, principal, encoding, limits, clock, line)
        self._websocket = websocket
        self._encoding: Encoding = encoding
        self._sending = asyncio.Lock()
        self._allowance = TokenBucket(limits.message_burst, limits.messages_per_second, self._begun)
        self._bad_messages = 0
        self._subscribed = False

    async def run(self, first: Subscribe | Watch | None = None) -> None:
        """Serve the client until it goes or is sent away.

        ``first``: a subscription that stood in the address.
        """
        farewell = await self._run(self._read(first))
        if farewell is not None and farewell.code != GONE:
            self._log_end("websocket", farewell.code)
            await self._say_farewell(farewell)

    # Reading

    async def _read(self, first: Subscribe | Watch | None) -> None:
        await self._answer(self._hello())
        if first is not None:
            self._subscribed = True
            try:
                await self._enter(first)
            except HoldsTooMuch as error:
                raise CloseConnection(shown(error).close, "too much is held") from error
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                if event.get("code") == FLOODED:
                    raise CloseConnection(
                        FLOODED, event["reason"]
                    )  # the close frame was sent; this counts it
                return
            data = event.get("text")
            await self._handle_message(data if data is not None else event.get("bytes") or b"")

    async def _handle_message(self, data: str | bytes) -> None:
        if size(data) > self._limits.message_size:
            raise CloseConnection(4013, "message too large")
        now, share = self._loop.time(), self.principal.share
        if not (self._allowance.take(now) and (share is None or share.allowance.take(now))):
            raise CloseConnection(4101, "too many messages")
        try:
            match parse(data, self.principal.rights):
                case Subscribe() | Watch() as wanted:
                    await self._subscribe(wanted)
                case Ping(at):
                    await self._answer(Pong(at, self._server_time()))
        except (BadMessage, HoldsTooMuch) as error:
            self._bad_messages += 1
            if self._bad_messages > self._limits.bad_messages:
                raise CloseConnection(4000, "bad message") from error
            code = error.code if isinstance(error, BadMessage) else shown(error).code
            await self._answer(ErrorFrame(code, str(error)))

    async def _subscribe(self, wanted: Subscribe | Watch) -> None:
        """Enter the subscription, and count it as a read of the key.

        The first subscription is not counted again: it was counted with the connection.
        """
        if self._subscribed and self.principal.count is not None:
            try:
                await self.principal.count()
            except TooManyRequests as error:
                raise CloseConnection(
                    shown(error).close, "the key's budget of reads is spent"
                ) from error
        self._subscribed = True
        await self._enter(wanted)

    # Sending

    async def _send_next(self) -> bool:
        async with self._send_lock():
            await self._room()
            messages = await self._next_messages()
            if isinstance(messages, TakenSnapshot):
                await self._send_snapshot(messages)
                return True
            for message in messages:
                await self._send(message)
        return bool(messages)

    async def _send_snapshot(self, snapshot: TakenSnapshot) -> None:
        """Send the parts as they are for all clients, one whenever everything before is gone."""
        parts, text = snapshot.payloads(), snapshot.parts.text
        while True:
            await self._room()
            part = await self._next_part(parts)
            if part is None:
                return
            if self._socket is None:
                await self._send(part.decode() if text else part)
                continue
            await self._room()
            self._check()
            if not self._socket.write(part, text=text):
                raise WebSocketDisconnect(GONE)

    async def _answer(self, frame: Frame) -> None:
        async with self._send_lock():
            await self._send(encode(frame, self._encoding))

    @asynccontextmanager
    async def _send_lock(self) -> AsyncIterator[None]:
        """Hold the send lock: no other task of this session, and not the hub, writes meanwhile."""
        async with self._sending:
            self._hold_direct_writes()
            try:
                yield
            finally:
                if self._socket is not None:
                    self._socket.holds -= 1

    def _hold_direct_writes(self) -> None:
        if self._socket is not None:
            self._socket.holds += 1

    def _waiting(self) -> int:
        return self._socket.pending if self._socket is not None else 0

    async def _send(self, message: Message) -> None:
        await self._room()
        self._check()  # the key may have expired while this waited for room
        websocket = self._websocket
        sending = (
            websocket.send_text(message)
            if isinstance(message, str)
            else websocket.send_bytes(message)
        )
        try:
            await self._await_send(sending)
        except RuntimeError as error:  # the server closed it already, after a protocol error
            raise WebSocketDisconnect(GONE) from error

    async def _room(self) -> None:
        if self._socket is not None and not self._socket.free:
            await self._await_send(self._socket.writable())

    async def _say_farewell(self, farewell: CloseConnection) -> None:
        """Close the WebSocket; drop the connection if the close frame does not get out."""
        try:
            async with asyncio.timeout(0 if farewell.code == STALLED else CLOSE_WITHIN_S):
                await self._websocket.close(farewell.code, farewell.reason)
        except TimeoutError:
            if self._socket is not None:
                self._socket.abort()
        except (WebSocketDisconnect, RuntimeError):
            return  # the client closed first
