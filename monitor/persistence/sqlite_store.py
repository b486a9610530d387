"""What must outlive Redis, in one SQLite file of this monitor: API keys, commands, the figures, calls that ended.

Rules:

- Every monitor's file holds all of it at all times, whether it leads or stands by; see
  :mod:`monitor.leadership.standby`.
- What is kept is merged with what was there, so that it may come twice, late and from several sides.
- SQLite runs in a thread of its own, one statement after another. Every method commits before it returns, or raises
  StoreFailed, and then nothing of it is kept.
- Without a file the same is kept in memory, for as long as the process runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import structs

from monitor.persistence.audit_entry import AuditEntry, share
from monitor.persistence.command_record import CommandRecord, Stage, merged
from monitor.shared.api_keys import StoredKey, decode_key, encode_key, newest
from monitor.shared.codec import Malformed
from monitor.shared.errors import ConfigError, StartFailed, StoreFailed
from monitor.shared.store_failure_text import explain
from monitor.shared.version import VERSION

STORE: Final = "callmon.db"
"""The file in ``state_dir``."""
ONCE_KEPT: Final = 86_400.0
"""Seconds for which an Idempotency-Key is remembered."""
AUDIT_DAYS: Final = 400
"""For which an entry of the audit log is kept, if there is room."""
AUDIT_BYTES: Final = 128 * 1024 * 1024
"""Of the whole log. What is too much goes from the keys that have most of it, oldest first."""
_RECORD_BYTES: Final = "(300 + length(CAST(arguments AS BLOB)) + coalesce(length(outcome), 0))"
"""Of a command in the file, or a few more."""
ENDED_KEPT: Final = 3_000
"""Calls that ended, of a PBX."""
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
    """
    CREATE TABLE commands (
        request TEXT PRIMARY KEY, pbx TEXT NOT NULL, at REAL NOT NULL, gateway TEXT NOT NULL, key TEXT NOT NULL,
        client TEXT NOT NULL, command TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT NOT NULL,
        stage INTEGER NOT NULL, digest TEXT, fingerprint TEXT NOT NULL, outcome BLOB
    );
    CREATE INDEX commands_digest ON commands (digest) WHERE digest IS NOT NULL;
    CREATE INDEX commands_at ON commands (at);
    CREATE INDEX commands_begun ON commands (at) WHERE stage = 0;
    INSERT INTO commands
        SELECT 'audit-' || id, pbx, at, '', key, client, command, arguments, result, 3, NULL, '', NULL
        FROM audit ORDER BY id;
    INSERT INTO commands
        SELECT 'once-' || digest, '', at, '', '', '', '', '', '', iif(outcome IS NULL, 1, 3), digest, fingerprint,
        outcome FROM once;
    DROP TABLE audit;
    DROP TABLE once;
    CREATE TABLE ended (
        pbx TEXT NOT NULL, id TEXT NOT NULL, ended_at TEXT NOT NULL, call BLOB NOT NULL, PRIMARY KEY (pbx, id)
    );
    CREATE TABLE notes (pbx TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (pbx, name));
    """,
)
"""What leads from each version of the file (``user_version``) to the next. There is no way back."""
_COMMANDS_SINCE: Final = 3
"""The first schema that holds the audit log and Idempotency-Keys as records of commands."""
SCHEMA: Final = len(_MIGRATIONS)
"""The newest version of the file that is understood."""
_COLUMNS: Final = ", ".join(CommandRecord.__struct_fields__)
_SELECT: Final = f"SELECT {_COLUMNS} FROM commands"  # noqa: S608 - the columns are ours
_PLACES: Final = ", ".join("?" for _ in CommandRecord.__struct_fields__)
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in CommandRecord.__struct_fields__)
_UPSERT: Final = (
    f"INSERT INTO commands ({_COLUMNS}) VALUES ({_PLACES}) "  # noqa: S608 - likewise
    f"ON CONFLICT (request) DO UPDATE SET {_CHANGES}"
)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """What is known of an Idempotency-Key. ``outcome``: None if its request was begun and its end is not known."""

    fingerprint: str
    outcome: bytes | None


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


def too_new(version: int) -> str:
    """Say that a file has a newer schema than this program knows, and what to do."""
    return (
        f"was written by a newer callmon (schema {version}; {VERSION} understands up to {SCHEMA}). Install that "
        "version again, or restore a backup that was made before the upgrade: callmon restore"
    )


def audit_table(db: sqlite3.Connection) -> str:
    """Return the table with the audit log: who only reads may meet a file of an older schema."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return "audit" if version < _COMMANDS_SINCE else "commands"


