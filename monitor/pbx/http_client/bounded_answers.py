"""Cut a connection on which a PBX sends what no answer needs.

aiohttp takes all that comes: preliminary answers (1xx) and answers that nobody asked for without
end, also on a connection that waits for its next request, and a body in pieces of one byte. Each of
these takes far more time and memory than its bytes. So a request gets a few answers, and what
stands around a body, such as heads and the sizes of its pieces, may be little longer than needed.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_ANSWERS: Final = 16
"""Answers to one request: the last one, and preliminary ones before it."""
MOST_FRAMING_BYTES: Final = 64 * 1024
"""Bytes of an answer beside its body; longer bodies may have more."""
_BODY_BYTES: Final = 8
"""A body may have one byte of framing more for each of these: pieces of some fifty bytes."""
_SLICE_BYTES: Final = 16 * 1024
"""Bytes that are parsed before they are judged."""


class Flooded(Exception):
    """Signal that a connection was cut. Its text is a predicate."""


class BoundedConnector(aiohttp.TCPConnector):
    """Make connections that are cut when a PBX floods them."""

    def __init__(self, limit: int, tls: ssl.SSLContext | None, *, force_close: bool) -> None:
        super().__init__(limit=limit, ssl=tls if tls is not None else True, force_close=force_close)
        handler: type[ResponseHandler] = _BoundedHandler
        self._factory = partial(handler, loop=self._loop)


class _BoundedHandler(ResponseHandler):
    """Read the answers that come on one connection."""

    _answers = 0
    _received = 0
    """Bytes that came since the last request."""
    _before: object = None
    """The body of the answer before."""
    _cut = False

    def set_response_params(self, **params: Any) -> None:
        self._answers = self._received = 0
        self._before = self._payload
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data) or 1, _SLICE_BYTES):  # aiohttp resumes with no data
            piece = data[at : at + _SLICE_BYTES]
            if self._cut:
                return
            super().data_received(piece)
            self._received += len(piece)
            if self._framing > MOST_FRAMING_BYTES:
                self._refuse("is hardly anything but the sizes of its pieces, or has no head")

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._answers += 1
        if self._answers <= MOST_ANSWERS:
            super().feed_data(data, size)
        elif not self._cut:
            self._refuse(f"comes with more than {MOST_ANSWERS} others")

    @property
    def _framing(self) -> int:
        """Return by how much more was received than a body and what it may need."""
        payload = self._payload
        body = 0 if payload is None or payload is self._before else payload.total_bytes
        return self._received - body - body // _BODY_BYTES

    def _refuse(self, why: str) -> None:
        self._cut = True
        flooded, payload = Flooded(why), self._payload
        self.set_exception(flooded)
        if payload is not None and not payload.is_eof():
            payload.set_exception(flooded)
        if self.transport is not None:
            self.transport.abort()
