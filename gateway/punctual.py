"""uvicorn's HTTP protocol with an end to its patience: a connection must bring a request, whole, within a time.

Without it a client that sends a byte now and then, or nothing at all, holds its connection for ever; some thousands of
them and nobody else gets in. Nor may a request's head go on and on: uvicorn keeps all of it. A proxy in front does the
same, but not every gateway has one. What is no request is refused in the form that all refusals have.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.answers import RAW_GUARDS, refuse
from gateway.errors import BadRequest

TRANSPORT: Final = "callmon.transport"
"""Where a request's scope has its connection's transport, among the extensions: for answers that go on for long."""
WITHIN: Final = 30.0
"""Seconds from a connection's begin, or a request's first byte, to the request's last byte."""
LONGEST_ADDRESS: Final = 65_535
"""Bytes; what httptools can take apart."""
LARGEST_HEAD: Final = 512 * 1024
"""Bytes, by whole pieces as they come, the end of an earlier request included."""


class PunctualProtocol(HttpToolsProtocol):
    """Cuts off who is late. Requests that come in one piece, as nearly all do, cost no timer."""

    _within = WITHIN

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._begun = self._in_head = False
        self._head = 0
        self.url = b""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """As in uvicorn; a request is expected now."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._within, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """As in uvicorn."""
        self._done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As in uvicorn."""
        super().data_received(data)
        if not self._begun:
            if self._deadline is not None:
                self._done()
            return
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._within, self._late)
        if self._in_head:
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """As in uvicorn."""
        self._begun = self._in_head = True
        self._head = 0
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {TRANSPORT: self.transport}

    def on_headers_complete(self) -> None:
        """As in uvicorn."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """As in uvicorn."""
        self._begun = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """As in uvicorn; how long that conversation lasts is not ours to say."""
        self._begun = False
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and close. ``msg``: why."""
        if len(self.url) > LONGEST_ADDRESS:
            msg = f"The address is longer than {LONGEST_ADDRESS} bytes; with POST, parameters may stand in the body."
        answer = refuse(BadRequest(msg), "POST")
        headers = [*self.server_state.default_headers, *answer.raw_headers, *RAW_GUARDS, (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"".join((b"HTTP/1.1 400 Bad Request\r\n", lines, b"\r\n", answer.body)))
        self.transport.close()

    def _done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()
