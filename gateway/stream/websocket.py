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
    Unsubscribed,
    encode,
    size,
)
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import BadMessage, Ping, Subscribe, Unsubscribe, Watch, parse
from gateway.stream.connection import (
    CLOSE_WITHIN_S,
    GONE,
    STALLED,
    CloseConnection,
    ConnectionLimits,
    StreamConnection,
    StreamPrincipal,
)
from gateway.stream.subscription import ClientSubscription, SubscriptionSet
from gateway.token_bucket import TokenBucket
from gateway.transport.subscription_id import IdHead, SubscriptionId
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
        line = _line(self._socket, principal)
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
            message = parse(data, self.principal.rights)
        except BadMessage as error:
            await self._refuse(error, error.id)
            return
        if isinstance(message, Ping):
            await self._answer(Pong(message.at, self._server_time()))
            return
        try:
            if isinstance(message, Unsubscribe):
                await self._unsubscribe(message.id)
            else:
                await self._subscribe(message)
        except (BadMessage, HoldsTooMuch) as error:
            await self._refuse(error, message.id)

    async def _refuse(self, error: BadMessage | HoldsTooMuch, id_: SubscriptionId | None) -> None:
        """Say what is wrong with the message. Raises CloseConnection after too many of them."""
        self._bad_messages += 1
        if self._bad_messages > self._limits.bad_messages:
            raise CloseConnection(4000, "bad message") from error
        code = error.code if isinstance(error, BadMessage) else shown(error).code
        head = None if id_ is None else IdHead(id_)
        await self._answer(ErrorFrame(code, str(error)), head)

    async def _unsubscribe(self, id_: SubscriptionId | None) -> None:
        head = self._subscriptions().leave(id_)
        if not self._place.taken:
            self._vacant_since = self._loop.time()
        await self._answer(Unsubscribed(), head)

    def _subscriptions(self) -> SubscriptionSet:
        """Return all subscriptions of this connection, ready to take some with an id."""
        place = self._place
        if isinstance(place, ClientSubscription):
            principal = self.principal
            self._place = place = SubscriptionSet(
                place,
                self._pbx,
                principal.visibility,
                self._encoding,
                self._wake,
                _line(self._socket, principal),
                principal.share,
                principal.pbxs,
            )
        return place

    async def _subscribe(self, wanted: Subscribe | Watch) -> None:
        """Enter the subscription, and count it as a read of the key.

        The first subscription is not counted again: it was counted with the connection.
        """
        if wanted.id is not None:
            self._subscriptions().check(wanted)
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
            head = self._place.head
            if isinstance(messages, TakenSnapshot):
                await self._send_snapshot(messages, head)
                return True
            for message in messages:
                await self._send(message, head)
        return bool(messages)

    async def _send_snapshot(self, snapshot: TakenSnapshot, head: IdHead | None) -> None:
        """Send the parts as they are for all clients, one whenever everything before is gone."""
        parts, text = snapshot.payloads(), snapshot.parts.text
        while True:
            await self._room()
            part = await self._next_part(parts)
            if part is None:
                return
            if self._socket is None:
                await self._send(part.decode() if text else part, head)
            else:
                await self._write_part(self._socket, part, text=text, head=head)

    async def _write_part(
        self, socket: Socket, part: bytes, *, text: bool, head: IdHead | None
    ) -> None:
        """Write bytes that other clients get too; they are compressed once for all of them."""
        await self._room()
        self._check()
        if not socket.write(part, text=text, head=head):
            raise WebSocketDisconnect(GONE)

    async def _answer(self, frame: Frame, head: IdHead | None = None) -> None:
        async with self._send_lock():
            await self._send(encode(frame, self._encoding), head)

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

    async def _send(self, message: Message, head: IdHead | None = None) -> None:
        if head is not None:
            if self._socket is not None:
                text = isinstance(message, str)
                part = message.encode() if isinstance(message, str) else message
                await self._write_part(self._socket, part, text=text, head=head)
                return
            message = head.whole(message)
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


def _line(socket: Socket | None, principal: StreamPrincipal) -> Socket | None:
    """Return the connection if the hub may write to it itself.

    If the key expires, it is checked before each send.
    """
    return socket if principal.expires is None else None
