"""What is said of a monitor's file that cannot be used."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from monitor.shared.store_failure_text import damaged, explain


def test_a_file_of_another_user() -> None:
    assert explain(PermissionError(13, "Permission denied")).startswith(
        "may not be used by this user; run this with sudo, or give"
    )


def said_by_sqlite(file: Path, sql: str = "CREATE TABLE x (y)") -> str:
    with pytest.raises(sqlite3.Error) as caught, closing(sqlite3.connect(file, timeout=0)) as store:
        store.execute(sql)
    return explain(caught.value)


def test_a_file_that_is_no_database_is_damaged_and_a_backup_is_advised(tmp_path: Path) -> None:
    file = tmp_path / "callmon.db"
    file.write_bytes(b"not a database" * 100)
    assert said_by_sqlite(file).startswith(
        "cannot be used, it is damaged (file is not a database); stop the monitor and put a backup"
    )


def test_a_directory_that_is_not_there_is_told_with_the_rights_that_are_needed(
    tmp_path: Path,
) -> None:
    assert said_by_sqlite(tmp_path / "none" / "callmon.db") == (
        "cannot be opened or written (unable to open database file); run this with sudo, or give "
        "directory and file to the user that runs the monitor"
    )


def test_a_file_that_another_program_holds_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "callmon.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert said_by_sqlite(file) == (
            "cannot be used: another program holds it; each monitor needs its own state_dir"
        )


def test_a_full_disk_is_told_as_such() -> None:
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute("CREATE TABLE x (y)")
        store.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as caught:
            store.execute("INSERT INTO x VALUES (zeroblob(100000))")
    assert explain(caught.value) == "cannot be used: its disk is full; make room there"


def test_a_file_where_the_directory_should_be_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("", encoding="utf-8")
    for folder in (tmp_path / "state", tmp_path / "state" / "callmon"):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - which one is the system's choice
            folder.mkdir(parents=True, exist_ok=True)
        assert explain(caught.value) == (
            "cannot be made: what should be its directory is a file; correct state_dir"
        )


def test_what_has_no_explanation_is_told_in_the_systems_words(tmp_path: Path) -> None:
    assert explain(OSError(errno.EROFS, "Read-only file system")) == (
        "cannot be used: Read-only file system"
    )
    assert (
        said_by_sqlite(tmp_path / "x.db", "SELECT * FROM y") == "cannot be used: no such table: y"
    )


def test_a_finer_code_of_sqlites_is_told_as_its_kind() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 13 << 8  # IOERR_ACCESS
    assert explain(error) == (
        "cannot be used: its disk does not read or write it; see the system's log"
    )


def test_a_long_text_about_damage_is_one_short_line() -> None:
    found = damaged("row 1\n  missing  from index\n" * 100)
    assert "\n" not in found
    assert "(row 1 missing from index row 1" in found
    assert len(found) < 400