def _purge_commands(db: sqlite3.Connection, now: float) -> None:
    """Delete what is too old, and of the keys that have most what is too much; no Idempotency-Key that still holds."""
    over, old = "(digest IS NULL OR at < ?)", now - ONCE_KEPT
    db.execute(f"DELETE FROM commands WHERE at < ? AND {over}", (now - AUDIT_DAYS * 86_400, old))  # noqa: S608
    sums = f"SELECT pbx, key, sum({_RECORD_BYTES}) FROM commands GROUP BY pbx, key"  # noqa: S608 - a constant
    sizes = {(pbx, key): size for pbx, key, size in db.execute(sums)}
    most = share(sizes.values(), AUDIT_BYTES)
    for (pbx, key), size in sizes.items():
        if size > most:
            held = (
                f"SELECT rowid AS id, sum({_RECORD_BYTES}) OVER (ORDER BY at DESC, rowid DESC) AS held "  # noqa: S608
                "FROM commands WHERE pbx = ? AND key = ?"
            )
            late = f"rowid IN (SELECT id FROM ({held}) WHERE held > ?)"  # noqa: S608 - a constant
            db.execute(f"DELETE FROM commands WHERE {late} AND {over}", (pbx, key, most, old))  # noqa: S608


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
        self.trouble = ""
        """Why the last writing failed; empty if it did not."""

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

    # commands: the audit log, and Idempotency-Keys

    async def begin(self, record: CommandRecord) -> KnownRequest | None:
        """Note that a command is begun, before the PBX is asked.

        If another command was begun under the same Idempotency-Key within a day and was not left undone, return what is
        known of that; this one is then noted as one without a key, and is not to be carried out.
        """

        def begin(db: sqlite3.Connection) -> KnownRequest | None:
            self._purge(db, record.at)
            row = None
            if record.digest is not None:
                row = db.execute(
                    "SELECT fingerprint, outcome FROM commands WHERE digest = ? AND request != ? AND at >= ? "
                    "AND stage != ? ORDER BY stage DESC, at DESC LIMIT 1",
                    (record.digest, record.request, record.at - ONCE_KEPT, Stage.UNDONE),
                ).fetchone()
            _merge(db, record if row is None else structs.replace(record, digest=None))
            return None if row is None else KnownRequest(*row)

        return await self._write(begin)

    async def merge(self, records: Iterable[CommandRecord]) -> None:
        """Keep each record, unless the kept one of its command is further; see ``command_record``."""
        records = tuple(records)

        def merge(db: sqlite3.Connection) -> None:
            self._purge(db, time.time())
            for record in records:
                _merge(db, record)

        await self._write(merge)

    async def commands(self, pbx: str, most: int) -> list[CommandRecord]:
        """Return the newest records of a PBX, newest first."""
        query = f"{_SELECT} WHERE pbx = ? ORDER BY at DESC LIMIT ?"
        rows = await self._with(lambda db: db.execute(query, (pbx, most)).fetchall())
        return [CommandRecord(*row) for row in rows]

    async def begun(self, pbx: str) -> list[CommandRecord]:
        """Return the records of commands whose end is not known, oldest first; some, if there are very many."""
        query = f"{_SELECT} WHERE stage = 0 AND pbx = ? ORDER BY at LIMIT 1000"
        rows = await self._with(lambda db: db.execute(query, (pbx,)).fetchall())
        return [CommandRecord(*row) for row in rows]

    async def audits(self, limit: int) -> list[AuditEntry]:
        """Return the newest entries of the audit log of all PBXs, newest first."""
        columns = "at, pbx, key, client, command, arguments, result"

        def newest(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            table = audit_table(db)
            query = f"SELECT {columns} FROM {table} WHERE command != '' ORDER BY at DESC, rowid DESC LIMIT ?"  # noqa: S608
            return db.execute(query, (limit,)).fetchall()

        return [AuditEntry(*row) for row in await self._with(newest)]

    def _purge(self, db: sqlite3.Connection, now: float) -> None:
        """Now and then drop what is too old, and not younger than a day under an Idempotency-Key."""
        self._written += 1
        if self._written % _PURGE_EVERY == 1:
            _purge_commands(db, now)

    # keys

    async def stored_keys(self, pbx: str) -> dict[str, StoredKey]:
        """All keys of a PBX by name, revoked ones included; what another version wrote and cannot be read is not."""
        query = "SELECT record FROM keys WHERE pbx = ?"
        rows = await self._with(lambda db: db.execute(query, (pbx,)).fetchall())
        keys = (_key(row) for row in rows)
        return {key.name: key for key in keys if key is not None}

    async def keep_key(self, pbx: str, key: StoredKey) -> None:
        """Keep a key, unless a newer change of it is kept."""

        def keep(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT record FROM keys WHERE pbx = ? AND name = ?", (pbx, key.name)).fetchone()
            if newest(key, None if row is None else _key(row)) == key:
                values = (pbx, key.name, key.changed_at, encode_key(key))
                db.execute("REPLACE INTO keys (pbx, name, changed_at, record) VALUES (?, ?, ?, ?)", values)

        await self._write(keep)

    # ended calls

    async def ended(self, pbx: str) -> dict[str, bytes]:
        """Return the calls that ended, by id, as they are on Redis."""
        query = "SELECT id, call FROM ended WHERE pbx = ?"
        return dict(await self._with(lambda db: db.execute(query, (pbx,)).fetchall()))

    async def keep_ended(self, pbx: str, calls: Mapping[str, tuple[str, bytes]], *, only: bool) -> None:
        """Keep these calls: id → when it ended, and the call. ``only``: others that are kept go if they are not here.

        At most ENDED_KEPT stay, the newest.
        """
        rows = [(pbx, id_, ended_at, call) for id_, (ended_at, call) in calls.items()]

        def keep(db: sqlite3.Connection) -> None:
            held = dict(db.execute("SELECT id, call FROM ended WHERE pbx = ?", (pbx,)).fetchall())
            new = [row for row in rows if held.get(row[1]) != row[3]]
            db.executemany("REPLACE INTO ended VALUES (?, ?, ?, ?)", new)
            if only:
                gone = [(pbx, id_) for id_ in held if id_ not in calls]
                db.executemany("DELETE FROM ended WHERE pbx = ? AND id = ?", gone)
            db.execute(
                "DELETE FROM ended WHERE pbx = ?1 AND rowid IN "
                "(SELECT rowid FROM ended WHERE pbx = ?1 ORDER BY ended_at DESC LIMIT -1 OFFSET ?2)",
                (pbx, ENDED_KEPT),
            )

        await self._write(keep)

    # notes

    async def note(self, pbx: str, name: str) -> str | None:
        """Return what was noted under this name; None if nothing was."""
        query = "SELECT value FROM notes WHERE pbx = ? AND name = ?"
        row = await self._with(lambda db: db.execute(query, (pbx, name)).fetchone())
        return None if row is None else str(row[0])

    async def keep_note(self, pbx: str, name: str, value: str) -> None:
        """Note it in place of what was noted before."""
        await self._write(lambda db: db.execute("REPLACE INTO notes VALUES (?, ?, ?)", (pbx, name, value)))

    # figures of the day

    async def figures(self, pbx: str) -> bytes | None:
        """What was kept last of a PBX's; None if nothing was."""
        query = "SELECT saved FROM figures WHERE pbx = ?"
        row = await self._with(lambda db: db.execute(query, (pbx,)).fetchone())
        return None if row is None else bytes(row[0])

    async def keep_figures(self, pbx: str, data: bytes) -> None:
        """Keep it in place of what was kept before."""
        await self._write(lambda db: db.execute("REPLACE INTO figures (pbx, saved) VALUES (?, ?)", (pbx, data)))

    # within

    async def probe(self) -> None:
        """Write something, to see whether that goes. Raises StoreFailed if it does not."""
        await self.keep_note("", "probe", str(time.time()))

    async def _write(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def write(db: sqlite3.Connection) -> tuple[ResultT, bool]:
            before = db.total_changes
            return work(db), db.total_changes != before

        try:
            result, written = await self._with(write)
        except StoreFailed as error:
            self.trouble = str(error)
            raise
        if written:  # where nothing had to be written, nothing is learned of the disk
            self.trouble = ""
        return result

    async def _with(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def transaction() -> ResultT:
            if self._connection is None:
                raise RuntimeError("the store is not open")
            try:
                with self._connection:
                    return work(self._connection)
            except sqlite3.Error as error:
                raise StoreFailed(f"{self._path or 'The store in memory'} {explain(error)}.") from error

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
            raise StartFailed(
                f"[monitor] state_dir: {self._path} is just being restored; start again when that is done."
            ) from error
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise StartFailed(f"[monitor] state_dir: {self._path} {explain(error)}.") from error
        except ConfigError:
            self._close()
            raise

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise ConfigError(f"[monitor] state_dir: {self._path} {too_new(version)}")
        for number in range(version, SCHEMA if self._migrates else version):
            connection.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if connection is not None:
            connection.close()
        if lock is not None:
            os.close(lock)


def _merge(db: sqlite3.Connection, record: CommandRecord) -> None:
    row = db.execute(f"{_SELECT} WHERE request = ?", (record.request,)).fetchone()
    held = None if row is None else CommandRecord(*row)
    if held is not None and merged(held, record) == held:
        return
    db.execute(_UPSERT, structs.astuple(record))


def _key(row: tuple[bytes]) -> StoredKey | None:
    try:
        return decode_key(row[0])
    except Malformed:
        return None
