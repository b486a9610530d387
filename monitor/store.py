"""What must outlive Redis, in one SQLite file of this monitor: API keys, Idempotency-Keys, the audit log, the figures.

SQLite runs in a thread of its own, one statement after another. Every method commits before it returns. Without a file
the same is kept in memory, for as long as the process runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from monitor.audit import AuditEntry, share
from monitor.errors import ConfigError, StoreFailed
from monitor.model.apikeys import StoredKey, decode_key, encode_key
from monitor.model.version import VERSION
from monitor.model.wire import Malformed

ONCE_KEPT: Final = 86_400.0
"""Seconds for which an Idempotency-Key is remembered."""
AUDIT_DAYS: Final = 400
"""For which an entry of the audit log is kept, if there is room."""
AUDIT_BYTES: Final = 128 * 1024 * 1024
"""Of the whole log. What is too much goes from the keys that have most of it, oldest first."""
_AUDIT_SIZE: Final = "(200 + length(CAST(arguments AS BLOB)))"
"""An entry's bytes in the file, or a few more."""
_PURGE_EVERY: Final = 500
"""Written entries between two clearings."""

_MIGRATIONS: Final = (
    """
    CREATE TABLE once (digest TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at REAL NOT NULL, outcome BLOB);
    CREATE INDEX once_at ON once (at);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, pbx TEXT NOT NULL, key TEXT NOT NULL, client TEXT NOT NULL,
        command TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT NOT NULL
    );
    CREATE TABLE keys (
        pbx TEXT NOT NULL, name TEXT NOT NULL, changed_at REAL NOT NULL, record BLOB NOT NULL, PRIMARY KEY (pbx, name)
    );
    """,
    "CREATE TABLE figures (pbx TEXT PRIMARY KEY, saved BLOB NOT NULL);",
)
"""What leads from each version of the file (``user_version``) to the next. There is no way back."""
SCHEMA: Final = len(_MIGRATIONS)
"""The newest version of the file that is understood."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an Idempotency-Key. ``outcome``: None if its request was begun and never finished."""

    fingerprint: str
    outcome: bytes | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key. ``changed_at``: POSIX seconds; the newest of several wins. ``record``: the key in msgpack."""

    pbx: str
    name: str
    changed_at: float
    record: bytes


def locked(folder: Path, *, alone: bool) -> int:
    """Lock the directory of a store until the returned descriptor is closed.

    Everyone who has the store open shares the lock; who replaces the file has it ``alone``. Raises BlockingIOError if
    others hold it, OSError if the directory cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without such locks: SQLite's own are left
        pass
    return descriptor


def too_new(file: Path | None, version: int) -> str:
    """Say that a file has a newer schema than this program knows, and what to do."""
    return (
        f"{file} was written by a newer callmon (schema {version}; {VERSION} understands up to {SCHEMA}). Install that "
        "version again, or restore a backup that was made before the upgrade: callmon restore"
    )


def _purge_audit(db: sqlite3.Connection, now: float) -> None:
    """Delete what is too old, and of the keys that have most what is too much."""
    db.execute("DELETE FROM audit WHERE at < ?", (now - AUDIT_DAYS * 86_400,))
    sums = f"SELECT pbx, key, sum({_AUDIT_SIZE}) FROM audit GROUP BY pbx, key"  # noqa: S608 - a constant
    sizes = {(pbx, key): size for pbx, key, size in db.execute(sums)}
    most = share(sizes.values(), AUDIT_BYTES)
    for (pbx, key), size in sizes.items():
        if size > most:
            held = (
                f"SELECT id, sum({_AUDIT_SIZE}) OVER (ORDER BY id DESC) AS held FROM audit "  # noqa: S608 - a constant
                "WHERE pbx = ? AND key = ?"
            )
            db.execute(f"DELETE FROM audit WHERE id IN (SELECT id FROM ({held}) WHERE held > ?)", (pbx, key, most))  # noqa: S608


