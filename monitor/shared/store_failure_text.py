"""Explain to administrators why the monitor's own file cannot be used. Pure."""

from __future__ import annotations

import sqlite3
from typing import Final

_LONGEST: Final = 200
"""Characters that are shown of SQLite's text."""
_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_WHY: Final = {
    sqlite3.SQLITE_FULL: "its disk is full; make room there",
    sqlite3.SQLITE_BUSY: "another program holds it; each monitor needs its own state_dir",
    sqlite3.SQLITE_IOERR: "its disk does not read or write it; see the system's log",
}
_OTHERS: Final = "run this with sudo, or give directory and file to the user that runs the monitor"
_NOT_OURS: Final = frozenset(
    (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
)


def explain(error: OSError | sqlite3.Error) -> str:
    """Return what is wrong with the file and what would be right.

    It is the rest of a sentence that begins with the file's name.
    """
    if isinstance(error, PermissionError):
        return f"may not be used by this user; {_OTHERS}"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "cannot be made: what should be its directory is a file; correct state_dir"
    if isinstance(error, OSError):
        return f"cannot be used: {error.strerror}"
    code = (
        getattr(error, "sqlite_errorcode", 0) & 0xFF
    )  # the upper bits tell more than is needed here
    if code in _DAMAGED:
        return damaged(str(error))
    if code in _NOT_OURS:
        return f"cannot be opened or written ({error}); {_OTHERS}"
    return f"cannot be used: {_WHY.get(code, str(error))}"


def damaged(said: str) -> str:
    """Return what to do about a damaged file. ``said``: SQLite's text."""
    return (
        f"cannot be used, it is damaged ({' '.join(said.split())[:_LONGEST]}); stop the monitor "
        f"and put a backup in "
        "its place, or move it away: keys made by command and the audit log are lost then"
    )
