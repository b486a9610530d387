"""Test what outlives Redis and the process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from monitor.persistence import sqlite_store as module
from monitor.persistence.audit_entry import AuditEntry, share
from monitor.persistence.command_record import CommandRecord, Stage
from monitor.persistence.sqlite_store import KnownRequest, Store
from monitor.shared.api_keys import StoredKey
from monitor.shared.errors import ConfigError, StoreFailed


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[Store]:
    store = Store(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def record(request: str, digest: str | None = None, **changes: Any) -> CommandRecord:
    """A command that is begun."""
    begun = CommandRecord(
        *(request, "main", 1.0, "gateway", "tester", "10.0.0.1", f"command.{request}", "num='101'"),
        digest=digest,
        fingerprint="f" if digest else "",
    )
    return structs.replace(begun, **changes)


async def test_an_idempotency_key_is_known_from_its_beginning_with_its_outcome_from_its_end(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.begin(record("1", "d")) is None
        assert await store.begin(record("1", "d")) is None, "the same request"
        assert await store.begin(record("2", "d", fingerprint="other")) == KnownRequest("f", None)
        await store.merge([record("1", "d", stage=Stage.DONE, outcome=b"done")])
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.begin(record("3", "d")) == KnownRequest("f", b"done")


async def test_an_undone_attempt_and_one_of_yesterday_leave_the_key_free(tmp_path: Path) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.begin(record("1", "undone"))
        await store.merge([record("1", "undone", stage=Stage.UNDONE)])
        assert await store.begin(record("2", "undone")) is None
        assert await store.begin(record("3", "old")) is None
        assert await store.begin(record("4", "old", at=86_402.0)) is None


async def test_a_repetition_of_what_the_file_does_not_know_is_unknown_and_stays_so(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.begin(record("1", "d"), repeated=True) == KnownRequest("f", None)
        assert await store.begin(record("2", "d")) == KnownRequest("f", None)
        results = [entry.result for entry in await store.audits(10)]
        assert results.count("outcome_unknown") == 1
        await store.begin(record("3", "undone"))
        await store.merge([record("3", "undone", stage=Stage.UNDONE)])
        assert await store.begin(record("4", "undone"), repeated=True) is None
        await store.merge([record("5", "used again", stage=Stage.DONE)])
        days_later = record("6", "used again", at=200_000.0)
        again = await store.begin(days_later, repeated=True)
        assert again == KnownRequest("f", None), "what the file knows is no request of that day"


async def test_of_several_attempts_under_one_key_the_one_that_was_done_counts(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.merge(
            [record("2", "d", stage=Stage.DONE, outcome=b"done"), record("1", "d", at=2.0)]
        )
        assert await store.begin(record("3", "d", at=3.0)) == KnownRequest("f", b"done")


async def test_the_audit_log_tells_the_newest_first_and_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AUDIT_BYTES", 3 * 330)
    monkeypatch.setattr(module, "_PURGE_EVERY", 2)
    async with opened(tmp_path / "callmon.db") as store:
        await store.begin(record("0", "d"))
        for number in range(1, 8):
            await store.begin(record(str(number), at=float(number)))
        kept = await store.audits(100)
        assert [held.command for held in kept][:3] == ["command.7", "command.6", "command.5"]
        assert not {"command.1", "command.2"} & {held.command for held in kept}, "the oldest"
        assert kept[-1].command == "command.0", "an Idempotency-Key stands for it"
        assert kept[0] == AuditEntry(
            7.0, "main", "tester", "10.0.0.1", "command.7", "num='101'", "begun"
        )
        assert len(await store.audits(1)) == 1


@pytest.mark.parametrize("long", ["arguments", "client"])
async def test_who_writes_without_end_drives_out_nobody_elses_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: str
) -> None:
    monkeypatch.setattr(module, "AUDIT_BYTES", 50_000)
    monkeypatch.setattr(module, "_PURGE_EVERY", 50)
    async with opened(tmp_path / "callmon.db") as store:
        for number in range(20):
            await store.begin(record(f"quiet.{number}", key="quiet", at=float(number)))
        for number in range(1_001):
            await store.begin(
                record(f"loud.{number}", key="loud", at=float(number), **{long: "x" * 600})
            )
        kept = await store.audits(10_000)
        quiet = [f"command.quiet.{n}" for n in range(19, -1, -1)]
        assert [held.command for held in kept if held.key == "quiet"] == quiet
        loud = [held.command for held in kept if held.key == "loud"]
        assert 40 < len(loud) < 100
        assert loud == [f"command.loud.{number}" for number in range(1_000, 1_000 - len(loud), -1)]


async def test_entries_go_after_their_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PURGE_EVERY", 2)
    async with opened(tmp_path / "callmon.db") as store:
        now = 2e9
        for age_days in (401, 399, 0):
            await store.begin(record(f"{age_days}", at=now - age_days * 86_400))
        assert [held.command for held in await store.audits(10)] == ["command.0", "command.399"]


@given(st.lists(st.integers(0, 1_000)), st.integers(0, 5_000))
def test_shares_fill_what_there_is_and_no_more(sizes: list[int], whole: int) -> None:
    most = share(sizes, whole)
    kept = sum(min(size, most) for size in sizes)
    assert kept <= whole
    assert kept == sum(sizes) if sum(sizes) <= whole else kept > whole - max(1, len(sizes))


async def test_a_command_is_one_entry_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.begin(record("1"))
        assert [held.request for held in await store.begun("main")] == ["1"]
        await store.merge([record("1", stage=Stage.DONE, result="success")])
        await store.merge([record("1")])
        assert [held.result for held in await store.audits(10)] == ["success"]
        assert await store.begun("main") == []


def key(name: str, changed_at: float, *, revoked: bool = False) -> StoredKey:
    return StoredKey(name, "a" * 64, ("read",), changed_at, revoked=revoked)


async def test_the_newest_change_of_a_key_wins_and_a_revoked_one_stays_revoked(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.keep_key("main", key("wall", 2.0))
        await store.keep_key("main", key("wall", 1.0))
        await store.keep_key("branch", key("wall", 1.0))
        assert await store.stored_keys("main") == {"wall": key("wall", 2.0)}
        await store.keep_key("main", key("wall", 3.0, revoked=True))
        for late in (2.5, 3.0):
            await store.keep_key("main", key("wall", late))
        assert await store.stored_keys("main") == {"wall": key("wall", 3.0, revoked=True)}


async def test_calls_that_ended_are_added_or_replaced_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDED_KEPT", 3)
    async with opened(tmp_path / "callmon.db") as store:
        await store.change_ended("main", {"1": ("t1", b"1"), "2": ("t2", b"2")})
        await store.change_ended("main", {"3": ("t3", b"3"), "4": ("t4", b"4")})
        await store.replace_ended("branch", {"1": ("t1", b"1")})
        assert await store.ended("main") == {"2": b"2", "3": b"3", "4": b"4"}
        await store.change_ended("main", {"2": ("t2", b"two")}, gone=["3"])
        assert await store.ended("main") == {"2": b"two", "4": b"4"}
        await store.replace_ended("main", {"4": ("t4", b"four")})
        assert await store.ended("main") == {"4": b"four"}
        assert await store.ended("branch") == {"1": b"1"}


async def test_without_a_file_it_is_kept_in_memory() -> None:
    async with opened(None) as store:
        await store.begin(record("1", "d"))
        assert await store.begin(record("2", "d")) == KnownRequest("f", None)


async def test_a_file_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "callmon.db")
    for script in module._MIGRATIONS[:2]:
        old.executescript(script)
    old.execute("PRAGMA user_version = 2")
    values = (5.0, "main", "tester", "10.0.0.1", "ext.del", "num='101'", "success")
    old.execute("INSERT INTO audit VALUES (1, ?, ?, ?, ?, ?, ?, ?)", values)
    old.execute("INSERT INTO once VALUES ('d', 'f', 5.0, ?)", (b"done",))
    old.commit()
    old.close()
    async with opened(tmp_path / "callmon.db") as store:
        assert await store.audits(10) == [AuditEntry(*values)]
        assert await store.begin(record("1", "d", at=6.0)) == KnownRequest("f", b"done")


async def test_what_cannot_be_written_is_said_so_and_goes_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "callmon.db") as store:
        await store.begin(record("1", "d"))
        await store._with(lambda db: db.execute(f"PRAGMA max_page_count = {_pages(db)}"))
        with pytest.raises(StoreFailed, match="full"):
            await store.merge(
                [record(str(number), arguments="x" * 5_000) for number in range(2, 100)]
            )
        assert await store.commands("main", 10) == [record("1", "d")], "all of it or nothing"
        assert "full" in store.trouble
        assert await store.begun("main"), "it can be read"
        await store._with(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
        await store.probe()
        assert store.trouble == ""


def _pages(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    return int(pages)


async def test_a_place_that_cannot_be_used_and_a_newer_file_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="should be its directory is a file"):
        await Store(tmp_path / "file" / "callmon.db").open()
    (tmp_path / "garbage.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="cannot be used"):
        await Store(tmp_path / "garbage.db").open()
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    said = (
        rf"newer callmon \(schema 99; .* understands up to {module.SCHEMA}\)\. Install that "
        rf"version again, or restore"
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
    with pytest.raises(ConfigError, match=r"callmon\.db is being restored now; start again"):
        await Store(tmp_path / "callmon.db").open()
    os.close(lock)
    async with opened(tmp_path / "callmon.db") as store, opened(tmp_path / "callmon.db") as reader:
        await store.begin(record("1"))
        assert len(await reader.audits(1)) == 1


async def test_the_file_and_those_beside_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = Store(tmp_path / "made" / "callmon.db")
        await store.open()
        try:
            modes = {
                file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "made").iterdir()
            }
        finally:
            await store.close()
    finally:
        os.umask(before)
    assert modes.keys() >= {"callmon.db", "callmon.db-wal"}
    assert set(modes.values()) == {0o600}
