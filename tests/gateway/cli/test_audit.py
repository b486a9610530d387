"""``callmon audit``: who changed what, from the file that the monitor left."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest

from monitor.persistence.command_record import CommandRecord
from monitor.persistence.sqlite_store import STORE, Store
from monitor.shared.errors import CallmonError, ConfigError
from tests.gateway.cli.console import PBX, settings_file
from tests.gateway.cli.damaged_stores import STATES

audit: Any = importlib.import_module("gateway.cli.audit")  # the package's own name is the command


def settings_of(folder: Path) -> Path:
    return settings_file(folder, f'[monitor]\nstate_dir = "{folder}"\n{PBX}')


@pytest.fixture
async def settings(tmp_path: Path) -> Path:
    """Of a monitor that has carried out three commands."""
    store = Store(tmp_path / STORE)
    await store.open()
    for number in (1, 2, 3):
        await store.begin(
            CommandRecord(
                *(f"{number}", "main", float(number), "gateway", "wall", "10.0.0.1"),
                *("ext.del", f"num='10{number}'"),
            )
        )
    await store.close()
    return settings_of(tmp_path)


async def test_the_newest_are_shown_the_oldest_of_them_first(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await audit.run(settings, 2)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["when", "PBX", "key", "from", "command", "with", "result"]
    assert [row.split()[:6] for row in rows] == [
        ["1970-01-01T00:00:02.000Z", "main", "wall", "10.0.0.1", "ext.del", "num='102'"],
        ["1970-01-01T00:00:03.000Z", "main", "wall", "10.0.0.1", "ext.del", "num='103'"],
    ]


@pytest.mark.parametrize("state", STATES)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, _, says = STATES[state]
    make(tmp_path / STORE)
    if not says:
        asyncio.run(audit.run(settings_of(tmp_path), 5))
        assert capsys.readouterr().out == "Nothing has been changed yet.\n"
        return
    with pytest.raises(CallmonError) as caught:
        asyncio.run(audit.run(settings_of(tmp_path), 5))
    assert str(caught.value).startswith(f"{tmp_path / STORE} ")
    assert says in str(caught.value)


async def test_an_audit_log_that_was_never_begun(tmp_path: Path) -> None:
    settings = settings_file(tmp_path, f'[monitor]\nstate_dir = "{tmp_path}/none"\n{PBX}')
    with pytest.raises(
        ConfigError, match="is not there: no monitor has run here with this state_dir"
    ):
        await audit.run(settings, 5)
    assert not (tmp_path / "none").exists(), "who only reads makes nothing"


async def test_a_monitor_that_keeps_nothing_has_no_audit_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no state_dir in \\[monitor\\]"):
        await audit.run(settings_file(tmp_path, PBX), 5)
    with pytest.raises(ConfigError, match="as no settings file was found: neither /"):
        await audit.run(None, 5)
