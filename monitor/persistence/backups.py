"""Back up the store while a monitor writes it, and restore it while none does.

- A backup is one SQLite file with nothing beside it. It keeps the schema of its store: nothing is
  migrated.
- A file is not restored if it is damaged, is not a store, or has a newer schema than this program
  knows.
- An existing file is not overwritten. The replaced store is kept beside the new one.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.persistence.directory_owner import as_owner_of
from monitor.persistence.sqlite_store import SCHEMA, audit_table, locked, too_new
from monitor.shared.errors import StoreFailed

_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite may keep beside its file."""
_MAGIC: Final = b"SQLite format 3\0"
_PATIENCE_S: Final = 5.0
"""Seconds to wait for a lock of SQLite."""
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class Contents:
    """Count what a store holds.

    ``keys``: API keys, revoked ones included. ``audits``: entries of the audit log.
    """

    schema: int
    keys: int
    audits: int

    def __str__(self) -> str:
        return (
            f"API keys: {self.keys}, entries of the audit log: {self.audits}, schema {self.schema}"
        )


def back_up(store: Path, file: Path) -> Contents:
    """Copy the store into a new file that only its owner can read: that of its directory, for root.

    Raises StoreFailed, and then leaves no file.
    """
    _must_be_readable(store, "no monitor has run here with this state_dir")
    with ExitStack() as stack:
        with as_owner_of(store.parent), _in_words(store):
            source = stack.enter_context(closing(_opened(store, "mode=rw")))
            source.execute("BEGIN")  # what is copied is read from files that are open now
            _check_whole(source, store)
        stack.enter_context(_new(file))
        return _copy(source, file)


def restore(file: Path, store: Path, stamp: str) -> tuple[Contents, Path | None]:
    """Put the backup in the store's place.

    Returns what the backup holds, and the path of the replaced store or None if there was none.
    ``stamp``: part of the name under which the replaced store is kept. Raises StoreFailed, and then
    changes nothing.
    """
    _must_be_readable(file, "name the file that callmon backup wrote")
    folder = store.parent
    try:
        lock = locked(folder, alone=True)
    except BlockingIOError as error:
        raise StoreFailed(_held(store)) from error
    except FileNotFoundError as error:
        raise StoreFailed(
            f"{folder} is not there: make it, for the user that the monitor runs as."
        ) from error
    except OSError as error:
        raise StoreFailed(
            f"{folder} cannot be used: {error.strerror}; run it with sudo."
        ) from error
    try:
        with closing(_readable(file)) as source, as_owner_of(folder), _beside(store) as new:
            contents = _copy(source, new)
            kept = _set_aside(store, stamp)
            new.replace(store)
        _to_disk(folder)
    finally:
        os.close(lock)
    return contents, kept


def _readable(file: Path) -> sqlite3.Connection:
    """Open a backup if it can be used. Raises StoreFailed."""
    # A file without side files is read without a lock: its directory may be read-only.
    alone = not any(_with(file, ending).exists() for ending in _BESIDE)
    with ExitStack() as stack:
        how = "mode=ro&immutable=1" if alone else "mode=ro"
        source = stack.enter_context(closing(_opened(file, how)))
        with _in_words(file):
            contents = _check_whole(source, file)
        if contents.schema > SCHEMA:
            raise StoreFailed(f"{file} {too_new(contents.schema)}")
        stack.pop_all()
    return source


def _copy(source: sqlite3.Connection, file: Path) -> Contents:
    with _in_words(file), closing(_opened(file, "mode=rw")) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that no side files remain
        contents = _check_whole(copy, file)
    _to_disk(file)
    return contents


