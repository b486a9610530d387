"""Cut a PostgreSQL connection when more bytes arrive than it was told to take.

asyncpg keeps a row until all of it is there, and a row may be a gigabyte. So the bytes are counted
before asyncpg gets them, and the connection is cut when there are too many.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg


class TooMuch(Exception):
    """Signal that more bytes came than allowed, or that the answer would be too large."""


class BoundedConnection(asyncpg.Connection):
    """Represent a connection that :meth:`bound` can limit."""

    __slots__ = ("_counted", "_ends")

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self._ends = protocol, transport
        self._counted: _Counted | None = None

    @property
    def overrun(self) -> bool:
        """Return whether the connection was cut because more came than was allowed."""
        return self._counted is not None and self._counted.left < 0

    def bound(self, size: int) -> None:
        """Cut the connection after ``size`` further bytes."""
        protocol, transport = self._ends
        self._counted = _Counted(protocol, transport, size)
        transport.set_protocol(self._counted)


class _Counted(asyncio.Protocol):
    """Pass everything on to asyncpg's protocol, until it is too much."""

    def __init__(self, inner: asyncio.Protocol, transport: asyncio.Transport, size: int) -> None:
        self._inner = inner
        self._transport = transport
        self.left = size

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            self._transport.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
