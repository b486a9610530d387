"""Keep what must outlive Redis in one SQLite file of this monitor.

It holds API keys, commands, the day's statistics and ended calls. Rules:

- Every monitor's file holds all of it at all times, whether it leads or stands by; see
  :mod:`monitor.leadership.standby_mirror`.
- New data is merged with what is there. So the same data may come twice, late and from several
  sides.
- SQLite runs in a thread of its own, one statement after another. Every method commits before it
  returns. If it raises StoreFailed, nothing of it is kept.
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
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import structs

from monitor.persistence.audit_entry import AuditEntry, share
from monitor.persistence.command_record import CommandRecord, Stage, merged
from monitor.shared.api_keys import StoredKey, decode_key, encode_key, newest
from monitor.shared.codec import Malformed
from monitor.shared.command_messages import MAX_TEXT
from monitor.shared.errors import ConfigError, StartFailed, StoreFailed
from monitor.shared.store_failure_text import explain
from monitor.shared.version import VERSION

STORE: Final = "callmon.db"
"""Name of the file in ``state_dir``."""
ONCE_KEPT_S: Final = 86_400.0
"""Seconds for which an Idempotency-Key is remembered."""
AUDIT_DAYS: Final = 400
"""Days for which an entry of the audit log is kept, if there is room."""
AUDIT_BYTES: Final = 128 * 1024 * 1024
"""Bytes of the whole audit log. The surplus is deleted from the keys with the most entries,
oldest first."""
_RECORD_BYTES: Final = (
    "(300 + length(CAST(key || client || arguments AS BLOB)) + coalesce(length(outcome), 0))"
)
"""SQL for the bytes of a command in the file; it may count a few too many."""
ENDED_KEPT: Final = 3_000
"""Number of ended calls kept of one PBX."""
LOST_RESULT: Final = "outcome_unknown"
"""The result in the audit log for a command of whose beginning alone a gateway knows."""
_PURGE_EVERY: Final = 500
"""Writes between two purges."""

_MIGRATIONS: Final = (
    """
    CREATE TABLE once (
        digest TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at REAL NOT NULL, outcome BLOB
    );
    CREATE INDEX once_at ON once (at);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, pbx TEXT NOT NULL, key TEXT NOT NULL,
        client TEXT NOT NULL, command TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT NOT NULL
    );
    CREATE TABLE keys (
        pbx TEXT NOT NULL, name TEXT NOT NULL, changed_at REAL NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (pbx, name)
    );
    """,
    "CREATE TABLE figures (pbx TEXT PRIMARY KEY, saved BLOB NOT NULL);",
    """
    CREATE TABLE commands (
        request TEXT PRIMARY KEY, pbx TEXT NOT NULL, at REAL NOT NULL, gateway TEXT NOT NULL,
        key TEXT NOT NULL, client TEXT NOT NULL, command TEXT NOT NULL, arguments TEXT NOT NULL,
        result TEXT NOT NULL,
        stage INTEGER NOT NULL, digest TEXT, fingerprint TEXT NOT NULL, outcome BLOB
    );
    CREATE INDEX commands_digest ON commands (digest) WHERE digest IS NOT NULL;
    CREATE INDEX commands_at ON commands (at);
    CREATE INDEX commands_begun ON commands (at) WHERE stage = 0;
    INSERT INTO commands
        SELECT 'audit-' || id, pbx, at, '', key, client, command, arguments, result,
        3, NULL, '', NULL FROM audit ORDER BY id;
    INSERT INTO commands
        SELECT 'once-' || digest, '', at, '', '', '', '', '', '', iif(outcome IS NULL, 1, 3),
        digest, fingerprint, outcome FROM once;
    DROP TABLE audit;
    DROP TABLE once;
    CREATE TABLE ended (
        pbx TEXT NOT NULL, id TEXT NOT NULL, ended_at TEXT NOT NULL, call BLOB NOT NULL,
        PRIMARY KEY (pbx, id)
    );
    CREATE TABLE notes (
        pbx TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (pbx, name)
    );
    """,
)
"""Statements that lead from each version of the file (``user_version``) to the next. There is no
way back."""
_COMMANDS_SINCE: Final = 3
"""The first schema that holds the audit log and Idempotency-Keys as records of commands."""
SCHEMA: Final = len(_MIGRATIONS)
"""The newest version of the file that this program understands."""
_COLUMNS: Final = ", ".join(CommandRecord.__struct_fields__)
_SELECT: Final = f"SELECT {_COLUMNS} FROM commands"  # noqa: S608 - the columns are ours
_PLACES: Final = ", ".join("?" for _ in CommandRecord.__struct_fields__)
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in CommandRecord.__struct_fields__)
_UPSERT: Final = (
    f"INSERT INTO commands ({_COLUMNS}) VALUES ({_PLACES}) "  # noqa: S608 - likewise
    f"ON CONFLICT (request) DO UPDATE SET {_CHANGES}"
)

EndedRows: TypeAlias = Mapping[str, tuple[str, bytes]]
"""A call's id → when it ended, and the call, encoded as on Redis."""
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """Hold what is known of the request that used an Idempotency-Key.

    ``outcome``: None if the request was begun and its end is not known.
    """

    fingerprint: str
    outcome: bytes | None


