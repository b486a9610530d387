"""Limit what an HTTP connection may take of the server's time and memory, in uvicorn's protocol.

Without these limits a client can hold its connection, and what stands behind it, for ever. It
sends a byte now and then, nothing at all, headers without end, or thousands of requests in one
go. Or it reads no answer. Some thousands of such connections shut everybody else out. A proxy in
front has the same limits, but not every gateway has a proxy.

- What is not a request, or too large a one, is refused in the form that all refusals have.
- Of a body no more is kept than the largest that any command takes, even if nobody reads it. A
  body may not come in too many pieces: each piece costs as much time as a small request.
- A request with more parameters or headers than any command needs is refused too. That happens
  before anything looks at them: the time for looking at them may grow with the square of their
  number.
- A request for a host that is not among the allowed ones is refused here, before the fast path, the
  pages and the stream could answer it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import Scope
from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from gateway.errors import BadParameter, BadRequest, HostRefused, Refused, TooLarge
from gateway.parameters import LARGEST_BODY_BYTES, MOST_GIVEN
from gateway.responses import guarded, refuse
from gateway.token_bucket import LogBudget
from gateway.transport.held_bytes import HeldBytes
from gateway.transport.ip_addresses import held_by
from gateway.transport.lingering_close import close_after_reading
from gateway.transport.websocket_protocol import StreamProtocol, of_fault
from monitor.shared.host_names import host_in

TRANSPORT: Final = "callmon.transport"
"""Key of a connection's transport among the extensions in a request's scope: for answers that
take long."""
WITHIN_S: Final = 30.0
"""Seconds until a request's last byte, from the connection's begin or the request's first byte."""
STALL_S: Final = 60.0
"""Seconds for which a client may take nothing of what is sent. This is noticed within twice the
time."""
LARGEST_HEAD_BYTES: Final = 32 * 1024
"""Bytes of a request's address and headers: the most that an unfinished request makes us hold."""
MOST_HEADERS: Final = 100
"""Headers of a request."""
LONGEST_LISTS_BYTES: Final = 1024
"""Bytes of the lists in a WebSocket's handshake: subprotocols, extensions and the like. They are
read item by item, some of them several times."""
LONGEST_ADDRESS_BYTES: Final = 65_535
"""Bytes of an address; the most that httptools can parse."""
MOST_PIPELINED: Final = 100
"""Requests of one connection that wait for the answer to an earlier one. Together their heads
are no larger than one head may be, and their bodies no larger than one body may be."""
MOST_BODY_BYTES: Final = 16 * LARGEST_BODY_BYTES
"""Bytes of a body that are taken, whether they are kept or not; with more the connection ends."""
MOST_PIECES: Final = 4_096
"""Pieces in which a body may come. A client that writes JSON by tokens needs some thousands."""


_MOST_HELD_BYTES: Final = LARGEST_HEAD_BYTES + 2 * LARGEST_BODY_BYTES
"""Bytes of an unfinished request that are kept, at most; the rest of its body is thrown away."""
_HEADER_BYTES: Final = 150
"""Bytes of a header's objects beside its characters, about."""
_REQUEST_BYTES: Final = 3 * 1024
"""Bytes of the objects of a request that waits for the answer to an earlier one, about."""
_SUBPROTOCOLS: Final = b"sec-websocket-protocol"
_LISTS: Final = frozenset((b"connection", b"upgrade", b"sec-websocket-extensions", _SUBPROTOCOLS))
_HOST_REFUSED: Final = (
    "This gateway does not answer for the host that the header Host names. Its setting "
    "allowed_hosts says for which it does; the demo has the option --allowed-host."
)


class RationedWarnings(logging.Filter):
    """Ration warnings: uvicorn writes one for each malformed request of any sender.

    Errors pass, as they are faults of ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ration = LogBudget(time.monotonic())

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written; say in it how many before it were not."""
        if record.levelno != logging.WARNING:
            return True
        left_out = self._ration.take(time.monotonic())
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more were left out)", ()
        return left_out is not None


_logger = logging.getLogger("gateway.http")
_logger.addFilter(of_fault)
_logger.addFilter(RationedWarnings())


