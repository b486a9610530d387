"""Test whether the monitor can keep in ``state_dir`` what must outlive Redis."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.cli.check.finding import Finding
from monitor.persistence.directory_owner import as_owner_of
from monitor.persistence.sqlite_store import SCHEMA, STORE, too_new
from monitor.shared.store_failure_text import damaged, explain

_WHAT: Final = "state_dir"
_ENOUGH_BYTES: Final = 64 * 1024 * 1024
"""Bytes that should be free."""
_PATIENCE_S: Final = 5.0
"""Seconds to wait for a monitor that is writing."""


async def look_at(folder: Path | None) -> Finding:
    """Return the finding, as far as the present user can tell."""
    if folder is None:
        return Finding(
            _WHAT,
            (
                "none in [monitor]: keys made by command, Idempotency-Keys and the audit log are "
                "lost when the monitor ends"
            ),
        )
    return await asyncio.to_thread(_of_folder, folder)


def unreadable(file: Path) -> str:
    """Return why the monitor's file cannot be read and what to do; empty if it can."""
    try:
        kind = file.stat().st_mode
        if not stat.S_ISREG(kind):  # a pipe would never open
            what = "a directory" if stat.S_ISDIR(kind) else "a pipe or a device"
            return f"is {what}, and should be a file; move it away"
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    except (FileNotFoundError, NotADirectoryError):
        return "is not there: no monitor has run here with this state_dir"
    except (OSError, sqlite3.Error) as error:
        return explain(error)
    if version > SCHEMA:
        return too_new(version)
    return "" if version else "is empty: no monitor has run here with this state_dir"


def _of_folder(folder: Path) -> Finding:
    """Return the finding about the directory, its disk and the file in it."""
    try:
        if not folder.exists():
            return _absent(folder)
        with as_owner_of(folder):
            return _of_existing(folder)
    except OSError as error:
        return Finding(
            _WHAT, wrong=f"{folder} cannot be written to: {error.strerror}; {_remedy(error)}"
        )


def _of_existing(folder: Path) -> Finding:
    """Return the finding about a directory that is there. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder):
        pass
    present, free, alien = (folder / STORE).exists(), _free(folder), _alien(folder)
    if free < _ENOUGH_BYTES:
        return Finding(
            _WHAT, wrong=f"{folder} has {free // 1_048_576} MB left on its disk; make room there"
        )
    if alien:
        return Finding(_WHAT, wrong=alien)
    if present and (wrong := unreadable(folder / STORE) or _not_whole(folder / STORE)):
        return Finding(_WHAT, wrong=f"{folder / STORE} {wrong}")
    return Finding(
        _WHAT, f"{folder} can be written to" + (f"; {STORE} is whole" if present else "")
    )


def _not_whole(file: Path) -> str:
    """Return what is wrong with the file, or an empty text.

    Tests that all of it can be read and that it can be locked for a change.
    """
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE_S)
        ) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                return damaged(found)
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        return explain(error)
    return ""


def _absent(folder: Path) -> Finding:
    """Return a finding that says whether the monitor can make the directory. Raises OSError."""
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir():
        return Finding(
            _WHAT,
            wrong=f"{folder} cannot be made: {above} is not a directory; correct state_dir",
        )
    if os.access(above, os.W_OK | os.X_OK):
        return Finding(
            _WHAT,
            f"{folder} is not there yet; the monitor makes it, if its user may write to {above}",
        )
    wrong = (
        f"{folder} is not there, and this user may not make it in {above}; make it, and give "
        f"it to the user that"
    )
    return Finding(_WHAT, wrong=f"{wrong} the monitor runs as")


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return (
            "run this with sudo, or as the user that the monitor runs as; the directory must "
            "be that user's"
        )
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "state_dir names a directory"
    return "see its disk; the directory must be writable for the user that the monitor runs as"


def _free(folder: Path) -> int:
    """Return how many bytes are left for users other than root."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _alien(folder: Path) -> str:
    """Return what is wrong with files that do not belong to the directory's owner.

    Such files come from a monitor that was run by hand. Empty if there are none.
    """
    owner = folder.stat().st_uid
    for file in sorted(folder.glob(f"{STORE}*")):
        if file.stat().st_uid != owner:
            return (
                f"{file} is not the directory's owner's, so a monitor that runs as that user "
                f"cannot write it; "
                f"chown --reference={folder} {folder}/{STORE}*"
            )
    return ""
