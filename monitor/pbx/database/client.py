"""Run SQL against the PBX's PostgreSQL in a way that a statement can only read.

* The statement is the query of a cursor that is declared by the extended protocol: so it is one
  statement, and a query.
* The transaction is READ ONLY, and never committed.
* The role must not be able to write. The server is asked for that before each statement, and the
  connection is given up if the role can. READ ONLY alone would let a superuser's
  ``COPY … TO PROGRAM`` pass.
* The role must not be able to read passwords. This is asked in the same way.
* The role must have few connections, so that queries that the server cannot stop stay few; see
  :mod:`monitor.pbx.database.backend_slots`.
* A statement may call only a few volatile functions; see
  :mod:`monitor.pbx.database.allowed_functions`.
* Time and size are bounded. Bytes are counted as they arrive, so that a single huge row stops too.
* PostgreSQL bounds the memory of sorts and hashes, and nothing bounds that of values: sizes that a
  statement writes are judged, see :mod:`monitor.pbx.database.giant_values`.

Each statement has a connection of its own. One thread reads and encodes the rows of all answers,
one after the other, so that only one answer at a time is in memory as objects.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import asyncpg
import msgspec
import structlog

from monitor.pbx.database.allowed_functions import forbidden
from monitor.pbx.database.backend_slots import (
    Backend,
    BackendSlots,
    application_name,
    listed_backends,
    own_and_foreign,
)
from monitor.pbx.database.bounded_connection import BoundedConnection, TooMuch
from monitor.pbx.database.error_mapping import refusal, unusable
from monitor.pbx.database.giant_values import GiantSize, check_sizes
from monitor.pbx.database.privileges import MOST_CONNECTIONS, can_write, reads_secrets, unlimited
from monitor.pbx.database.values import CODECS, jsonable, labels, unread_length
from monitor.pbx.http_client.secret import Secret, text_of
from monitor.shared.errors import CommandRefused, ConfigError, PbxUnreachable

DEFAULT_COUNT: Final = 100
"""Rows, if the caller gives no number or 0."""
_BATCH: Final = 200
_CONNECT_WITHIN_S: Final = 5.0
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_NO_STATEMENT: Final = "callmon check"
"""Name at the server of connections that run no statement of a caller."""
_WORK_MEM: Final = "4MB"
"""Server memory for one sort or hash. More goes to disk, up to the role's temp_file_limit."""
_HASH_MEMORY: Final = """
SELECT pg_catalog.set_config(name, '1', false)
FROM pg_catalog.pg_settings WHERE name = 'hash_mem_multiplier'
"""
"""Gives a hash no more memory than a sort. PostgreSQL 12 has no such setting; since 15 it is 2."""
_LATER_S: Final = 1.0
"""Seconds after the server's own limit at which our own limit ends the statement."""

_NO_CHARACTER: Final = re.compile(r"[\0\ud800-\udfff]")
"""NUL and half of a surrogate pair."""
_ENCODER: Final = ThreadPoolExecutor(1, "sql-answers")
"""The thread that encodes answers, of all PBXs."""

