"""Keep a slot for each of the server's processes that works for us, until the process is gone.

PostgreSQL looks only now and then whether a statement's time is over. Inside one call of a function
such as ``strpos`` it does not look at all, and such a call may last for hours. We give up then, but
the process goes on, on a processor of the PBX. So:

- A statement takes a slot. There are :data:`SLOTS`.
- The slot is free again when the server has said that the statement ended.
- If the server did not say so, the slot is free when the server no longer lists the process.
- The server is asked for that only when all slots are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Set
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from monitor.pbx.database.bounded_connection import TooMuch
from monitor.shared.errors import CommandRefused, PbxBusy

SLOTS: Final = 4
"""Statements at once, with those that the server could not stop yet."""
_OWN: Final = """
SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()
"""
_LISTED: Final = """
SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::integer[])
"""


class Backend(NamedTuple):
    """Name a process of the server. ``started``: another process may get the same pid later."""

    pid: int
    started: datetime


class BackendSlots:
    """Hold the slots of one database.

    ``listed``: returns which of these processes the server still lists. It raises PbxUnreachable.
    """

    def __init__(self, listed: Callable[[Set[Backend]], Awaitable[Set[Backend]]]) -> None:
        self._listed = listed
        self._running = 0
        self._left: set[Backend] = set()
        self._looking = asyncio.Lock()

    async def wait_for_free(self) -> None:
        """Return if a slot is free. Ask the server for ended processes if none is.

        No ``await`` may stand between this and :meth:`running`. Raises PbxBusy if none is free,
        and PbxUnreachable.
        """
        async with self._looking:
            if self._taken >= SLOTS and self._left:
                self._left &= await self._listed(self._left)
        if self._taken >= SLOTS:
            raise PbxBusy(
                f"The {SLOTS} queries that may run at once are still at work in the database, also "
                "those that it could not stop in time. Nothing was done; try again later."
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold a slot while the context is entered."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def until_gone(self, backend: Backend) -> Iterator[None]:
        """Keep a slot for the process if the server did not say that its statement ended."""
        try:
            yield
        except BaseException as error:
            if not _is_end(error):
                self._left.add(backend)
            raise

    @property
    def _taken(self) -> int:
        return self._running + len(self._left)


async def backend_of(connection: asyncpg.Connection) -> Backend:
    """Return the process that serves this connection. Raises asyncpg's errors."""
    (row,) = await connection.fetch(_OWN)
    return Backend(*row)


async def listed_backends(
    connection: asyncpg.Connection, backends: Set[Backend]
) -> frozenset[Backend]:
    """Return which of these processes the server still lists. Raises asyncpg's errors."""
    rows = await connection.fetch(_LISTED, [backend.pid for backend in backends])
    return frozenset(Backend(*row) for row in rows) & backends


def _is_end(error: BaseException) -> bool:
    """Return whether the server has ended the statement, as far as this error tells."""
    if isinstance(error, asyncpg.PostgresConnectionError):  # asyncpg's own: nothing was heard
        return False
    return isinstance(error, asyncpg.PostgresError | CommandRefused | TooMuch)
