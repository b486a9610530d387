"""Files of the monitor in every state that keeps them from being used."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from monitor.persistence.sqlite_store import Store


def torn(file: Path) -> None:
    asyncio.run(made(file))
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + bytes(len(whole) - 4096))


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


async def made(file: Path) -> None:
    store = Store(file)
    await store.open()
    await store.close()


DAMAGED = "cannot be used, it is damaged ({}); stop the monitor and put a backup in its place"


STATES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "garbage": (
        lambda file: file.write_bytes(b"garbage" * 1000),
        *2 * (DAMAGED.format("file is not a database"),),
    ),
    "newer": (newer, *2 * ("was written by a newer callmon (schema ",)),
    "empty": (Path.touch, *2 * ("is empty: no monitor has run here with this state_dir",)),
    "directory": (Path.mkdir, *2 * ("is a directory, and should be a file; move it away",)),
    "pipe": (os.mkfifo, *2 * ("is a pipe or a device, and should be a file; move it away",)),
    "torn": (torn, DAMAGED.format("*** in database main *** Page"), "is damaged"),
    "whole": (lambda file: asyncio.run(made(file)), "", ""),
}
"""How a file comes to be so, what ``callmon check`` says of it, and what ``callmon audit``."""