Tls: TypeAlias = Literal["verify", "require", "off"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Hold the database's address, the role and the limits.

    A ``host`` that begins with ``/`` is a directory with a Unix socket. ``timeout``: seconds for a
    statement with all its rows. ``max_answer_bytes``: bytes of the answer in JSON. Values of the
    types json and jsonb count as the database writes them.
    """

    host: str
    user: str
    password: str | Secret
    port: int = 5432
    name: str = "database_single"
    tls: Tls = "verify"
    ca_file: Path | None = None
    timeout: float = 10.0
    max_answer_bytes: int = 1_048_576


class Database:
    """Answer the command ``query``. Raises ConfigError if ``ca_file`` cannot be read."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._ssl = _ssl(settings)
        self._slots = BackendSlots(self._listed)
        self._application_name = application_name()

    @property
    def where(self) -> str:
        """Return host and port."""
        return f"{self._settings.host}:{self._settings.port}"

    async def answer(self, sql: str, count: int) -> bytes:
        """Return ``{"count": …, "rows": [{column: value, …}, …]}`` as JSON.

        It has at most ``count`` rows, or :data:`DEFAULT_COUNT` for 0. Raises CommandRefused if the
        database refuses, or if the answer takes too long or is too large. Raises PbxBusy if
        earlier queries still take up the database. Raises PbxUnreachable if the database cannot
        be reached.
        """
        _check_characters(sql)
        sql = sql.strip().removesuffix(
            ";"
        )  # before the checks: the text that is checked must be the text that is sent
        await asyncio.to_thread(_check_sizes, sql)  # long statements take a while
        await self._slots.wait_for_free()
        with self._slots.running():
            async with self._connected(self._application_name) as (connection, backend, foreign):
                self._slots.count_foreign(foreign)
                return await self._answered(connection, backend, sql, count or DEFAULT_COUNT)

    async def _answered(
        self, connection: BoundedConnection, backend: Backend, sql: str, count: int
    ) -> bytes:
        settings = self._settings
        try:
            with self._slots.until_gone(backend):
                async with asyncio.timeout(settings.timeout + _LATER_S):
                    await _check_functions(connection, sql)
                    connection.bound(2 * settings.max_answer_bytes + 65_536)
                    return await self._rows(connection, sql, count)
        except TooMuch as error:
            raise self._too_large() from error
        except (*_FAILURES, asyncpg.InternalClientError, ValueError) as error:
            if connection.overrun:
                raise self._too_large() from error
            raise refusal(error, sql, settings.timeout) from error

    async def check(self) -> str:
        """Try the connection; return the server's version, the database and the role, in words.

        Raises CommandRefused, PbxUnreachable.
        """
        async with self._connected() as (connection, *_):
            settings = self._settings
            version = connection.get_server_version().major
            return f"PostgreSQL {version}, {settings.name}; {settings.user} may only read"

    async def _rows(self, connection: BoundedConnection, sql: str, count: int) -> bytes:
        for name, (form, decoder) in CODECS.items():
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=_never, decoder=decoder, format=form
            )
        until = asyncio.get_running_loop().time() + self._settings.timeout
        await self._limit(connection, until)
        await connection.execute(_HASH_MEMORY)
        await connection.execute("BEGIN READ ONLY")
        await connection.fetch(f"DECLARE answer NO SCROLL CURSOR FOR\n{sql}")
        rows: list[bytes] = []
        got = size = 0
        loop = asyncio.get_running_loop()
        while got < count:
            wanted = min(_BATCH, count - got)
            await self._limit(connection, until)
            fetch = await connection.prepare(f"FETCH {wanted} FROM answer")
            names = labels(attribute.name for attribute in fetch.get_attributes())
            batch = await fetch.fetch()
            encoded = await loop.run_in_executor(
                _ENCODER, _encoded, names, batch, self._settings.max_answer_bytes - size
            )
            size += len(encoded)
            if size > self._settings.max_answer_bytes:
                raise TooMuch
            if batch:
                rows.append(encoded)
            got += len(batch)
            if len(batch) < wanted:
                break
        return b'{"count":%d,"rows":[%b]}' % (got, b",".join(rows))

    @staticmethod
    async def _limit(connection: BoundedConnection, until: float) -> None:
        """Give the server the time that is left, as its limit for the next step.

        This is done before each step, as the statement could have changed the limit.
        """
        left = max(1, round((until - asyncio.get_running_loop().time()) * 1000))
        await connection.execute(f"SET statement_timeout = {left}")

    @asynccontextmanager
    async def _connected(
        self, application: str = _NO_STATEMENT
    ) -> AsyncIterator[tuple[BoundedConnection, Backend, frozenset[Backend]]]:
        """Open a connection whose role can only read.

        Also give the server's process that has it, and those that run other monitors' statements.
        Raises CommandRefused, PbxUnreachable.
        """
        connection = await self._connection(application)
        try:
            try:
                async with asyncio.timeout(_CONNECT_WITHIN_S):
                    rights, secrets = await can_write(connection), await reads_secrets(connection)
                    remedy = await unlimited(connection)
                    backend, foreign = await own_and_foreign(connection)
            except _FAILURES as error:
                raise PbxUnreachable(
                    f"The database does not tell what {self._settings.user} may do: {error}"
                ) from error
            if rights:
                raise CommandRefused(
                    "sql_role_can_write",
                    f"SQL is not offered: the database's role {self._settings.user} {rights}. Use "
                    f"a role that can "
                    "only read: with SELECT on tables, and without rights to create or change "
                    "anything.",
                )
            if secrets:
                raise CommandRefused(
                    "sql_role_reads_secrets",
                    f"SQL is not offered: the database's role {self._settings.user} {secrets}, "
                    f"where passwords or "
                    "their hashes are. Take pg_read_all_data from it, and grant it SELECT on "
                    "tables alone.",
                )
            if remedy:
                raise CommandRefused(
                    "sql_role_unlimited",
                    f"SQL is not offered: the database's role {self._settings.user} may have more "
                    f"than {MOST_CONNECTIONS} connections. Run {remedy}; in the database.",
                )
            yield connection, backend, foreign
        finally:
            connection.terminate()

    async def _listed(self, backends: Set[Backend]) -> Set[Backend]:
        """Return which of these processes the server still lists. Raises PbxUnreachable."""
        connection = await self._connection()
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                return await listed_backends(connection, backends)
        except _FAILURES as error:
            raise PbxUnreachable(f"The database does not list its processes: {error}") from error
        finally:
            connection.terminate()

    async def _connection(self, application: str = _NO_STATEMENT) -> BoundedConnection:
        settings = self._settings
        try:
            return await asyncpg.connect(
                host=settings.host,
                port=settings.port,
                user=settings.user,
                password=text_of(settings.password),
                database=settings.name,
                ssl=self._ssl,
                timeout=_CONNECT_WITHIN_S,
                statement_cache_size=0,
                connection_class=BoundedConnection,
                server_settings={
                    "application_name": application,
                    "default_transaction_read_only": "on",
                    "idle_in_transaction_session_timeout": str(
                        round((settings.timeout + _LATER_S) * 1000)
                    ),
                    "lock_timeout": str(round(settings.timeout * 1000)),
                    "max_parallel_workers_per_gather": "0",
                    "standard_conforming_strings": "on",
                    "statement_timeout": str(round(_CONNECT_WITHIN_S * 1000)),
                    "search_path": "public",
                    "TimeZone": "UTC",
                    "work_mem": _WORK_MEM,
                },
            )
        except _FAILURES as error:
            raise unusable(error, self.where) from error

    def _too_large(self) -> CommandRefused:
        text = (
            f"The answer is larger than {self._settings.max_answer_bytes} bytes; ask for fewer "
            f"rows or columns."
        )
        return CommandRefused("sql_too_large", text, "bad")


