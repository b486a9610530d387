"""Keep a slot for each of the server's processes that works for us, until the process is gone.

PostgreSQL looks only now and then whether a statement's time is over. Inside one call of a function
such as ``strpos`` it does not look at all, and such a call may last for hours. We give up then, but
the process goes on, on a processor of the PBX. So:

- A statement takes a slot. There are :data:`SLOTS`.
- The slot is free again when the server has said that the statement ended.
- If the server did not say so, the slot is free when the server no longer lists the process.
- The server is asked for that only when all slots are taken.
- Another monitor may have led before and left such processes behind. So each statement first asks
  for the processes of this role whose :func:`application_name` is that of a statement, but of
  another monitor's. They take slots too, until a later statement no longer finds them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Set
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from monitor.pbx.database.bounded_connection import TooMuch
from monitor.shared.errors import CommandRefused, PbxBusy

SLOTS: Final = 4
"""Statements at once, with those that the server could not stop yet."""
_OURS: Final = """
SELECT pid, backend_start, pid = pg_catalog.pg_backend_pid()
FROM pg_catalog.pg_stat_activity
WHERE pid = pg_catalog.pg_backend_pid() OR (
    usename = session_user AND datname = pg_catalog.current_database()
    AND (application_name = 'callmon' OR application_name LIKE 'callmon query %')
    AND application_name <> pg_catalog.current_setting('application_name')
)
"""
"""Earlier versions named all connections ``callmon``."""
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
        self._foreign: set[Backend] = set()
        self._looking = asyncio.Lock()

    async def wait_for_free(self) -> None:
        """Return if a slot is free. Ask the server for ended processes if none is.

        No ``await`` may stand between this and :meth:`running`. Raises PbxBusy if none is free,
        and PbxUnreachable.
        """
        async with self._looking:
            if self._taken >= SLOTS and (asked := self._left | self._foreign):
                gone = asked - await self._listed(asked)
                self._left -= gone  # others may have been added meanwhile
                self._foreign -= gone
        if self._taken >= SLOTS:
            raise _busy()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold a slot while the context is entered."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def count_foreign(self, backends: Set[Backend]) -> None:
        """Take a slot for each process that other monitors have at the server, and for no other.

        The caller holds a slot of its own. Raises PbxBusy if there are not slots for all.
        """
        self._foreign = set(backends)
        if self._taken > SLOTS:
            raise _busy()

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
        return self._running + len(self._left) + len(self._foreign)


def application_name() -> str:
    """Return a name for the connections on which one monitor runs statements.

    The server lists it. It is another one for each monitor and after each start.
    """
    return f"callmon query {secrets.token_hex(8)}"


async def own_and_foreign(connection: asyncpg.Connection) -> tuple[Backend, frozenset[Backend]]:
    """Return the process that serves this connection, and those of other monitors' statements.

    Raises asyncpg's errors.
    """
    found = [(Backend(*row), own) for *row, own in await connection.fetch(_OURS)]
    (mine,) = (backend for backend, own in found if own)
    return mine, frozenset(backend for backend, own in found if not own)


async def listed_backends(
    connection: asyncpg.Connection, backends: Set[Backend]
) -> frozenset[Backend]:
    """Return which of these processes the server still lists. Raises asyncpg's errors."""
    rows = await connection.fetch(_LISTED, [backend.pid for backend in backends])
    return frozenset(Backend(*row) for row in rows) & backends


def _busy() -> PbxBusy:
    return PbxBusy(
        f"The {SLOTS} queries that may run at once are still at work in the database, also "
        "those that it could not stop in time. Nothing was done; try again later."
    )


def _is_end(error: BaseException) -> bool:
    """Return whether the server has ended the statement, as far as this error tells."""
    if isinstance(error, asyncpg.PostgresConnectionError):  # asyncpg's own: nothing was heard
        return False
    return isinstance(error, asyncpg.PostgresError | CommandRefused | TooMuch)
