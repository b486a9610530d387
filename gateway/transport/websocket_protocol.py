"""Extend uvicorn's WebSocket protocol by what the stream needs of a socket.

The stream finds it in the ASGI extension ``callmon.socket``.

- A WebSocket frame from a server is the same bytes for every client. So the hub makes it once
  and writes it to each connection. The same holds for its compressed form, which those clients get
  that agreed on compression.
- A connection is "full" as soon as anything stands in the transport's buffer, and the kernel's
  send buffer is small. Else a slow client would read frames that are minutes old and take them
  for live ones.
- A connection that takes nothing can be aborted. Closing would wait for its buffer to drain, for
  ever.
- Failures for which the stream has codes are closed with those codes.
- Addresses are not logged, as keys stand in them.
- What clients send is read for a few milliseconds, then everything else has its turn: the frames
  that each of them may send at once would take seconds if thousands did so together.
- What a client sends is counted frame by frame as it is parsed. Pings, empty frames and parts of
  messages count too: they are not messages, but each costs as much as one. A client that sends
  too many is closed, and nothing more is read.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from asyncio import BaseTransport, Event, Future, Queue, TimerHandle, Transport, get_running_loop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.token_bucket import TokenBucket
from gateway.transport.compression import MESSAGES
from gateway.transport.held_bytes import HeldBytes
from gateway.transport.permessage_deflate import SharedDeflate, SharedDeflateFactory
from gateway.transport.read_turns import ReadTurns
from gateway.transport.subscription_id import REPLACED, IdHead

EXTENSION = "callmon.socket"
SEND_BUFFER_BYTES = 64 * 1024
LARGEST_PUSHED_BYTES: Final = 16 * 1024
"""Bytes of the largest frame that is written past the server; its session sends a larger one."""
MESSAGE_SIZE_BYTES = 64 * 1024
"""Bytes of the largest message that a client may send."""

FLOODED: Final = 4101
"""Close code of a client that sends too much."""
FRAMES_A_MESSAGE: Final = 10
"""Frames that are allowed for each message that is allowed: parts of it, pings and pongs."""
BYTES_A_MESSAGE: Final = MESSAGE_SIZE_BYTES // 10
"""Bytes that are allowed for each message. But four of the largest messages may come at once,
and one a second."""
_FRAME_HEAD_BYTES = 8
"""Bytes of a frame beside its data, about."""
_MESSAGE_BYTES: Final = 350
"""Bytes of the objects of a message that was not read yet, about, beside its data."""
_MOST_PARTS: Final = 16
"""Parts of a message that are kept apart from each other."""
_FAREWELL_S = 2.0
"""Seconds in which a client that sent too much may read the close frame."""
_LINGER_S = 15.0
"""Seconds after a connection's end, of either side, in which the client must have taken what was
still to be sent."""
_NO_HANDSHAKE: Final = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 63\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"This is no WebSocket handshake: it has a body, or is malformed."
)
"""The answer to what the WebSocket library can make nothing of, and does not answer itself."""
_EXTENSIONS: Final = (SharedDeflateFactory(),)
"""Extensions that a connection may agree on; all connections share them."""
_TEXT, _BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_COMPRESSED: Final = 0x40
"""RSV1, the bit of a frame that begins a compressed message (RFC 7692, 6)."""

_TOO_MUCH = "too many frames"


def of_fault(record: logging.LogRecord) -> bool:
    """Return whether a record tells more than that a client went while it was written to.

    uvloop raises a bare RuntimeError then, and uvicorn logs a trace for each such client.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "the handler is closed" in str(error))


_logger = logging.getLogger("gateway.websocket")
_logger.setLevel(logging.WARNING)
_logger.addFilter(of_fault)


