"""What outlives Redis and the process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import store as module
from monitor.audit import AuditEntry, masked, share
from monitor.errors import ConfigError
from monitor.store import KeyRow, Known, Store


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[Store]:
    store = Store(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def entry(command: str) -> AuditEntry:
    return AuditEntry(1.5, "main", "tester", "10.0.0.1", command, "num='101'", "success")


async def test_an_idempotency_key_is_known_from_its_beginning_with_its_outcome_from_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.begin("d", "f", 1.0) is None
        assert await store.begin("d", "other", 2.0) == Known("f", None)
        await store.finish("d", b"done")
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.begin("d", "f", 3.0) == Known("f", b"done")


async def test_an_abandoned_key_and_one_of_yesterday_are_new_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.begin("abandoned", "f", 1.0)
        await store.abandon("abandoned")
        assert await store.begin("abandoned", "f", 2.0) is None
        assert await store.begin("old", "f", 1.0) is None
        assert await store.begin("old", "f", 86_402.0) is None


async def test_the_audit_log_tells_the_newest_first_and_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AUDIT_BYTES", 3 * 230)
    monkeypatch.setattr(module, "_PURGE_EVERY", 2)
    async with opened(tmp_path / "callmon.db") as store:
        for number in range(7):
            await store.audit(entry(f"command.{number}"))
        kept = await store.audits(100)
        assert [held.command for held in kept] == ["command.6", "command.5", "command.4"]
        assert kept[0] == entry("command.6")
        assert len(await store.audits(1)) == 1


async def test_who_writes_without_end_drives_out_nobody_elses_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AUDIT_BYTES", 50_000)
    monkeypatch.setattr(module, "_PURGE_EVERY", 50)
    async with opened(tmp_path / "callmon.db") as store:
        for number in range(20):
            await store.audit(replace(entry(f"quiet.{number}"), key="quiet"))
        for number in range(1_001):
            await store.audit(replace(entry(f"loud.{number}"), key="loud", arguments="x" * 100))
        kept = await store.audits(10_000)
        assert [held.command for held in kept if held.key == "quiet"] == [f"quiet.{n}" for n in range(19, -1, -1)]
        loud = [held.command for held in kept if held.key == "loud"]
        assert 50 < len(loud) < 200
        assert loud == [f"loud.{number}" for number in range(1_000, 1_000 - len(loud), -1)]


async def test_entries_go_after_their_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PURGE_EVERY", 2)
    async with opened(tmp_path / "callmon.db") as store:
        now = 2e9
        for age_days in (401, 399, 0):
            await store.audit(replace(entry(f"{age_days}"), at=now - age_days * 86_400))
        assert [held.command for held in await store.audits(10)] == ["0", "399"]


@given(st.lists(st.integers(0, 1_000)), st.integers(0, 5_000))
def test_shares_fill_what_there_is_and_no_more(sizes: list[int], whole: int) -> None:
    most = share(sizes, whole)
    kept = sum(min(size, most) for size in sizes)
    assert kept <= whole
    assert kept == sum(sizes) if sum(sizes) <= whole else kept > whole - max(1, len(sizes))


async def test_the_newest_change_of_a_key_wins_and_a_revoked_one_stays_revoked(tmp_path: Path) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.put_key(KeyRow("main", "wall", 2.0, b"new"))
        await store.put_key(KeyRow("main", "wall", 1.0, b"old"))
        await store.put_key(KeyRow("branch", "wall", 1.0, b"other"))
        assert await store.keys("main") == [KeyRow("main", "wall", 2.0, b"new")]
        await store.put_key(KeyRow("main", "wall", 3.0, b"revoked"))
        await store.put_key(KeyRow("main", "wall", 2.5, b"late"))
        assert await store.keys("main") == [KeyRow("main", "wall", 3.0, b"revoked")]


async def test_without_a_file_it_is_kept_in_memory() -> None:
    async with opened(None) as store:
        await store.begin("d", "f", 1.0)
        assert await store.begin("d", "f", 1.0) == Known("f", None)


async def test_a_place_that_cannot_be_used_and_a_newer_file_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        await Store(tmp_path / "file" / "callmon.db").open()
    (tmp_path / "garbage.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="cannot be used"):
        await Store(tmp_path / "garbage.db").open()
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    said = (
        rf"newer callmon \(schema 99; .* understands up to {module.SCHEMA}\)\. Install that version again, or restore"
    )
    with pytest.raises(ConfigError, match=said):
        await Store(tmp_path / "newer.db").open()
    assert _open_below(tmp_path) == []


async def test_opening_that_is_cancelled_leaves_no_file_open(tmp_path: Path) -> None:
    opening = asyncio.create_task(Store(tmp_path / "callmon.db").open())
    await asyncio.sleep(0)  # the thread has it now
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert (tmp_path / "callmon.db").exists(), "it was too late to prevent it"
    assert _open_below(tmp_path) == []


def _open_below(directory: Path) -> list[Path]:
    """Return the files there that this process holds open."""
    links = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return [link.readlink() for link in links if link.readlink().is_relative_to(directory)]


async def test_who_only_reads_leaves_the_schema_of_a_running_monitor(tmp_path: Path) -> None:
    file = tmp_path / "callmon.db"
    with closing(sqlite3.connect(file)) as older:
        older.executescript(f"{module._MIGRATIONS[0]} PRAGMA user_version = 1;")
    reader = Store(file, migrate=False)
    await reader.open()
    assert await reader.audits(1) == []
    await reader.close()
    with closing(sqlite3.connect(file)) as older:
        assert older.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_store_that_is_just_being_restored_is_not_opened(tmp_path: Path) -> None:
    lock = module.locked(tmp_path, alone=True)
    with pytest.raises(ConfigError, match=r"callmon\.db is just being restored; start again"):
        await Store(tmp_path / "callmon.db").open()
    os.close(lock)
    async with opened(tmp_path / "callmon.db") as store, opened(tmp_path / "callmon.db") as reader:
        await store.audit(entry("command"))
        assert len(await reader.audits(1)) == 1


def test_secrets_do_not_stand_in_the_audit_log() -> None:
    line = masked({"num": "101", "authpass": "s3cret", "vmpin": "1234", "firstname": "x" * 2000})
    assert "s3cret" not in line
    assert "1234" not in line
    assert "num='101'" in line
    assert len(line) <= 1000


def test_no_padding_hides_what_a_long_value_says() -> None:
    sql = "select 1" + " " * 2_000 + ", pg_read_file('x')" + "\n" * 2_000 + "from recordings"
    line = masked({"query": sql, "count": "7"})
    for said in ("select 1", "pg_read_file", "from recordings", f"{len(sql)} characters", "count='7'"):
        assert said in line
    assert sha256(sql.encode()).hexdigest()[:16] in line
    head, tail = "select 'head', '" + "x" * 5_000, "y" * 5_000 + "' from tail"
    line = masked({"padding": "z" * 5_000, "query": head + tail, "last": "1"})
    assert "select 'head'" in line.replace("\\'", "'")
    assert "from tail" in line
    assert line.endswith("last='1'")
    assert len(line) < 2_000
    assert masked({"query": head + "1" + tail}) != masked({"query": head + "2" + tail})


async def test_the_file_and_those_beside_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = Store(tmp_path / "made" / "callmon.db")
        await store.open()
        try:
            modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "made").iterdir()}
        finally:
            await store.close()
    finally:
        os.umask(before)
    assert modes.keys() >= {"callmon.db", "callmon.db-wal"}
    assert set(modes.values()) == {0o600}
