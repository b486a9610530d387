"""Test backups of the store, and what happens after one is restored."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from monitor.persistence import backups
from monitor.persistence import sqlite_store as store_module
from monitor.persistence.backups import Contents, back_up, restore
from monitor.persistence.sqlite_store import SCHEMA
from monitor.shared.errors import StoreFailed
from tests.monitor.persistence.test_sqlite_store import key, opened, record

STAMP = "20261128T101500Z"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def db(state_dir: Path) -> Path:
    return state_dir / "callmon.db"


async def write(db: Path, *commands: str) -> None:
    async with opened(db) as store:
        for command in commands:
            await store.begin(record(command))


async def commands(db: Path) -> list[str]:
    async with opened(db) as store:
        return [kept.command.removeprefix("command.") for kept in await store.audits(100)]


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def held_by_another_process(db: Path) -> Iterator[None]:
    """Hold the file as a monitor before 0.2 does: no directory lock, but an SQLite connection."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM "
        "keys').fetchall(); "
        "print(1); sys.stdin.read()"
    )
    command = [sys.executable, "-uc", program, str(db)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


async def test_a_store_is_backed_up_while_it_is_written(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    async with opened(db) as store:
        await store.begin(record("before"))
        await store.keep_key("main", key("wall", 1.0))
        assert back_up(db, file) == Contents(SCHEMA, 1, 1)
        await store.begin(record("after"))
    assert set(everything(tmp_path)) == {"backup.db"}, "nothing is beside it"
    assert mode(file) == 0o600
    assert await commands(file) == ["before"]
    assert await commands(db) == ["after", "before"]


async def test_a_file_that_exists_is_not_overwritten(db: Path, tmp_path: Path) -> None:
    await write(db, "one")
    put(tmp_path / "backup.db", b"precious")
    with pytest.raises(StoreFailed, match=r"backup\.db exists already and is not overwritten"):
        back_up(db, tmp_path / "backup.db")
    assert everything(tmp_path) == {"backup.db": b"precious"}


async def test_a_store_that_is_damaged_or_not_there_gives_no_backup(
    db: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    with pytest.raises(StoreFailed, match=r"callmon\.db is not there: no monitor has run here"):
        back_up(db, file)
    await write(db, *map(str, range(500)))
    with pytest.raises(StoreFailed, match="cannot be written: No such file or directory"):
        back_up(db, tmp_path / "nowhere" / "backup.db")
    whole = everything(db.parent)["callmon.db"]
    put(db, whole[:8192] + b"x" * 4096 + whole[12_288:])
    with pytest.raises(StoreFailed, match=r"callmon\.db (is damaged|cannot be used): "):
        back_up(db, file)
    assert everything(tmp_path) == {}


async def test_a_backup_is_restored_and_the_store_before_is_kept(db: Path, tmp_path: Path) -> None:
    await write(db, "one")
    back_up(db, tmp_path / "backup.db")
    await write(db, "two")
    contents, kept = restore(tmp_path / "backup.db", db, STAMP)
    assert contents == Contents(SCHEMA, 0, 1)
    assert kept == db.with_name(f"callmon.db.before-{STAMP}")
    assert set(everything(db.parent)) == {"callmon.db", kept.name}
    assert mode(db) == 0o600
    assert await commands(kept) == ["two", "one"]
    assert await commands(db) == ["one"]
    _, again = restore(tmp_path / "backup.db", db, STAMP)
    assert again == db.with_name(f"callmon.db.before-{STAMP}-2"), (
        "nothing that is kept is overwritten"
    )


async def test_a_backup_is_restored_where_nothing_is_yet(db: Path, tmp_path: Path) -> None:
    await write(tmp_path / "backup.db", "one")
    assert restore(tmp_path / "backup.db", db, STAMP)[1] is None
    assert await commands(db) == ["one"]


def put_a_link_in_its_place(precious: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a copy's file become a link to ``precious`` between its making and its opening."""
    copy = backups._copy

    def copy_to_a_link(source: sqlite3.Connection, file: Path) -> Contents:
        file.unlink()
        file.symlink_to(precious)
        return copy(source, file)

    monkeypatch.setattr(backups, "_copy", copy_to_a_link)


def give_away(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, 12_345, 23_456)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
async def test_root_follows_no_link_of_the_monitors_user(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, precious = foreign / "callmon.db", tmp_path / "precious"
    await write(db, "one")
    back_up(db, tmp_path / "backup.db")
    put(precious, b"")
    give_away(foreign)
    put_a_link_in_its_place(precious, monkeypatch)
    with pytest.raises(StoreFailed, match="unable to open database file"):
        restore(tmp_path / "backup.db", db, STAMP)
    assert everything(tmp_path)["precious"] == b""
    assert await commands(db) == ["one"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
async def test_root_follows_no_link_in_anothers_directory_when_it_backs_up(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, precious = tmp_path / "callmon.db", tmp_path / "precious"
    await write(db, "one")
    put(precious, b"")
    give_away(foreign)
    put_a_link_in_its_place(precious, monkeypatch)
    with pytest.raises(StoreFailed, match="unable to open database file"):
        back_up(db, foreign / "backup.db")
    assert everything(tmp_path)["precious"] == b""
    monkeypatch.undo()
    back_up(db, foreign / "backup.db")
    assert owner(foreign / "backup.db") == (12_345, 23_456)
    assert mode(foreign / "backup.db") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
async def test_what_root_restores_belongs_to_the_monitors_user(
    foreign: Path, tmp_path: Path
) -> None:
    db = foreign / "callmon.db"
    await write(tmp_path / "backup.db", "one")
    give_away(foreign)
    restore(tmp_path / "backup.db", db, STAMP)
    assert owner(db) == (12_345, 23_456)
    assert mode(db) == 0o600


async def test_nothing_is_restored_while_a_monitor_holds_the_store(
    db: Path, tmp_path: Path
) -> None:
    await write(tmp_path / "backup.db", "one")
    async with opened(db) as store:
        await store.begin(record("two"))
        with pytest.raises(StoreFailed, match=r"callmon\.db is in use, .*: stop that first"):
            restore(tmp_path / "backup.db", db, STAMP)
    assert await commands(db) == ["two"]


async def test_a_monitor_of_before_0_2_is_found_too(db: Path, tmp_path: Path) -> None:
    await write(tmp_path / "backup.db", "one")
    await write(db, "two")
    with held_by_another_process(db), pytest.raises(StoreFailed, match=r"callmon\.db is in use"):
        restore(tmp_path / "backup.db", db, STAMP)
    assert await commands(db) == ["two"]
    assert set(everything(db.parent)) == {"callmon.db"}


async def test_what_cannot_be_used_is_not_restored(db: Path, tmp_path: Path) -> None:
    await write(db, "two")
    before = everything(db.parent)
    await write(tmp_path / "whole.db", *map(str, range(500)))
    put(tmp_path / "half.db", everything(tmp_path)["whole.db"][:20_000])
    put(tmp_path / "text.db", b"not a database" * 100)
    put(tmp_path / "empty.db", b"")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.executescript("CREATE TABLE somebody_elses (x); PRAGMA user_version = 1;")
    with closing(sqlite3.connect(tmp_path / "whole.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    for name, says in {
        "none.db": "is not there: name the file that callmon backup wrote",
        "half.db": "(is damaged|cannot be used): ",
        "text.db": "cannot be used: file is not a database",
        "empty.db": "is not a store of callmon",
        "other.db": "is not a store of callmon",
        "whole.db": rf"was written by a newer callmon \(schema 99; .* understands up to {SCHEMA}\)",
    }.items():
        with pytest.raises(StoreFailed, match=rf"{name} {says}"):
            restore(tmp_path / name, db, STAMP)
        assert everything(db.parent) == before, name
    with pytest.raises(StoreFailed, match="nowhere is not there: make it"):
        restore(tmp_path / "text.db", tmp_path / "nowhere" / "callmon.db", STAMP)


async def test_a_damaged_store_is_replaced_and_kept_with_what_is_beside_it(
    db: Path, tmp_path: Path
) -> None:
    await write(tmp_path / "backup.db", "one")
    put(db, b"damaged" * 1000)
    put(db.with_name("callmon.db-wal"), b"of the damaged one")
    _, kept = restore(tmp_path / "backup.db", db, STAMP)
    assert kept is not None
    assert everything(db.parent)[kept.name] == b"damaged" * 1000
    assert everything(db.parent)[f"{kept.name}-wal"] == b"of the damaged one"
    assert await commands(db) == ["one"]


async def test_a_pipe_in_the_stores_place_is_not_waited_for(db: Path, tmp_path: Path) -> None:
    await write(tmp_path / "backup.db", "one")
    os.mkfifo(db)
    with pytest.raises(StoreFailed, match=r"callmon\.db is no file"):
        back_up(db, tmp_path / "other.db")
    _, kept = restore(tmp_path / "backup.db", db, STAMP)
    assert kept is not None
    assert kept.is_fifo()
    assert await commands(db) == ["one"]


async def test_an_older_schema_is_restored_as_it_is_so_that_the_older_version_can_use_it(
    db: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(db)) as older:
        older.executescript(f"{store_module._MIGRATIONS[0]} PRAGMA user_version = 1;")
    assert back_up(db, tmp_path / "backup.db").schema == 1
    await write(db, "migrated")
    assert restore(tmp_path / "backup.db", db, STAMP)[0].schema == 1
    with closing(sqlite3.connect(db)) as restored:
        assert restored.execute("PRAGMA user_version").fetchone() == (1,)
    await write(db, "migrated again")
    assert await commands(db) == ["migrated again"]
