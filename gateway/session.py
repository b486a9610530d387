"""One client's conversation on the stream, from ``hello`` to the close code.

Three tasks, owned by :meth:`Session.run`: one reads and answers, one sends what the hub has for this client whenever
the socket can take it (most changes the hub writes itself, while nothing else is being sent), one keeps the time.
Nothing is queued for the client: answers wait for the socket before the next message is read, and what changes
meanwhile merges. Whichever task ends the conversation does so by raising Farewell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.errors import NoState
from gateway.frames import PROTOCOL, Encoding, ErrorFrame, Frame, Hello, Message, Pong, encode, size
from gateway.messages import Allowance, BadMessage, Ping, Rights, Subscribe, Watch, parse
from gateway.pbxview import PbxView
from gateway.places import Place
from gateway.visibility import Visibility
from gateway.wsprotocol import EXTENSION, MESSAGE_SIZE, Socket
from monitor.model.instants import from_unix

_CLOSE_WITHIN = 2.0
"""Seconds that a close frame may take to get out, before the connection is dropped."""
_log = structlog.get_logger(__name__)


class Farewell(Exception):
    """The conversation ends with this close code and reason (at most 123 bytes)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Manners:
    """What is expected of a client. Times in seconds, sizes in bytes."""

    server: str = "callmon"
    message_size: int = MESSAGE_SIZE
    messages_at_once: int = 30
    messages_per_second: float = 10.0
    bad_messages: int = 3
    """So many are answered with an error; the next one ends the conversation."""
    stall: float = 60.0
    """For so long a client may take nothing of what is sent."""
    silence: float = 30.0
    """Within this time a client must subscribe."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Whom the session serves. ``expires``: POSIX seconds; ``oldest``: the greatest age in seconds."""

    key_name: str
    visibility: Visibility
    topics: tuple[str, ...]
    expires: float | None
    oldest: float
    scopes: frozenset[str] = frozenset()

    @property
    def rights(self) -> Rights:
        """What it may subscribe to."""
        return Rights(self.topics, self.scopes)