class ReadyFrame:
    """Hold a message as one WebSocket frame of a server (RFC 6455, 5.2), for all who get it.

    It is text or binary, and not masked. It is compressed when the first client wants that.
    """

    __slots__ = ("_compressed", "_named", "_opcode", "_payload", "plain", "size")

    def __init__(self, message: str | bytes) -> None:
        self._opcode, self._payload = (
            (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)
        )
        self.size = len(self._payload)
        """Bytes of the message."""
        self.plain = _head(self._opcode, self.size) + self._payload
        """The frame for clients without compression."""
        self._compressed: bytes | None = None
        self._named: NamedFrame | None = None

    def named(self, head: IdHead) -> NamedFrame:
        """Return the frame for a subscription with this id.

        The last one is kept, as many clients use the same id.
        """
        if self._named is None or self._named.head.id != head.id:
            self._named = NamedFrame(head, self._opcode, self._payload)
        return self._named

    def compressed(self) -> bytes:
        """Return the frame for clients with compression; it is plain if that is not worth it."""
        if self._compressed is None:
            packed = MESSAGES.of(self._payload)
            self._compressed = (
                self.plain
                if packed is None
                else _head(self._opcode | _COMPRESSED, len(packed)) + packed
            )
        return self._compressed


class NamedFrame:
    """Hold a message with a subscription's id as one WebSocket frame."""

    __slots__ = ("_compressed", "_opcode", "_payload", "_start", "head", "plain", "size")

    def __init__(self, head: IdHead, opcode: int, payload: bytes) -> None:
        self.head = head
        self._opcode, self._payload = opcode, payload
        self._start = head.before(payload, text=opcode == _TEXT)
        self.size = len(self._start) + len(payload) - REPLACED
        self.plain = _head(opcode, self.size) + self._start + payload[REPLACED:]
        self._compressed: bytes | None = None

    def compressed(self) -> bytes:
        """Return the frame for clients with compression; it is plain if that is not worth it."""
        if self._compressed is None:
            packed = MESSAGES.behind(self._start, self._payload, REPLACED)
            self._compressed = (
                self.plain
                if packed is None
                else _head(self._opcode | _COMPRESSED, len(packed)) + packed
            )
        return self._compressed


class Socket:
    """Write to a WebSocket connection past the server, and tell what waits in it.

    ``window``: bytes of the largest message that is sent compressed; 0: none is.
    """

    __slots__ = ("_fd", "_transport", "_window", "_writable", "holds", "open")

    def __init__(self, transport: Transport, writable: Event, window: int = 0) -> None:
        self._transport = transport
        self._window = window
        self._writable = writable
        self.holds = 0
        """Number of reasons for which the application holds ready-made frames back."""
        self.open = False
        """True while the server has no reason to hold frames back.

        The handshake is over, no close frame came or went, and nothing waits to be sent."""
        sock = transport.get_extra_info("socket")
        plain = sock is not None and transport.get_extra_info("ssl_object") is None
        self._fd: int | None = sock.fileno() if plain else None

    @property
    def ready(self) -> bool:
        """Return whether a ready-made frame can be written now."""
        return self.open and not self.holds

    @property
    def free(self) -> bool:
        """Return whether everything that was sent has gone to the kernel."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Wait until everything that was sent has gone to the kernel, or the connection is lost."""
        await self._writable.wait()

    @property
    def pending(self) -> int:
        """Return the bytes that the kernel has not taken yet."""
        return waiting_in(self._transport)

    def push(self, frame: ReadyFrame | NamedFrame) -> bool:
        """Write a ready-made frame unless something prevents it. Return whether it was written.

        It goes to the kernel directly, as the transport has nothing waiting then. The transport
        gets what the kernel does not take. Nobody counts that, so a large frame is not written.
        """
        if self.holds or not self.open:
            return False
        data = frame.plain if frame.size > self._window else frame.compressed()
        if len(data) > LARGEST_PUSHED_BYTES:
            return False
        if self._fd is None:
            self._transport.write(data)
            return True
        try:
            sent = os.write(self._fd, data)
        except OSError:  # the socket is full or lost: the transport finds out which
            sent = 0
        if sent < len(data):
            self._transport.write(data[sent:])
        return True

    def write(self, payload: bytes, *, text: bool, head: IdHead | None = None) -> bool:
        """Write one message for the caller, who holds ready-made frames back.

        It is compressed, once for all clients, if this one takes that. The transport keeps the same
        bytes until the kernel has taken them; they are not copied.
        Returns whether it was written: False if the connection is full or at its end.
        ``head``: of the subscription with an id whose message it is.
        """
        if not self.open:
            return False
        opcode = _TEXT if text else _BINARY
        if head is not None:
            return self._write_named(payload, opcode, head)
        packed = MESSAGES.of(payload) if len(payload) <= self._window else None
        if packed is not None:
            opcode, payload = opcode | _COMPRESSED, packed
        self._transport.writelines((_head(opcode, len(payload)), payload))
        return True

    def _write_named(self, payload: bytes, opcode: int, head: IdHead) -> bool:
        start = head.before(payload, text=opcode == _TEXT)
        size = len(start) + len(payload) - REPLACED
        packed = MESSAGES.behind(start, payload, REPLACED) if size <= self._window else None
        if packed is not None:
            data: tuple[bytes | memoryview, ...] = (packed,)
            opcode, size = opcode | _COMPRESSED, len(packed)
        else:
            data = (start, memoryview(payload)[REPLACED:])
        self._transport.writelines((_head(opcode, size), *data))
        return True

    def abort(self) -> None:
        """Drop the connection, even if data is still to be sent."""
        self.open = False
        self._transport.abort()


