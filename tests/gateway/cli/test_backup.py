"""``callmon backup`` and ``callmon restore``: the monitor's file copied and put back."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from monitor.persistence.sqlite_store import STORE, Store
from monitor.shared.errors import ConfigError, StoreFailed
from tests.gateway.cli.console import PBX, settings_file
from tests.gateway.cli.damaged_stores import made

backup: Any = importlib.import_module("gateway.cli.backup")  # the package's own name is the command


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return settings_file(tmp_path, f'[monitor]\nstate_dir = "{tmp_path}/state"\n{PBX}')


async def test_a_store_is_put_back_and_what_stood_there_is_kept(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, copy = tmp_path / "state" / STORE, tmp_path / "copy.db"
    await made(store)
    await backup.back_up(settings, copy)
    assert capsys.readouterr().out.startswith(f"{copy} is written and checked. API keys: 0, ")
    store.write_bytes(b"garbage" * 1_000)
    await backup.restore(settings, copy)
    restored, kept = capsys.readouterr().out.splitlines()
    assert restored.startswith(f"{store} is restored and checked. API keys: 0, ")
    [former] = [file for file in store.parent.iterdir() if file.read_bytes()[:7] == b"garbage"]
    assert kept == (
        f"The previous store is kept as {former}; remove it when you do not need it any more."
    )
    again = Store(store)
    await again.open()
    assert await again.audits(1) == []
    await again.close()


async def test_where_nothing_stood_nothing_is_said_to_be_kept(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await made(tmp_path / "copy.db")
    await backup.restore(settings, tmp_path / "copy.db")
    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_what_is_no_store_is_neither_copied_nor_put_back(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, bad = tmp_path / "state" / STORE, tmp_path / "bad.db"
    bad.write_bytes(b"garbage" * 1_000)
    await made(store)
    before = store.read_bytes()
    with pytest.raises((ConfigError, StoreFailed), match=r"bad\.db"):
        await backup.restore(settings, bad)
    with pytest.raises(StoreFailed, match=r"is a directory: name the file that callmon backup wro"):
        await backup.restore(settings, tmp_path)
    assert store.read_bytes() == before
    store.write_bytes(b"garbage" * 1_000)
    with pytest.raises((ConfigError, StoreFailed), match=STORE):
        await backup.back_up(settings, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["back_up", "restore"])
async def test_a_monitor_that_keeps_nothing_has_nothing_to_copy(
    command: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="There is no state_dir in \\[monitor\\]"):
        await getattr(backup, command)(settings_file(tmp_path, PBX), tmp_path / "copy.db")
