"""uvicorn's HTTP protocol with an end to its patience: what a connection may take of our time and memory is bounded.

Without it a client that sends a byte now and then, nothing at all, headers without end or thousands of requests in one
go, or that reads no answer, holds its connection and what stands behind it for ever; some thousands of them and nobody
else gets in. A proxy in front does the same, but not every gateway has one. What is no request, or too large a one, is
refused in the form that all refusals have; so is one of more parameters or headers than any needs, before anything
looks at them, as what looks at them may take the square of their number.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.errors import BadParameter, BadRequest, Refused
from gateway.parameters import MOST_GIVEN
from gateway.responses import RAW_GUARDS, refuse
from gateway.transport.ip_addresses import held_by
from gateway.transport.websocket_protocol import StreamProtocol

TRANSPORT: Final = "callmon.transport"
"""Where a request's scope has its connection's transport, among the extensions: for answers that go on for long."""
WITHIN: Final = 30.0
"""Seconds from a connection's begin, or a request's first byte, to the request's last byte."""
STALL: Final = 60.0
"""Seconds for which a client may take nothing of what is sent; that is found out within twice the time."""
LARGEST_HEAD: Final = 32 * 1024
"""Bytes of a request's address and headers: what one who holds a request open makes us hold."""
MOST_HEADERS: Final = 100
"""Headers of a request."""
LONGEST_ADDRESS: Final = 65_535
"""Bytes; what httptools can take apart."""
MOST_PIPELINED: Final = 100
"""Requests of one connection that wait for the answer to an earlier one; their heads are no larger than one's."""


class ConnectionCounter:
    """How many connections there are, in all and by the address that connects.

    ``counted``: whether an address's own are bounded: not those of a proxy, behind which many are.
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
        """Count a connection in; what to call once when it is lost. None: it may not stay."""
        holder = held_by(host) if self._per_address and self._counted(host) else None
        if self._all >= self._most or (holder is not None and self._by_holder[holder] >= self._per_address):
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


class TimeoutHttpProtocol(HttpToolsProtocol):
    """Cuts off who is late, says too much or takes nothing, and who is one too many.

    ``stall``: in place of :data:`STALL`. ``doors``: who is in; None: any number may be.

    Requests that come in one piece and answers that go at once, as nearly all do, cost no timer.
    """

    _within = WITHIN

    def __init__(self, *args: Any, stall: float = STALL, doors: ConnectionCounter | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._doors = doors
        self._leave: Callable[[], None] | None = None
        self.url = b""
        self._begun = False
        self._deadline: asyncio.TimerHandle | None = None
        self._headed = False
        self._head = 0
        """Bytes of the headers under way after their first piece."""
        self._add_up = False
        """Whether the headers may be too large: they did not come in one small piece."""
        self._refusal: tuple[int, Refused] | None = None
        """Status, and what is said, if the request is refused here."""
        self._ahead = 0
        """Bytes of the heads of the requests that wait for the answer to an earlier one."""
        self._stall = stall
        self._watch: asyncio.TimerHandle | None = None
        self._untaken = sys.maxsize

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """As in uvicorn; a request is expected now."""
        super().connection_made(transport)
        if self._doors is not None:
            self._leave = self._doors.enter("" if self.client is None else self.client[0])
            if self._leave is None:
                transport.abort()
        self._deadline = self.loop.call_later(self._within, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """As in uvicorn."""
        self._done()
        self._watch_no_more()
        if self._leave is not None:
            self._leave()
            self._leave = None
        super().connection_lost(exc)

    # What comes

    def data_received(self, data: bytes) -> None:
        """As in uvicorn; much at once is looked at in parts, as it may be of a hundred thousand headers."""
        if len(data) <= LARGEST_HEAD:
            self._received(data)
            return
        for at in range(0, len(data), LARGEST_HEAD):
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return
            self._received(data[at : at + LARGEST_HEAD])

    def _received(self, data: bytes) -> None:
        goes_on = self._begun and not self._headed
        self._add_up = goes_on or len(data) >= LARGEST_HEAD
        super().data_received(data)
        if not self._begun:
            if self._deadline is not None:
                self._done()
            return
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._within, self._late)
        if goes_on and not self._headed:
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self._refusal = _too_large()
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """As in uvicorn."""
        self._begun, self._headed, self._head = True, False, 0
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {TRANSPORT: self.transport}

    def on_headers_complete(self) -> None:
        """As in uvicorn. What comes like headers behind a body goes nowhere."""
        self._headed = True
        self._refusal = self._refused()
        if self._refusal is not None or self._too_far_ahead():
            raise _TooMuch  # the parser gives up, and send_400_response is called
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = _NOWHERE

    def on_message_complete(self) -> None:
        """As in uvicorn."""
        self._begun = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """As in uvicorn; how long that conversation lasts is not ours to say."""
        self._begun = False
        self._watch_no_more()
        super().handle_websocket_upgrade()
        stream = self.transport.get_protocol()
        if isinstance(stream, StreamProtocol):
            stream.leave, self._leave = self._leave, None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too large a one, and close. ``msg``: why, if it is no request."""
        status, refusal = self._refusal or (400, BadRequest(msg))
        if len(self.url) > LONGEST_ADDRESS:
            msg = f"The address is longer than {LONGEST_ADDRESS} bytes; with POST, parameters may stand in the body."
            status, refusal = 400, BadRequest(msg)
        answer = refuse(refusal, "POST")
        headers = [*self.server_state.default_headers, *answer.raw_headers, *RAW_GUARDS, (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[status], lines, b"\r\n", answer.body)))
        self.transport.close()
        self._watch_taking()

    def _refused(self) -> tuple[int, Refused] | None:
        """Status, and what is said, if the request has more of anything than any needs."""
        if len(self.headers) > MOST_HEADERS:
            return 431, BadRequest(f"There are more than {MOST_HEADERS} headers.")
        if self.url.count(b"&") >= MOST_GIVEN:
            return 400, BadParameter(f"The query string has more than {MOST_GIVEN} parameters.")
        return _too_large() if self._add_up and self._size() > LARGEST_HEAD else None

    def _too_far_ahead(self) -> bool:
        """Whether too much would wait for the answer to an earlier request."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self._ahead = 0
            return False
        self._ahead += self._size()
        return len(self.pipeline) >= MOST_PIPELINED or self._ahead > LARGEST_HEAD

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    # What goes

    def pause_writing(self) -> None:
        """As in uvicorn."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """As in uvicorn."""
        super().resume_writing()
        self._untaken = sys.maxsize

    def on_response_complete(self) -> None:
        """As in uvicorn."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_taking()

    def timeout_keep_alive_handler(self) -> None:
        """As in uvicorn."""
        super().timeout_keep_alive_handler()
        self._watch_taking()

    def _watch_taking(self) -> None:
        """See to it that what waits to be sent is taken: a connection is not closed before that."""
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
    return 431, BadRequest(f"Address and headers are larger than {LARGEST_HEAD} bytes together.")


class _TooMuch(Exception):
    """Raised to the parser."""


class _Nowhere(list[tuple[bytes, bytes]]):
    def append(self, item: tuple[bytes, bytes], /) -> None:
        """Keep nothing."""


_NOWHERE: Final = _Nowhere()