def keep_buffers_small(transport: Transport) -> None:
    """Make the transport count as full as soon as anything waits in it.

    The kernel's send buffer is made small too: SEND_BUFFER_BYTES bytes.
    """
    # uvloop's TLS transport pauses at high, not above it: with high=0 it would always be paused.
    encrypted = transport.get_extra_info("ssl_object") is not None
    transport.set_write_buffer_limits(high=int(encrypted), low=0)
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def waiting_in(transport: Transport) -> int:
    """Return the bytes that the kernel has not taken yet; 0 once the transport closes.

    A closed TLS transport of asyncio raises when it is asked.
    """
    return 0 if transport.is_closing() else transport.get_write_buffer_size()


def _forget_traces(error: BaseException | None) -> None:
    """Forget where an error happened: its connection keeps it, and the traces refer back to that.

    Such a cycle would keep all that was read, for as long as the garbage collector does not come.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _head(opcode: int, size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", opcode, size)
    if size < 65_536:
        return struct.pack("!BBH", opcode, 126, size)
    return struct.pack("!BBQ", opcode, 127, size)


class StreamProtocol(WebSocketsSansIOProtocol):
    """Speak WebSocket for the stream, as ``uvicorn.Config(ws=StreamProtocol)``.

    See :func:`uvicorn_options`. ``message_burst`` and ``messages_per_second``: what the
    client may say, as its session counts it. ``unread`` and ``untaken``: count what all
    connections hold of messages that their sessions have not read, and of frames that their
    clients have not taken; None: nothing is counted. ``compression``: whether clients may agree
    on it. ``turns``: the turns in which all connections are read; None: each is read at once.
    """

    # uvicorn's own attributes too: a slot takes 8 bytes, an entry of __dict__ 24. What is not named
    # here, of a later uvicorn, goes to __dict__.
    __slots__ = (
        *("_connection", "_ending", "_lingering", "_pong", "_socket", "_turns", "_unread"),
        *("_untaken", "_waiting_bytes"),
        *("app", "app_state", "asgi_version", "client", "close_sent", "close_timeout"),
        *("close_timer", "config", "conn", "connections", "curr_msg_data_type", "default_headers"),
        *("disconnected", "frames", "handshake_complete", "handshake_initiated"),
        *("initial_response", "last_ping_rtt", "leave", "logger", "loop", "pending_ping_payload"),
        *("ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue"),
        *("read_paused", "request", "response", "root_path", "scheme", "scope", "server", "tasks"),
        *("transport", "writable"),
    )

    def __init__(
        self,
        *args: Any,
        message_burst: int = 30,
        messages_per_second: float = 10.0,
        unread: HeldBytes | None = None,
        untaken: HeldBytes | None = None,
        compression: bool = True,
        turns: ReadTurns | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._waiting_bytes = 0
        self._unread = unread
        self._untaken = untaken
        self.logger = _logger
        self.conn.parser.close()  # it refers to its connection: a cycle
        self._connection = _Connection(
            self.loop.time,
            message_burst,
            messages_per_second,
            extensions=_EXTENSIONS if compression else None,
            max_size=self.config.ws_max_size,
            logger=_logger,
        )
        self.conn = self._connection
        self.queue = cast(Queue[ASGIReceiveEvent], _Inbox())
        self.writable = _Writable()
        self.writable.set()
        self._socket: Socket | None = None
        self._ending = False
        self._lingering: TimerHandle | None = None
        self._pong = b""
        self.leave: Callable[[], None] | None = None
        """Called when the connection is lost."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Do as uvicorn does, with small buffers."""
        super().connection_made(transport)
        keep_buffers_small(self.transport)

    def data_received(self, data: bytes) -> None:
        """Read the data in turn with that of all other clients. No more comes until then."""
        if self._turns is None or not self.handshake_initiated:
            self._read(data)
            return
        self._waiting_bytes += len(data)
        if not self._turns.begin(partial(self._read_in_turn, data)):
            self.transport.pause_reading()
            self._hold_unread()

    def _read_in_turn(self, data: bytes) -> None:
        self._waiting_bytes -= len(data)
        if self.disconnected or self.transport.is_closing():
            return
        try:
            self._read(data)
        except BaseException:
            self.transport.abort()  # as an event loop does; else it stays paused
            raise
        paused = self.read_paused or self._connection.flooded or self._waiting_bytes
        if not paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _read(self, data: bytes) -> None:
        """Do as uvicorn does, but answer a handshake that cannot be read.

        Proxies take a gateway that closes without an answer for one that is down.
        """
        super().data_received(data)
        if self.unreadable:
            self.transport.write(b"".join(self.conn.data_to_send()) or _NO_HANDSHAKE)
        self._hold_unread()

    @property
    def unreadable(self) -> bool:
        """Return whether the handshake could not be read. Whoever handed it over closes then."""
        return self.conn.handshake_exc is not None and not self.handshake_initiated

    async def receive(self) -> ASGIReceiveEvent:
        """Do as uvicorn does, and count what is left.

        Every coroutine that waits takes 200 bytes of each connection, so here is only one.
        """
        inbox = cast(_Inbox, self.queue)
        while inbox.empty():
            await inbox.filled()
        event = inbox.get_nowait()
        if self.read_paused and inbox.empty():
            self.read_paused = False
            self.transport.resume_reading()
        self._hold_unread()
        return event

    def _hold_unread(self) -> None:
        """Count the messages that were not read yet, and the parts of one that is not whole."""
        if self._unread is None:
            return
        parts = self._waiting_bytes + len(self.conn.reader.buffer) + sum(map(len, self.frames))
        deflate = self._connection.deflate
        size = parts + cast(_Inbox, self.queue).bytes + (0 if deflate is None else deflate.held)
        if size and not self.disconnected:
            self._unread.hold(self, size, self.transport.abort)
        else:
            self._unread.let_go(self)

    def handle_connect(self, event: Request) -> None:
        """Do as uvicorn does, and put the extension into the scope.

        The application starts after this.
        """
        super().handle_connect(event)
        if not hasattr(self, "scope"):  # the request was not a handshake
            self._forget_failure()
        else:
            deflate = self._connection.deflate
            self._socket = Socket(
                self.transport, self.writable, 0 if deflate is None else deflate.window
            )
            extensions = cast(dict[str, object], self.scope["extensions"])
            extensions[EXTENSION] = self._socket

    def _forget_failure(self) -> None:
        """Forget why the request was not a handshake: the traces refer to all that is here."""
        error, self.conn.handshake_exc = self.conn.handshake_exc, None
        _forget_traces(error)
        del self.request

    async def send(self, message: ASGISendEvent) -> None:
        """Do as uvicorn does, but accept a refusal by an HTTP response as an answer.

        uvicorn would log it as a missing handshake.
        """
        if message["type"] == "websocket.close":
            self._end()
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get(
            "more_body", False
        ):
            self.handshake_complete = True
        elif message["type"] == "websocket.accept":
            if not self.handshake_complete:  # the client went meanwhile: no fault
                self.handshake_complete = True
                raise ClientDisconnected
            # Not needed any more, 5 KiB; websockets' parser keeps the request itself.
            self.request.headers.clear()
            del self.request, self.response
            self.scope["headers"] = []
            self.scope["query_string"] = self.scope["raw_path"] = b""
            self._open()

    # Ready-made frames go past the server. The methods below end them or hold them back. A
    # connection that has ended
    # keeps its file descriptor until connection_lost returns. So no frame can reach the next owner
    # of its number.

    def pause_writing(self) -> None:
        """Do as uvicorn does, and hold ready-made frames back."""
        super().pause_writing()
        if self._socket is not None:
            self._socket.open = False
        if self._untaken is not None:
            self._untaken.hold(self, self.transport.get_write_buffer_size(), self.transport.abort)

    def resume_writing(self) -> None:
        """Do as uvicorn does; send the pong that waits, and allow ready-made frames again."""
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.let_go(self)
        if self._pong and not self._ending:
            self.transport.write(self._pong)
        self._pong = b""
        self._open()

    def handle_ping(self) -> None:
        """Do as uvicorn does, but answer only the last ping while anything waits to be sent.

        The answer is sent after that. RFC 6455, 5.5.3, allows it. Else the answers to a client
        that pings and does not read would pile up here.
        """
        if self.writable.is_set() or self.conn.close_sent is not None:
            super().handle_ping()
        elif pongs := self.conn.data_to_send():
            self._pong = pongs[-1]

    def handle_cont(self, event: Frame) -> None:
        """Do as uvicorn does, but do not keep empty parts of a message, nor many small ones.

        No size would limit their objects.
        """
        if event.data or event.fin:
            super().handle_cont(event)
        if len(self.frames) > _MOST_PARTS:
            self.frames = [b"".join(self.frames)]

    def send_receive_event_to_app(self) -> None:
        """Do as uvicorn does, but close without a trace in the log if the text is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Frame) -> None:
        """Do as uvicorn does, and end ready-made frames."""
        self._end()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """Do as uvicorn does, unless the client floods us.

        While a flood comes in, closing would reset the connection before the client reads the
        close frame. So reading stops, and the connection is dropped a little later.
        """
        self._end()
        _forget_traces(self.conn.parser_exc)
        if not self._connection.flooded:
            super().handle_parser_exception()
            return
        self.transport.pause_reading()
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": FLOODED, "reason": _TOO_MUCH}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # Without this timer uvicorn would close as soon as the application ends.
        self.close_timer = self.loop.call_later(_FAREWELL_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Do as uvicorn does, and end ready-made frames."""
        self._end()
        super().keepalive_timeout()

    def shutdown(self) -> None:
        """Do as uvicorn does, and end ready-made frames."""
        self._end()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Do as uvicorn does, stop the timer, and call :attr:`leave`."""
        self._end()
        if self._lingering is not None:
            self._lingering.cancel()
        if self._untaken is not None:
            self._untaken.let_go(self)
        if self.leave is not None:
            self.leave()
            self.leave = None
        super().connection_lost(exc)
        self._hold_unread()
        self.conn.parser.close()

    def _open(self) -> None:
        if self._socket is not None:
            self._socket.open = (
                self.handshake_complete and not self._ending and self.writable.is_set()
            )

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._lingering = self.loop.call_later(_LINGER_S, self.transport.abort)
        if self._socket is not None:
            self._socket.open = False


def uvicorn_options(
    message_burst: int = 30,
    messages_per_second: float = 10.0,
    unread: HeldBytes | None = None,
    untaken: HeldBytes | None = None,
    *,
    compression: bool = True,
) -> dict[str, Any]:
    """Return what to give ``uvicorn.Config`` besides.

    ``message_burst``, ``messages_per_second``: what a connection may say, as its session
    counts it. ``unread`` and ``untaken``: count what all connections hold of messages that are not
    read, and of frames that are not taken. ``compression``: whether clients may agree on it.

    A connection that does not answer pings for a minute is closed.
    """
    return {
        "ws": partial(
            StreamProtocol,
            message_burst=message_burst,
            messages_per_second=messages_per_second,
            unread=unread,
            untaken=untaken,
            compression=compression,
            turns=ReadTurns(),
        ),
        "ws_max_size": MESSAGE_SIZE_BYTES,
        # uvicorn's own would hold up to 316 KiB for each connection, and compress the frames that
        # are the same for all once for each.
        "ws_per_message_deflate": False,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 60.0,
    }


class _Inbox:
    """Do what uvicorn needs of an asyncio.Queue, for a single reader.

    It takes a tenth of the 3 KiB of a Queue.
    """

    __slots__ = ("_getter", "_items", "bytes")

    def __init__(self) -> None:
        self._items: list[ASGIReceiveEvent] = []
        self._getter: Future[None] | None = None
        self.bytes = 0
        """Bytes of the messages in it, about; texts are counted by their characters."""

    def put_nowait(self, item: ASGIReceiveEvent) -> None:
        self._items.append(item)
        self.bytes += _message_bytes(item)
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)

    def empty(self) -> bool:
        return not self._items

    def filled(self) -> Future[None]:
        """Return a future that is done as soon as there is a message; for an empty inbox."""
        self._getter = get_running_loop().create_future()
        return self._getter

    def get_nowait(self) -> ASGIReceiveEvent:
        self._getter = None
        item = self._items.pop(0)
        self.bytes -= _message_bytes(item)
        return item


def _message_bytes(item: ASGIReceiveEvent) -> int:
    if item["type"] != "websocket.receive":
        return 0
    return _MESSAGE_BYTES + len(item.get("text") or item.get("bytes") or "")


class _Writable(Event):
    """Do as an Event does, without 700 bytes for waiters while there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._waiters = cast(deque[Future[Any]], ())

    async def wait(self) -> Literal[True]:
        """Wait until it is set."""
        if not self._waiters and not self.is_set():
            self._waiters = deque()
        return await super().wait()


