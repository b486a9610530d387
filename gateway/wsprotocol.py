"""uvicorn's WebSocket protocol with what the stream needs of a socket, as the ASGI extension ``callmon.socket``.

"Full" means that anything stands in the transport's buffer, and the kernel's send buffer is small: else a slow client
reads minutes-old frames and calls them live. A connection that takes nothing can be aborted: closing would wait for its
buffer to drain, for ever. Failures that the stream has codes for are closed with those. Addresses are not logged, as
keys stand in them.
"""

from __future__ import annotations

import logging
import socket
from asyncio import BaseTransport, Event, Transport
from contextlib import suppress
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.server import ServerProtocol

EXTENSION = "callmon.socket"
SEND_BUFFER = 64 * 1024
MESSAGE_SIZE = 64 * 1024
"""Bytes: the most that a client may send in one message."""

_logger = logging.getLogger("gateway.websocket")
_logger.setLevel(logging.WARNING)


class Socket:
    """A connection's lower end."""

    def __init__(self, transport: Transport, writable: Event) -> None:
        self._transport = transport
        self._writable = writable

    @property
    def free(self) -> bool:
        """Whether everything that was sent has gone to the kernel."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Wait until everything that was sent has gone to the kernel, or the connection is lost."""
        await self._writable.wait()

    @property
    def pending(self) -> int:
        """Bytes not yet taken by the kernel."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drop the connection, whatever is still to be sent."""
        self._transport.abort()


class StreamProtocol(WebSocketsSansIOProtocol):
    """For ``uvicorn.Config(ws=StreamProtocol)``; see :func:`uvicorn_options`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _logger
        self.conn = _Connection(max_size=self.config.ws_max_size, logger=_logger)

    def connection_made(self, transport: BaseTransport) -> None:
        """As in uvicorn, with small buffers."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def handle_connect(self, event: Request) -> None:
        """As in uvicorn; the application, which starts after this, finds the extension in its scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # there is none if the request was no handshake
            extensions = cast(dict[str, object], self.scope["extensions"])
            extensions[EXTENSION] = Socket(self.transport, self.writable)

    async def send(self, message: ASGISendEvent) -> None:
        """As in uvicorn. A refusal by an HTTP response is an answer too, not a missing handshake to be logged."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True


def uvicorn_options() -> dict[str, Any]:
    """What to give ``uvicorn.Config`` besides.

    No compression: it costs up to 316 KiB a connection, and frames that are the same for all would be compressed for
    each. A connection that does not answer pings for a minute is closed.
    """
    return {
        "ws": StreamProtocol,
        "ws_max_size": MESSAGE_SIZE,
        "ws_per_message_deflate": False,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 60.0,
    }


class _Connection(ServerProtocol):
    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        if code == CloseCode.MESSAGE_TOO_BIG:
            code, reason = 4013, "message too large"
        elif code == CloseCode.INTERNAL_ERROR and reason == "keepalive ping timeout":
            code, reason = 4203, "silent"
        super().fail(code, reason)