def locked(folder: Path, *, alone: bool) -> int:
    """Lock the directory of a store until the returned descriptor is closed.

    All programs that have the store open share the lock. A program that replaces the file takes it
    ``alone``. Raises BlockingIOError if others hold it, OSError if the directory cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without such locks: only SQLite's own remain
        pass
    return descriptor


def too_new(version: int) -> str:
    """Return the text that a file has a newer schema than this program knows, and what to do."""
    return (
        f"was written by a newer callmon (schema {version}; {VERSION} understands up to "
        f"{SCHEMA}). Install that "
        "version again, or restore a backup that was made before the upgrade: callmon restore"
    )


def audit_table(db: sqlite3.Connection) -> str:
    """Return the name of the table with the audit log.

    A program that only reads may open a file of an older schema, where the name differs.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return "audit" if version < _COMMANDS_SINCE else "commands"


def _purge_commands(db: sqlite3.Connection, now: float) -> None:
    """Delete old commands, and the surplus of the keys that have the most.

    An Idempotency-Key that is still valid is never deleted.
    """
    over, old = "(digest IS NULL OR at < ?)", now - ONCE_KEPT_S
    db.execute(f"DELETE FROM commands WHERE at < ? AND {over}", (now - AUDIT_DAYS * 86_400, old))  # noqa: S608
    sums = f"SELECT pbx, key, sum({_RECORD_BYTES}) FROM commands GROUP BY pbx, key"  # noqa: S608 - a constant
    sizes = {(pbx, key): size for pbx, key, size in db.execute(sums)}
    most = share(sizes.values(), AUDIT_BYTES)
    for (pbx, key), size in sizes.items():
        if size > most:
            held = (
                f"SELECT rowid AS id, sum({_RECORD_BYTES}) OVER (ORDER BY at DESC, rowid "  # noqa: S608
                f"DESC) AS held "
                "FROM commands WHERE pbx = ? AND key = ?"
            )
            late = f"rowid IN (SELECT id FROM ({held}) WHERE held > ?)"  # noqa: S608 - a constant
            db.execute(f"DELETE FROM commands WHERE {late} AND {over}", (pbx, key, most, old))  # noqa: S608


def _known(db: sqlite3.Connection, record: CommandRecord) -> KnownRequest | None:
    row = db.execute(
        "SELECT fingerprint, outcome FROM commands WHERE digest = ? AND request != ? AND at >= ? "
        "AND stage != ? ORDER BY stage DESC, at DESC LIMIT 1",
        (record.digest, record.request, record.at - ONCE_KEPT_S, Stage.UNDONE),
    ).fetchone()
    return None if row is None else KnownRequest(*row)


def _attempted(db: sqlite3.Connection, record: CommandRecord) -> bool:
    """Return whether there is any command of the last day under the same Idempotency-Key."""
    query = "SELECT 1 FROM commands WHERE digest = ? AND request != ? AND at >= ?"
    values = record.digest, record.request, record.at - ONCE_KEPT_S
    return db.execute(query, values).fetchone() is not None