def _check_whole(connection: sqlite3.Connection, file: Path) -> Contents:
    """Return what a store holds.

    Raises StoreFailed if it is damaged or no store of callmon.
    """
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise StoreFailed(f"{file} is damaged: {said}.")
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if not schema or not tables >= {"keys", audit_table(connection)}:
        raise StoreFailed(f"{file} is not a store of callmon.")
    (keys,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    query = f"SELECT count(*) FROM {audit_table(connection)} WHERE command != ''"  # noqa: S608 - one of two names
    (audits,) = connection.execute(query).fetchone()
    return Contents(schema, keys, audits)


@contextmanager
def _new(file: Path) -> Iterator[None]:
    """Make a file with the rights of its directory's owner; remove it if the block fails."""
    with ExitStack() as stack:
        try:
            stack.enter_context(as_owner_of(file.parent))
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise StoreFailed(
                f"{file} exists already and is not overwritten: name another file."
            ) from error
        except OSError as error:
            raise StoreFailed(f"{file} cannot be written: {error.strerror}.") from error
        try:
            yield
        except BaseException:
            _remove(file)
            raise


@contextmanager
def _beside(store: Path) -> Iterator[Path]:
    """Make a file beside the store that the monitor can use; remove its rest at the end."""
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f"{store.name}.", suffix=".new", dir=store.parent
        )
    except OSError as error:
        raise StoreFailed(
            f"{store.parent} cannot be written to: {error.strerror}; run it with sudo."
        ) from error
    new = Path(name)
    try:
        os.close(descriptor)
        yield new
    finally:
        _remove(new)


def _set_aside(store: Path, stamp: str) -> Path | None:
    """Rename the store and return its new path, or None if there is no store.

    Raises StoreFailed if another program has it open.
    """
    if not store.exists():
        return None
    _must_be_unused(store)
    kept = store.with_name(f"{store.name}.before-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = store.with_name(f"{store.name}.before-{stamp}-{number}")
    for ending in _BESIDE:
        with suppress(FileNotFoundError):
            _with(store, ending).rename(_with(kept, ending))
    store.rename(kept)
    return kept


def _must_be_unused(store: Path) -> None:
    """Raise StoreFailed if another program has the store open.

    This also finds a monitor older than 0.2, which has no lock except SQLite's.
    """
    if not store.is_file():  # a pipe would never open
        return
    with store.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:  # SQLite would delete its side files
            return
    try:
        with closing(_opened(store, "mode=rw", 0)) as connection:
            connection.execute(
                "PRAGMA journal_mode = DELETE"
            )  # needs exclusive access; merges the side files
    except sqlite3.Error as error:
        if error.sqlite_errorcode in _BUSY:
            raise StoreFailed(_held(store)) from error
        if error.sqlite_errorcode not in _DAMAGED:
            raise StoreFailed(f"{store} cannot be set aside: {error}.") from error


def _opened(file: Path, how: str, timeout: float = _PATIENCE_S) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?{how}", timeout=timeout, isolation_level=None, uri=True
    )


def _must_be_readable(file: Path, advice: str) -> None:
    try:
        file.stat()
    except FileNotFoundError as error:
        raise StoreFailed(f"{file} is not there: {advice}.") from error
    except OSError as error:
        raise StoreFailed(f"{file} cannot be read: {error.strerror}; run it with sudo.") from error
    if file.is_dir():
        raise StoreFailed(f"{file} is a directory: {advice}.")
    if not file.is_file():
        raise StoreFailed(f"{file} is no file: {advice}.")
    # Do not test by opening: closing the file would release SQLite's locks of this process.
    if not os.access(file, os.R_OK):
        raise StoreFailed(f"{file} cannot be read: {os.strerror(errno.EACCES)}; run it with sudo.")


@contextmanager
def _in_words(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreFailed(f"{file} cannot be used: {error}.") from error


def _held(store: Path) -> str:
    return (
        f"{store} is in use, by a monitor or another callmon: stop that first (systemctl stop "
        f"callmon-monitor)."
    )


def _with(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _remove(file: Path) -> None:
    for ending in ("", *_BESIDE):
        _with(file, ending).unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