async def greet(database: Database, pbx: str) -> None:
    """Log whether SQL is offered. An error is told again to everybody who asks."""
    try:
        _log.info("sql_available", pbx=pbx, database=await database.check())
    except (CommandRefused, PbxUnreachable) as error:
        _log.error("sql_unavailable", pbx=pbx, reason=str(error))


def _check_characters(sql: str) -> None:
    """Raise CommandRefused if the statement has characters that PostgreSQL takes in no text."""
    wrong = _NO_CHARACTER.search(sql)
    if wrong is not None:
        text = (
            f"The SQL holds U+{ord(wrong[0]):04X} as character {wrong.start() + 1}, which no text "
            "in the database can have; leave it out."
        )
        raise CommandRefused("sql_error", text, "bad")


def _check_sizes(sql: str) -> None:
    """Raise CommandRefused if the statement makes giants by the sizes that it writes."""
    try:
        check_sizes(sql)
    except GiantSize as error:
        raise CommandRefused("sql_function_refused", str(error), "bad") from error


async def _check_functions(connection: BoundedConnection, sql: str) -> None:
    """Raise CommandRefused if the statement calls a function that it must not call."""
    names = await forbidden(connection, sql)
    if names:
        text = (
            f"The SQL may not call {', '.join(names[:5])}: only functions that compute, and "
            f"leave nothing behind."
        )
        raise CommandRefused("sql_function_refused", text, "bad")


def _encoded(names: list[str], records: list[asyncpg.Record], most: int) -> bytes:
    """Return the rows as JSON, with commas between them.

    Raises TooMuch if this is more than ``most``, and ValueError if a value cannot be read.
    """
    try:
        named = len(records) * sum(map(len, names))  # each row has all names, which came once
        if named + sum(map(unread_length, records)) > most:  # read, they take far more memory
            raise TooMuch
        rows = [dict(zip(names, map(jsonable, record), strict=True)) for record in records]
        return msgspec.json.encode(rows)[1:-1]
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _never(value: object) -> object:
    """Refuse to encode a value: nothing is sent but the statement itself."""
    raise NotImplementedError(value)


def _ssl(settings: DatabaseSettings) -> ssl.SSLContext | bool:
    if settings.tls == "off" or settings.host.startswith("/"):
        return False
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(f"database: ca_file cannot be read: {error}") from error
    if settings.ca_file is not None:  # as for the PBX: it may lack a key usage
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