class ConnectionCounter:
    """Count the connections, in all and by the address that connects.

    ``most``: connections in all. ``per_address``: connections of one address; 0: any number.
    ``counted``: returns whether an address's own connections are bounded. Those of a proxy are
    not, as many clients are behind it.
    """

    def __init__(self, most: int, per_address: int, counted: Callable[[str], bool]) -> None:
        self._most = most
        self._per_address = per_address
        self._counted = counted
        self._all = 0
        self._by_holder: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._all

    def enter(self, host: str) -> Callable[[], None] | None:
        """Count a connection in. Return what to call once when it is lost.

        Returns None if the connection may not stay.
        """
        holder = held_by(host) if self._per_address and self._counted(host) else None
        if self._all >= self._most or (
            holder is not None and self._by_holder[holder] >= self._per_address
        ):
            return None
        self._all += 1
        if holder is not None:
            self._by_holder[holder] += 1
        return partial(self._leave, holder)

    def _leave(self, holder: str | None) -> None:
        self._all -= 1
        if holder is not None:
            self._by_holder[holder] -= 1
            if not self._by_holder[holder]:
                del self._by_holder[holder]


class HandshakeGate(Protocol):
    """Decide about WebSocket handshakes before they begin."""

    def begin(self, scope: Scope, work: Callable[[], bool]) -> bool:
        """Call ``work`` when the handshake has its turn. Return whether that was at once."""
        ...

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response if the handshake is refused before it begins."""
        ...


class TimeoutHttpProtocol(HttpToolsProtocol):
    """Cut off a client that is late, sends too much, takes nothing, or is one too many.

    ``stall_timeout``: the seconds in place of :data:`STALL_S`. ``connection_counter``: counts
    the connections; None: any number may be open. ``allowed_hosts``: hosts, in small letters, that
    the header ``Host`` may name, with any port; empty: all. ``handshakes``: says when a WebSocket's
    handshake has its turn; None: at once. ``unfinished`` and ``untaken``: count what all
    connections hold of requests that are not whole, and of answers that are not taken; None:
    nothing is counted.

    Requests that come in one piece and answers that go at once cost no timer. Nearly all are
    such.
    """

    _within = WITHIN_S

    def __init__(
        self,
        *args: Any,
        stall_timeout: float = STALL_S,
        connection_counter: ConnectionCounter | None = None,
        allowed_hosts: Collection[str] = (),
        handshakes: HandshakeGate | None = None,
        unfinished: HeldBytes | None = None,
        untaken: HeldBytes | None = None,
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self.logger = _logger
        self._allowed_hosts = allowed_hosts
        self._handshakes = handshakes
        self._upgrading = self._answered_last = False
        self._unfinished = unfinished
        self._untaken_answers = untaken
        self._received_bytes = 0
        """Bytes of the unfinished request, as they came; 0 if none are counted."""
        self._connection_counter = connection_counter
        self._leave: Callable[[], None] | None = None
        self.url = b""
        self._begun = False
        self._deadline: asyncio.TimerHandle | None = None
        self._headed = False
        self._head = 0
        """Bytes of the current headers, after their first piece."""
        self._add_up = False
        """True if the headers may be too large: they did not come in one small piece."""
        self._refusal: tuple[int, Refused] | None = None
        """Status and refusal, if the request is refused here."""
        self._ahead = 0
        """Bytes of the heads of the requests that wait for the answer to an earlier one."""
        self._bodies_ahead = 0
        """Bytes of the bodies of these requests."""
        self._objects_ahead = 0
        """Bytes of the objects that were made for these requests, about."""
        self._running: RequestResponseCycle | None = None
        """The request that is being answered: uvicorn knows only the one that came last."""
        self._body = 0
        """Bytes of the current body."""
        self._pieces = 0
        """Pieces of the current body."""
        self._in_body = False
        """True while data is looked at that came after the current headers."""
        self._around = 0
        """Bytes that came after the current headers and are not the body's, about."""
        self._stall = stall_timeout
        self._watch: asyncio.TimerHandle | None = None
        self._untaken = sys.maxsize

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's signature
        """Do as uvicorn does, then expect a request; drop a connection that is one too many."""
        super().connection_made(transport)
        if self._connection_counter is not None:
            self._leave = self._connection_counter.enter(
                "" if self.client is None else self.client[0]
            )
            if self._leave is None:
                transport.abort()
        self._deadline = self.loop.call_later(self._within, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Do as uvicorn does, and stop the timers."""
        self._done()
        self._watch_no_more()
        self._let_request_go()
        if self._untaken_answers is not None:
            self._untaken_answers.let_go(self)
        if self._leave is not None:
            self._leave()
            self._leave = None
        super().connection_lost(exc)
        running, self._running = self._running, None
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]  # one that never ran refers to this: a cycle

    # Receiving

    def data_received(self, data: bytes) -> None:
        """Do as uvicorn does, but look at much data in parts.

        It may be of a hundred thousand headers.
        """
        if len(data) <= LARGEST_HEAD_BYTES:
            self._received(data)
            return
        for at in range(0, len(data), LARGEST_HEAD_BYTES):
            if self._closes or self._upgrading:
                return
            self._received(data[at : at + LARGEST_HEAD_BYTES])

    def _received(self, data: bytes) -> None:
        goes_on = self._begun and not self._headed
        self._in_body = self._begun and self._headed
        self._add_up = goes_on or len(data) >= LARGEST_HEAD_BYTES
        super().data_received(data)
        if not self._begun:
            if self._deadline is not None:
                self._done()
            if self._received_bytes or self.pipeline:
                self._received_bytes = 0
                self._hold_pipeline()
            return
        self._hold_request(len(data))
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._within, self._late)
        if goes_on and not self._headed:
            self._head += len(data)
            if self._head > LARGEST_HEAD_BYTES and not self._closes:
                self._refusal = _too_large()
                self.send_400_response("")
        if self._in_body:
            self._around += len(data)
            if self._around > LARGEST_HEAD_BYTES and not self._closes:
                self._refuse_body()
                self.send_400_response("")

    def _hold_request(self, more: int) -> None:
        """Count what the unfinished request holds: its bytes, and its headers as objects."""
        if self._unfinished is None or self._closes:
            return
        self._received_bytes += more
        size = min(self._received_bytes, _MOST_HELD_BYTES) + _HEADER_BYTES * len(self.headers)
        self._unfinished.hold(self, size + self._waiting_bytes, self._drop_request)

    def _hold_pipeline(self) -> None:
        """Count what the whole requests hold that wait for the answer to an earlier one."""
        if self._unfinished is None:
            return
        if self.pipeline and not self._closes:
            self._unfinished.hold(self, self._waiting_bytes, self._drop_request)
        else:
            self._unfinished.let_go(self)

    @property
    def _waiting_bytes(self) -> int:
        if not self.pipeline:
            return 0
        return self._ahead + self._bodies_ahead + self._objects_ahead

    def _drop_request(self) -> None:
        self.logger.warning("slow_request_dropped")
        self.transport.abort()

    def _let_request_go(self) -> None:
        self._received_bytes = 0
        if self._unfinished is not None:
            self._unfinished.let_go(self)

    def on_message_begin(self) -> None:
        """Do as uvicorn does, and put the transport into the scope."""
        self._begun, self._headed, self._head = True, False, 0
        self._body = self._pieces = self._around = 0
        self._in_body = False
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {TRANSPORT: self.transport}

    def on_headers_complete(self) -> None:
        """Do as uvicorn does, unless the request is refused.

        Header fields that come after a body (trailers) are discarded, and limited in number and
        size: the parser keeps the one that is not whole, and copies all of it for each piece.
        """
        self._headed = True
        self._refusal = self._refused()
        if self._refusal is not None or self._too_far_ahead():
            raise _TooMuch  # stops the parser; uvicorn then calls send_400_response
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = _Trailers()
            if self.parser.get_http_version() == "1.0":
                self.cycle.__class__ = _UnchunkedCycle

    def on_body(self, body: bytes) -> None:
        """Do as uvicorn does, but keep no more of a body than any command takes.

        A body that is too large, comes in too many pieces, or would have to wait with too many
        others is refused.
        """
        before = self._body
        self._body += len(body)
        self._pieces += 1
        if self._in_body:
            self._around -= len(body)
        if self.pipeline:
            self._bodies_ahead += len(body)
        if (
            self._body > MOST_BODY_BYTES
            or self._pieces > MOST_PIECES
            or self._bodies_ahead > LARGEST_BODY_BYTES
        ):
            self._refuse_body()
            raise _TooMuch
        if (
            before <= LARGEST_BODY_BYTES
        ):  # the piece that goes beyond tells the reader that it is too large
            super().on_body(body)

    def _refuse_body(self) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self.pipeline or (cycle is not None and cycle.response_started):
            self.transport.close()  # an answer is under way or gone: no other may follow it
            self._watch_taking()
        elif self._pieces > MOST_PIECES:
            text = f"The body comes in more than {MOST_PIECES} pieces."
            self._refusal = 413, TooLarge(text)
        elif self._around > LARGEST_HEAD_BYTES:
            self._refusal = (
                431,
                BadRequest(
                    f"The sizes of a body's pieces and its trailers have more than "
                    f"{LARGEST_HEAD_BYTES} bytes together."
                ),
            )
        else:
            self._refusal = 413, TooLarge(f"The body is larger than {LARGEST_BODY_BYTES} bytes.")

    def on_message_complete(self) -> None:
        """Do as uvicorn does; the request is whole."""
        self._begun = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Do as uvicorn does when the handshake has its turn, unless it is refused.

        Until then nothing more is read. It counts as an unfinished request.
        """
        if self._handshakes is None:
            self._upgrade()
            return
        self._upgrading = True
        scope = self._handshake_scope()
        if not self._handshakes.begin(scope, partial(self._shake_hands, self._handshakes, scope)):
            self._begun = True
            self.flow.pause_reading()

    def _shake_hands(self, handshakes: HandshakeGate, scope: Scope) -> bool:
        if self.transport.is_closing():
            return False
        refusal = handshakes.refusal(scope)
        if refusal is None:
            self._upgrade()
            if not self.transport.is_closing():
                self.flow.resume_reading()
        else:
            self._answer_last(refusal)
        return True

    def _upgrade(self) -> None:
        """Hand over to the WebSocket protocol; this one does not limit how long it lasts."""
        self._begun = False
        self._done()
        self._watch_no_more()
        self._let_request_go()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as in connection_lost: a cycle
        stream = self.transport.get_protocol()
        if isinstance(stream, StreamProtocol):
            stream.leave, self._leave = self._leave, None
            if stream.unreadable:
                close_after_reading(self.transport, stream)

    def _handshake_scope(self) -> Scope:
        """Return what of the handshake says whether it is refused."""
        path, _, query = self.url.partition(b"?")
        offered = [value.decode("latin-1") for name, value in self.headers if name == _SUBPROTOCOLS]
        return {
            "type": "websocket",
            "scheme": "ws",
            "root_path": self.root_path,
            "path": self.root_path + unquote(path.decode("latin-1")),
            "query_string": query,
            "headers": self.headers,
            "client": self.client,
            "subprotocols": [name.strip() for value in offered for name in value.split(",")],
        }

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not a request, or too large a one, and close.

        ``msg``: why it is not a request.
        """
        if self._closes:
            return
        status, refusal = self._refusal or (400, BadRequest(msg))
        if len(self.url) > LONGEST_ADDRESS_BYTES:
            msg = (
                f"The address is longer than {LONGEST_ADDRESS_BYTES} bytes; use POST and put the "
                f"parameters in the body."
            )
            status, refusal = 400, BadRequest(msg)
        self._answer_last(refuse(refusal, "POST"), status)

    def _answer_last(self, answer: Response, status: int | None = None) -> None:
        """Write the response and close. ``status``: in place of the response's own."""
        headers = [
            *self.server_state.default_headers,
            *guarded(answer.raw_headers),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        line = STATUS_LINE[status or answer.status_code]
        self.transport.write(b"".join((line, lines, b"\r\n", answer.body)))
        self._answered_last = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            close_after_reading(self.transport, self)
        else:
            self.transport.close()  # of the answer that is due nothing may follow
        self._watch_taking()

    @property
    def _closes(self) -> bool:
        return self._answered_last or self.transport.is_closing()

    @property
    def host_allowed(self) -> bool:
        """Return whether the request names one host, and this gateway answers for it."""
        if not self._allowed_hosts:
            return True
        return host_in(self.headers) in self._allowed_hosts

    def _refused(self) -> tuple[int, Refused] | None:
        """Return status and refusal if the request has more of anything than any command needs."""
        if len(self.headers) > MOST_HEADERS:
            return 431, BadRequest(f"There are more than {MOST_HEADERS} headers.")
        if self.url.count(b"&") >= MOST_GIVEN:
            return 400, BadParameter(f"The query string has more than {MOST_GIVEN} parameters.")
        if not self.host_allowed:
            return 403, HostRefused(_HOST_REFUSED)
        if self.parser.should_upgrade() and self._lists_size() > LONGEST_LISTS_BYTES:
            return 431, BadRequest(
                f"Connection, Upgrade, extensions and subprotocols have more than "
                f"{LONGEST_LISTS_BYTES} bytes together."
            )
        return _too_large() if self._add_up and self._size() > LARGEST_HEAD_BYTES else None

    def _too_far_ahead(self) -> bool:
        """Return whether too much would wait for the answer to an earlier request."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self._ahead = self._bodies_ahead = self._objects_ahead = 0
            return False
        self._ahead += self._size()
        self._objects_ahead += _REQUEST_BYTES + _HEADER_BYTES * len(self.headers)
        return len(self.pipeline) >= MOST_PIPELINED or self._ahead > LARGEST_HEAD_BYTES

    def _lists_size(self) -> int:
        return sum(len(value) for name, value in self.headers if name in _LISTS)

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    # Sending

    def pause_writing(self) -> None:
        """Do as uvicorn does, and watch that the client takes what is sent."""
        super().pause_writing()
        self._watch_taking()
        if self._untaken_answers is not None:
            size = self.transport.get_write_buffer_size()
            self._untaken_answers.hold(self, size, self._drop_answer)

    def _drop_answer(self) -> None:
        self.logger.warning("slow_answer_dropped")
        self.transport.abort()

    def resume_writing(self) -> None:
        """Do as uvicorn does; the client took what was sent."""
        super().resume_writing()
        self._untaken = sys.maxsize
        if self._untaken_answers is not None:
            self._untaken_answers.let_go(self)

    def on_response_complete(self) -> None:
        """Do as uvicorn does; if the connection closes, watch that the client takes the rest."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_taking()
        elif self._objects_ahead and not self.pipeline and not self._received_bytes:
            self._hold_pipeline()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def timeout_keep_alive_handler(self) -> None:
        """Do as uvicorn does, and watch that the client takes the rest."""
        super().timeout_keep_alive_handler()
        self._watch_taking()

    def _watch_taking(self) -> None:
        """Watch that the client takes what waits to be sent.

        A connection is not closed before that.
        """
        self._untaken = sys.maxsize
        if self._watch is None:
            self._watch = self.loop.call_later(self._stall, self._look)

    def _look(self) -> None:
        self._watch = None
        waiting = self.transport.get_write_buffer_size()
        if waiting >= self._untaken:
            self.transport.abort()
        elif waiting:
            self._untaken = waiting
            self._watch = self.loop.call_later(self._stall, self._look)

    def _watch_no_more(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


def _too_large() -> tuple[int, Refused]:
    return 431, BadRequest(
        f"Address and headers are larger than {LARGEST_HEAD_BYTES} bytes together."
    )


class _UnchunkedCycle(RequestResponseCycle):
    """Answer HTTP/1.0, which has no chunks: an answer of unknown length ends with the connection.

    uvicorn sends chunks all the same. Source: RFC 9112, 6.1.
    """

    _endless = False

    async def send(self, message: ASGISendEvent) -> None:
        """Do as uvicorn does, without chunks."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            if b"content-length" not in names:
                self._endless, self.chunked_encoding = True, False
                self.expected_content_length = sys.maxsize
        elif self._endless and not message.get("more_body", False):
            self.expected_content_length = len(
                cast("HTTPResponseBodyEvent", message).get("body", b"")
            )
        await super().send(message)


class _TooMuch(Exception):
    """Signal to the parser that the request is refused."""


class _Trailers(list[tuple[bytes, bytes]]):
    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def append(self, item: tuple[bytes, bytes], /) -> None:
        """Discard the item. Raises _TooMuch if there are more than a request may have headers."""
        self._count += 1
        if self._count > MOST_HEADERS:
            raise _TooMuch
