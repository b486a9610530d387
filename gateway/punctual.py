"""uvicorn's HTTP protocol with an end to its patience: a connection must bring a request, whole, within a time.

Without it a client that sends a byte now and then, or nothing at all, holds its connection for ever; some thousands of
them and nobody else gets in. A proxy in front does the same, but not every gateway has one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT: Final = "callmon.transport"
"""Where a request's scope has its connection's transport, among the extensions: for answers that go on for long."""
WITHIN: Final = 30.0
"""Seconds from a connection's begin, or a request's first byte, to the request's last byte."""


class PunctualProtocol(HttpToolsProtocol):
    """Cuts off who is late. Requests that come in one piece, as nearly all do, cost no timer."""

    _within = WITHIN

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._begun = False
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
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._within, self._late)

    def on_message_begin(self) -> None:
        """As in uvicorn."""
        self._begun = True
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {TRANSPORT: self.transport}

    def on_message_complete(self) -> None:
        """As in uvicorn."""
        self._begun = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """As in uvicorn; how long that conversation lasts is not ours to say."""
        self._begun = False
        super().handle_websocket_upgrade()

    def _done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()