class Store:
    """Keep data in the file at ``path``, or in memory if it is None.

    Call :meth:`open` first and :meth:`close` at the end. All other methods raise StoreFailed.
    ``migrate``: bring an older file to this program's schema. A program that only reads must not do
    that to a running monitor.
    """

    def __init__(self, path: Path | None, *, migrate: bool = True) -> None:
        self._path = path
        self._migrates = migrate
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._written = 0
        self.trouble = ""
        """The reason why the last write failed; empty if it succeeded."""
        self.key_writes = 0
        """Writes of API keys since this was made."""

    async def open(self) -> None:
        """Open or create the file. Raises ConfigError if that fails."""
        try:
            await self._do(self._open)
        except BaseException:
            await self._do(self._close)  # if cancelled, the thread still opens it; close it then
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the file. May be called more than once."""
        await self._do(self._close)
        self._thread.shutdown()

    # commands: the audit log, and Idempotency-Keys

    async def begin(self, record: CommandRecord, *, repeated: bool = False) -> KnownRequest | None:
        """Record that a command begins, before the PBX is asked.

        Another command may have begun under the same Idempotency-Key within a day without being
        left undone. Then return what is known of that one. The new command is recorded without a
        key and must not be carried out. ``repeated``: one has begun; if this file has no record of
        it, one of an unknown outcome takes its place.
        """

        def begin(db: sqlite3.Connection) -> KnownRequest | None:
            self._purge(db, record.at)
            known = _known(db, record)
            if known is None and repeated and not _attempted(db, record):
                request = f"lost-{record.request}"[:MAX_TEXT]
                _merge(
                    db,
                    structs.replace(
                        record, request=request, result=LOST_RESULT, stage=Stage.UNKNOWN
                    ),
                )
                known = KnownRequest(record.fingerprint, None)
            _merge(db, record if known is None else structs.replace(record, digest=None))
            return known

        return await self._write(begin)

    async def known(self, record: CommandRecord) -> KnownRequest | None:
        """Return what is known of an earlier command under the same Idempotency-Key; only read."""
        return await self._with(lambda db: _known(db, record))

    async def merge(self, records: Iterable[CommandRecord]) -> None:
        """Keep each record, unless the kept copy has a later stage.

        See :mod:`monitor.persistence.command_record`.
        """
        records = tuple(records)

        def merge(db: sqlite3.Connection) -> None:
            self._purge(db, time.time())
            for record in records:
                _merge(db, record)

        await self._write(merge)

    async def commands(self, pbx: str, most: int) -> list[CommandRecord]:
        """Return the newest records of a PBX, newest first, at most ``most``."""
        query = f"{_SELECT} WHERE pbx = ? ORDER BY at DESC LIMIT ?"
        rows = await self._with(lambda db: db.execute(query, (pbx, most)).fetchall())
        return [CommandRecord(*row) for row in rows]

    async def begun(self, pbx: str) -> list[CommandRecord]:
        """Return the records of commands whose end is not known, oldest first, at most 1000."""
        query = f"{_SELECT} WHERE stage = 0 AND pbx = ? ORDER BY at LIMIT 1000"
        rows = await self._with(lambda db: db.execute(query, (pbx,)).fetchall())
        return [CommandRecord(*row) for row in rows]

    async def audits(self, limit: int) -> list[AuditEntry]:
        """Return the newest entries of the audit log of all PBXs, newest first."""
        columns = "at, pbx, key, client, command, arguments, result"

        def newest(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            table = audit_table(db)
            query = (
                f"SELECT {columns} FROM {table} WHERE command != '' ORDER BY at DESC, rowid "  # noqa: S608
                f"DESC LIMIT ?"
            )
            return db.execute(query, (limit,)).fetchall()

        return [AuditEntry(*row) for row in await self._with(newest)]

    def _purge(self, db: sqlite3.Connection, now: float) -> None:
        """Delete old commands once in ``_PURGE_EVERY`` writes.

        Commands younger than a day under an Idempotency-Key stay.
        """
        self._written += 1
        if self._written % _PURGE_EVERY == 1:
            _purge_commands(db, now)

    # keys

    async def stored_keys(self, pbx: str) -> dict[str, StoredKey]:
        """Return all keys of a PBX by name, revoked ones included.

        Keys that another version wrote and that cannot be read are left out.
        """
        query = "SELECT record FROM keys WHERE pbx = ?"
        rows = await self._with(lambda db: db.execute(query, (pbx,)).fetchall())
        keys = (_key(row) for row in rows)
        return {key.name: key for key in keys if key is not None}

    async def keep_key(self, pbx: str, key: StoredKey) -> None:
        """Keep a key, unless a newer change of it is kept already."""

        def keep(db: sqlite3.Connection) -> None:
            row = db.execute(
                "SELECT record FROM keys WHERE pbx = ? AND name = ?", (pbx, key.name)
            ).fetchone()
            if newest(key, None if row is None else _key(row)) == key:
                values = (pbx, key.name, key.changed_at, encode_key(key))
                db.execute(
                    "REPLACE INTO keys (pbx, name, changed_at, record) VALUES (?, ?, ?, ?)", values
                )

        self.key_writes += 1
        await self._write(keep)

    # ended calls

    async def ended(self, pbx: str) -> dict[str, bytes]:
        """Return the ended calls by id, encoded as on Redis."""
        query = "SELECT id, call FROM ended WHERE pbx = ?"
        return dict(await self._with(lambda db: db.execute(query, (pbx,)).fetchall()))

    async def replace_ended(self, pbx: str, calls: EndedRows) -> None:
        """Keep these calls, and delete all others."""

        def replace(db: sqlite3.Connection) -> None:
            held = dict(db.execute("SELECT id, call FROM ended WHERE pbx = ?", (pbx,)).fetchall())
            new = {id_: row for id_, row in calls.items() if held.get(id_) != row[1]}
            _change_ended(db, pbx, new, held.keys() - calls.keys())

        await self._write(replace, durable=False)

    async def change_ended(self, pbx: str, calls: EndedRows, gone: Iterable[str] = ()) -> None:
        """Keep these calls too, and delete those with the ids ``gone``."""
        await self._write(lambda db: _change_ended(db, pbx, calls, gone), durable=False)

    # notes

    async def note(self, pbx: str, name: str) -> str | None:
        """Return the note under this name, or None if there is none."""
        query = "SELECT value FROM notes WHERE pbx = ? AND name = ?"
        row = await self._with(lambda db: db.execute(query, (pbx, name)).fetchone())
        return None if row is None else str(row[0])

    async def keep_note(self, pbx: str, name: str, value: str) -> None:
        """Write a note in place of the previous one of this name."""
        await self._write(
            lambda db: db.execute("REPLACE INTO notes VALUES (?, ?, ?)", (pbx, name, value))
        )

    # the day's statistics

    async def statistics(self, pbx: str) -> bytes | None:
        """Return the statistics of a PBX that were kept last, or None."""
        query = "SELECT saved FROM figures WHERE pbx = ?"
        row = await self._with(lambda db: db.execute(query, (pbx,)).fetchone())
        return None if row is None else bytes(row[0])

    async def save_statistics(self, pbx: str, data: bytes) -> None:
        """Keep the statistics in place of the previous ones."""
        await self._write(
            lambda db: db.execute("REPLACE INTO figures (pbx, saved) VALUES (?, ?)", (pbx, data)),
            durable=False,
        )

    # within

    async def probe(self) -> None:
        """Write something to see whether that works. Raises StoreFailed if it does not."""
        await self.keep_note("", "probe", str(time.time()))

    async def _write(
        self, work: Callable[[sqlite3.Connection], ResultT], *, durable: bool = True
    ) -> ResultT:
        """Write something.

        ``durable``: wait until the disk has it. What is not durable outlives the process all the
        same, but its last seconds may not outlive the machine.
        """

        def write(db: sqlite3.Connection) -> tuple[ResultT, bool]:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            before = db.total_changes
            return work(db), db.total_changes != before

        try:
            result, written = await self._with(write)
        except StoreFailed as error:
            self.trouble = str(error)
            raise
        if written:  # without a write nothing is known about the disk
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
                raise StoreFailed(
                    f"{self._path or 'The store in memory'} {explain(error)}."
                ) from error

        return await self._do(transaction)

    async def _do(self, work: Callable[[], ResultT]) -> ResultT:
        # The work is finished even if the waiting task is cancelled.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _open(self) -> None:
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = locked(self._path.parent, alone=False)
                self._path.touch(mode=0o600)  # private: it shows callers; side files get this mode
            self._connection = sqlite3.connect(self._path or ":memory:", check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._migrate(self._connection)
        except BlockingIOError as error:
            raise StartFailed(
                f"[monitor] state_dir: {self._path} is being restored now; start again when "
                f"that is done."
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
            connection.executescript(
                f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
            )

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


def _change_ended(db: sqlite3.Connection, pbx: str, calls: EndedRows, gone: Iterable[str]) -> None:
    """Write and delete calls that ended; of more than ``ENDED_KEPT``, the newest stay."""
    rows = [(pbx, id_, ended_at, call) for id_, (ended_at, call) in calls.items()]
    db.executemany("REPLACE INTO ended VALUES (?, ?, ?, ?)", rows)
    db.executemany("DELETE FROM ended WHERE pbx = ? AND id = ?", [(pbx, id_) for id_ in gone])
    db.execute(
        "DELETE FROM ended WHERE pbx = ?1 AND rowid IN "
        "(SELECT rowid FROM ended WHERE pbx = ?1 ORDER BY ended_at DESC LIMIT -1 OFFSET ?2)",
        (pbx, ENDED_KEPT),
    )


def _key(row: tuple[bytes]) -> StoredKey | None:
    try:
        return decode_key(row[0])
    except Malformed:
        return None
