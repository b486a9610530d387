"""Close a connection so that its client can read the last answer.

A socket that is closed while bytes are unread resets its connection. Then the answer may be lost,
and a proxy takes the gateway for one that is down. So what still comes is discarded for a moment.
Source: RFC 9112, 9.6.
"""

from __future__ import annotations

import asyncio
from typing import Final

WITHIN_S: Final = 2.0
"""Seconds until the connection is closed, whether the client has gone or not."""
MOST_DISCARDED_BYTES: Final = 256 * 1024
"""Bytes that may still come; with more the connection is closed at once."""


def close_after_reading(transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
    """Send no more; discard what comes until the client has closed.

    ``protocol``: it gets no more data, and hears when the connection is lost.
    """
    transport.write_eof()
    transport.set_protocol(_Discarding(transport, protocol))
    transport.resume_reading()


class _Discarding(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport, before: asyncio.Protocol) -> None:
        self._transport = transport
        self._before = before
        self._left = MOST_DISCARDED_BYTES
        self._timer = asyncio.get_running_loop().call_later(WITHIN_S, transport.close)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.close()

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._before.connection_lost(exc)