class _Flood(ProtocolError):
    """Signal that too many frames, or too many bytes, came."""


class _Connection(ServerProtocol):
    __slots__ = ("_bytes", "_clock", "_frames", "flooded")  # not in __dict__, as above

    def __init__(
        self, clock: Callable[[], float], at_once: int, per_second: float, **more: Any
    ) -> None:
        super().__init__(**more)
        self.flooded = False
        self._clock = clock
        now = clock()
        self._frames = TokenBucket(FRAMES_A_MESSAGE * at_once, FRAMES_A_MESSAGE * per_second, now)
        self._bytes = TokenBucket(
            max(4 * MESSAGE_SIZE_BYTES, BYTES_A_MESSAGE * at_once),
            max(MESSAGE_SIZE_BYTES, BYTES_A_MESSAGE * per_second),
            now,
        )

    @property
    def deflate(self) -> SharedDeflate | None:
        """Return the compression that was agreed on; None without it."""
        return next((one for one in self.extensions if isinstance(one, SharedDeflate)), None)

    def recv_frame(self, frame: Frame) -> None:
        now = self._clock()
        size = len(frame.data)
        if (deflate := self.deflate) is not None:
            size = max(size, deflate.received)  # megabytes may inflate to nothing
        if not (self._frames.take(now) and self._bytes.take(now, size + _FRAME_HEAD_BYTES)):
            self.flooded = True
            raise _Flood(_TOO_MUCH)  # stops the parser, which then calls fail()
        super().recv_frame(frame)

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        if self.flooded:
            code, reason = FLOODED, _TOO_MUCH
        elif code == CloseCode.MESSAGE_TOO_BIG:
            code, reason = 4013, "message too large"
        elif code == CloseCode.INTERNAL_ERROR and reason == "keepalive ping timeout":
            code, reason = 4203, "silent"
        super().fail(code, reason)