class Store:
    """The file at ``path``; None: memory. Open it with :meth:`open`, and close it. All else raises StoreFailed.

    ``migrate``: bring an older file to this program's schema. Who only reads must not do that to a running monitor.
    """

    def __init__(self, path: Path | None, *, migrate: bool = True) -> None:
        self._path = path
        self._migrates = migrate
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._written = 0

    async def open(self) -> None:
        """Open or make the file. Raises ConfigError if that cannot be."""
        try:
            await self._do(self._open)
        except BaseException:
            await self._do(self._close)  # cancelled: the thread opens it all the same, and closes it after that
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the file. May be called again."""
        await self._do(self._close)
        self._thread.shutdown()

    # Idempotency-Keys

    async def begin(self, digest: str, fingerprint: str, at: float) -> Known | None:
        """Note that a request under this key is begun; what is known if one was begun within a day before."""

        def begin(db: sqlite3.Connection) -> Known | None:
            db.execute("DELETE FROM once WHERE at < ?", (at - ONCE_KEPT,))
            row = db.execute("SELECT fingerprint, outcome FROM once WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                db.execute("INSERT INTO once (digest, fingerprint, at) VALUES (?, ?, ?)", (digest, fingerprint, at))
            return None if row is None else Known(*row)

        return await self._with(begin)

    async def finish(self, digest: str, outcome: bytes) -> None:
        """Note the outcome of the request under this key."""
        await self._with(lambda db: db.execute("UPDATE once SET outcome = ? WHERE digest = ?", (outcome, digest)))

    async def abandon(self, digest: str) -> None:
        """Nothing was done under this key: forget it."""
        await self._with(lambda db: db.execute("DELETE FROM once WHERE digest = ?", (digest,)))

    # the audit log

    async def audit(self, entry: AuditEntry) -> None:
        """Keep an entry. Old ones go after :data:`AUDIT_DAYS`, or as :data:`AUDIT_BYTES` says."""
        self._written += 1
        purge = self._written % _PURGE_EVERY == 1

        def keep(db: sqlite3.Connection) -> None:
            columns = (entry.at, entry.pbx, entry.key, entry.client, entry.command, entry.arguments, entry.result)
            db.execute(
                "INSERT INTO audit (at, pbx, key, client, command, arguments, result) VALUES (?, ?, ?, ?, ?, ?, ?)",
                columns,
            )
            if purge:
                _purge_audit(db, entry.at)

        await self._with(keep)

    async def audits(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
        query = "SELECT at, pbx, key, client, command, arguments, result FROM audit ORDER BY id DESC LIMIT ?"
        rows = await self._with(lambda db: db.execute(query, (limit,)).fetchall())
        return [AuditEntry(*row) for row in rows]

    # keys

    async def stored_keys(self, pbx: str) -> dict[str, StoredKey]:
        """All keys of a PBX by name, revoked ones included; what another version wrote and cannot be read is not."""
        found: dict[str, StoredKey] = {}
        for row in await self.keys(pbx):
            try:
                found[row.name] = decode_key(row.record)
            except Malformed:
                continue
        return found

    async def keep_key(self, pbx: str, key: StoredKey) -> None:
        """Keep a key, unless a newer change of it is kept."""
        await self.put_key(KeyRow(pbx, key.name, key.changed_at, encode_key(key)))

    async def keys(self, pbx: str) -> list[KeyRow]:
        """All keys of a PBX, revoked ones included."""
        query = "SELECT pbx, name, changed_at, record FROM keys WHERE pbx = ?"
        rows = await self._with(lambda db: db.execute(query, (pbx,)).fetchall())
        return [KeyRow(*row) for row in rows]

    async def put_key(self, row: KeyRow) -> None:
        """Keep a key, unless a newer change of it is here."""
        query = (
            "INSERT INTO keys (pbx, name, changed_at, record) VALUES (?, ?, ?, ?) ON CONFLICT (pbx, name) DO UPDATE "
            "SET changed_at = excluded.changed_at, record = excluded.record WHERE excluded.changed_at > changed_at"
        )
        await self._with(lambda db: db.execute(query, (row.pbx, row.name, row.changed_at, row.record)))

    # figures of the day

    async def figures(self, pbx: str) -> bytes | None:
        """What was kept last of a PBX's; None if nothing was."""
        query = "SELECT saved FROM figures WHERE pbx = ?"
        row = await self._with(lambda db: db.execute(query, (pbx,)).fetchone())
        return None if row is None else bytes(row[0])

    async def keep_figures(self, pbx: str, data: bytes) -> None:
        """Keep it in place of what was kept before."""
        await self._with(lambda db: db.execute("REPLACE INTO figures (pbx, saved) VALUES (?, ?)", (pbx, data)))

    # within

    async def _with(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def transaction() -> ResultT:
            if self._connection is None:
                raise RuntimeError("the store is not open")
            try:
                with self._connection:
                    return work(self._connection)
            except sqlite3.Error as error:
                raise StoreFailed(f"{self._path or 'The store in memory'}: {error}") from error

        return await self._do(transaction)

    async def _do(self, work: Callable[[], ResultT]) -> ResultT:
        # What was begun is finished, even if whoever waits is cancelled.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _open(self) -> None:
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = locked(self._path.parent, alone=False)
                self._path.touch(mode=0o600)  # whom somebody called is nobody's business; SQLite's side files follow it
            self._connection = sqlite3.connect(self._path or ":memory:", check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._migrate(self._connection)
        except BlockingIOError as error:
            raise ConfigError(
                f"[monitor] state_dir: {self._path} is just being restored; start again when that is done."
            ) from error
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise ConfigError(f"[monitor] state_dir: {self._path} cannot be used: {error}") from error
        except ConfigError:
            self._close()
            raise

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise ConfigError(f"[monitor] state_dir: {too_new(self._path, version)}")
        for number in range(version, SCHEMA if self._migrates else version):
            connection.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if connection is not None:
            connection.close()
        if lock is not None:
            os.close(lock)