class Session:
    """An accepted connection. ``clock``: POSIX seconds."""

    def __init__(
        self,
        websocket: WebSocket,
        pbx: PbxView,
        guest: Guest,
        encoding: Encoding,
        manners: Manners,
        clock: Callable[[], float],
    ) -> None:
        self.guest = guest
        self._websocket = websocket
        self._pbx = pbx
        self._encoding: Encoding = encoding
        self._manners = manners
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Farewell] = self._loop.create_future()
        self._woken = asyncio.Event()
        self._sending = asyncio.Lock()
        self._begun = self._loop.time()
        self._blocked_since: float | None = None
        self._pending = 0
        self._allowance = Allowance(manners.messages_at_once, manners.messages_per_second, self._begun)
        self._bad_messages = 0
        found = websocket.scope.get("extensions", {}).get(EXTENSION)
        self._socket = found if isinstance(found, Socket) else None
        line = self._socket if guest.expires is None else None  # what a key that expires may get is looked at each time
        self._place = Place(pbx, guest.visibility, encoding, self._woken.set, line)

    @property
    def pbx(self) -> str:
        """The name of the PBX that is watched."""
        return self._pbx.name

    def end(self, code: int, reason: str) -> None:
        """Ask for the end of the conversation; only the first time counts."""
        if not self._end.done():
            self._end.set_result(Farewell(code, reason))
            self._hold()

    async def run(self, first: Subscribe | Watch | None = None) -> None:
        """Converse until the client goes or is sent away. ``first``: a subscription that stood in the address."""
        try:
            farewell = await self._converse(first)
        finally:
            self._place.leave()
        if farewell is not None:
            _log.info("stream closed", pbx=self._pbx.name, key=self.guest.key_name, code=farewell.code)
            await self._say_farewell(farewell)

    async def _converse(self, first: Subscribe | Watch | None) -> Farewell | None:
        farewells: list[Farewell] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(first))
                tasks.create_task(self._write())
                tasks.create_task(self._keep_time())
        except* Farewell as ends:
            farewells.extend(end for end in ends.exceptions if isinstance(end, Farewell))
        except* WebSocketDisconnect:
            pass
        except* Exception:
            _log.exception("stream failed", pbx=self._pbx.name, key=self.guest.key_name)
            farewells.append(Farewell(1011, "internal error"))
        return farewells[0] if farewells else None

    # Reading

    async def _read(self, first: Subscribe | Watch | None) -> None:
        hello = Hello(
            PROTOCOL, self._manners.server, self._pbx.name, self._heartbeat, self._server_time(), self.guest.topics
        )
        await self._answer(hello)
        if first is not None:
            self._enter(first)
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1006))
            data = event.get("text")
            await self._heed(data if data is not None else event.get("bytes") or b"")

    async def _heed(self, data: str | bytes) -> None:
        if size(data) > self._manners.message_size:
            raise Farewell(4013, "message too large")
        if not self._allowance.take(self._loop.time()):
            raise Farewell(4101, "too many messages")
        try:
            match parse(data, self.guest.rights):
                case Subscribe() | Watch() as wanted:
                    self._enter(wanted)
                case Ping(at):
                    await self._answer(Pong(at, self._server_time()))
        except BadMessage as error:
            self._bad_messages += 1
            if self._bad_messages > self._manners.bad_messages:
                raise Farewell(4000, "bad message") from error
            await self._answer(ErrorFrame(error.code, str(error)))

    def _enter(self, wanted: Subscribe | Watch) -> None:
        try:
            self._place.enter(wanted)
        except NoState as error:
            raise Farewell(4103, "no state yet") from error

    # Sending

    async def _write(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while await self._send_next():
                pass

    async def _send_next(self) -> bool:
        """Once the socket can take it, send what is newest then. Whether there was anything."""
        async with self._turn():
            await self._room()
            messages = self._place.take()
            for message in messages:
                await self._send(message)
        return bool(messages)

    async def _answer(self, frame: Frame) -> None:
        async with self._turn():
            await self._send(encode(frame, self._encoding))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Ours alone to send in: neither another task of ours does, nor the hub."""
        async with self._sending:
            self._hold()
            try:
                yield
            finally:
                if self._socket is not None:
                    self._socket.holds -= 1

    def _hold(self) -> None:
        if self._socket is not None:
            self._socket.holds += 1

    async def _send(self, message: Message) -> None:
        await self._room()
        if self._end.done():  # nothing more, whatever waited for room meanwhile
            raise self._end.result()
        if self.guest.expires is not None and self._clock() >= self.guest.expires:
            raise Farewell(4001, "key expired")
        with self._blocking():
            try:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
            except RuntimeError as error:  # the server has closed it already, after a breach of the protocol
                raise WebSocketDisconnect(1006) from error

    async def _room(self) -> None:
        if self._socket is not None and not self._socket.free:
            with self._blocking():
                await self._socket.writable()

    @contextmanager
    def _blocking(self) -> Iterator[None]:
        self._pending = self._socket.pending if self._socket is not None else 0
        self._blocked_since = self._loop.time()
        try:
            yield
        finally:
            self._blocked_since = None

    # Time

    async def _keep_time(self) -> None:
        """End it when it was asked for, or when the key, the connection or the client's patience has run out."""
        while True:
            await asyncio.wait({self._end}, timeout=self._next_look())
            if self._end.done():
                raise self._end.result()
            try:
                self._look(self._loop.time())
            except Farewell as farewell:
                self.end(farewell.code, farewell.reason)
                raise

    def _next_look(self) -> float:
        until_old = self._begun + self.guest.oldest - self._loop.time()
        until_expiry = until_old if self.guest.expires is None else self.guest.expires - self._clock()
        return max(0.0, min(self._manners.stall / 4, self._manners.silence / 4, until_old, until_expiry))

    def _look(self, now: float) -> None:
        if self.guest.expires is not None and self._clock() >= self.guest.expires:
            raise Farewell(4001, "key expired")
        if now - self._begun >= self.guest.oldest:
            raise Farewell(4200, farewell_reason((0, 10)))
        if not self._place.taken and now - self._begun >= self._manners.silence:
            raise Farewell(4203, "no subscription came")
        if self._stalled(now):
            raise Farewell(4202, "nothing could be sent")

    def _stalled(self, now: float) -> bool:
        if self._blocked_since is None:
            return False
        pending = self._socket.pending if self._socket is not None else 0
        if pending < self._pending:  # it is slow, but it takes
            self._blocked_since, self._pending = now, pending
        return now - self._blocked_since >= self._manners.stall

    async def _say_farewell(self, farewell: Farewell) -> None:
        """Close; drop the connection if the close frame does not get out."""
        try:
            async with asyncio.timeout(0 if farewell.code == 4202 else _CLOSE_WITHIN):
                await self._websocket.close(farewell.code, farewell.reason)
        except TimeoutError:
            if self._socket is not None:
                self._socket.abort()
        except (WebSocketDisconnect, RuntimeError):
            return  # the client was faster

    @property
    def _heartbeat(self) -> float:
        return self._pbx.hub.heartbeat

    def _server_time(self) -> str:
        return from_unix(self._clock())


def farewell_reason(retry_in: tuple[float, float]) -> str:
    """The reason that asks a client to come back after a random time in this range of seconds."""
    return f'{{"retry_in":[{retry_in[0]:g},{retry_in[1]:g}]}}'
