"""The monitor's directory, its disk and its file, in every state that keeps it from being used."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.check import state_directory
from tests.gateway.cli.damaged_stores import STATES, made


@pytest.mark.parametrize("state", STATES)
def test_a_file_of_the_monitor_that_cannot_be_used(tmp_path: Path, state: str) -> None:
    make, says, _ = STATES[state]
    file = tmp_path / "state" / "callmon.db"
    file.parent.mkdir()
    make(file)
    finding = asyncio.run(state_directory.look_at(file.parent))
    assert finding.wrong.startswith(f"{file} {says.rpartition(' (***')[0] or says}" if says else "")
    assert says or finding.detail == f"{file.parent} can be written to; callmon.db is whole"


async def test_a_directory_that_the_monitor_will_make_is_not_wrong(tmp_path: Path) -> None:
    finding = await state_directory.look_at(tmp_path / "deep" / "state")
    assert finding.detail == (
        f"{tmp_path}/deep/state is not there yet; the monitor makes it, if its user may write to "
        f"{tmp_path}"
    )
    (tmp_path / "file").touch()
    finding = await state_directory.look_at(tmp_path / "file" / "state")
    assert finding.wrong == (
        f"{tmp_path}/file/state cannot be made: {tmp_path}/file is not a directory; "
        f"correct state_dir"
    )
    finding = await state_directory.look_at(tmp_path / "file")
    assert (
        finding.wrong
        == f"{tmp_path}/file cannot be written to: Not a directory; state_dir names a directory"
    )


async def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_directory, "_ENOUGH_BYTES", 2**62)
    assert "MB left on its disk; make room there" in (await state_directory.look_at(tmp_path)).wrong


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_that_a_monitor_run_by_hand_has_left(foreign: Path) -> None:
    await made(foreign / "callmon.db")
    os.chown(foreign, 65_534, 65_534)
    finding = await state_directory.look_at(foreign)
    assert f"chown --reference={foreign} {foreign}/callmon.db*" in finding.wrong


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_root_opens_the_file_with_its_owners_rights(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(foreign / "callmon.db")
    for path in (foreign, foreign / "callmon.db"):
        os.chown(path, 65_534, 65_534)
    connect, users = sqlite3.connect, set()

    def connecting(*arguments: Any, **options: Any) -> Any:
        users.add(os.geteuid())
        return connect(*arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", connecting)
    finding = await state_directory.look_at(foreign)
    assert finding.detail == f"{foreign} can be written to; callmon.db is whole"
    assert users == {65_534}
    assert os.geteuid() == 0
