"""Test where a settings file is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import MonitorSettings
from monitor.shared.errors import ConfigError
from monitor.shared.settings.loader import found_files, places


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directory, while the working directory is another one."""
    for name in ("etc", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("CALLMON_ETC", str(tmp_path / "etc"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "etc"


def test_the_systems_file_is_looked_for_first_then_the_working_directorys(etc: Path) -> None:
    here = etc.parent / "work" / "callmon.toml"
    assert found_files() == []
    here.touch()
    assert found_files() == [here]
    (etc / "callmon.toml").touch()
    assert found_files() == [etc / "callmon.toml", here]


def test_a_file_is_found_once(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (etc / "callmon.toml").touch()
    monkeypatch.chdir(etc)
    assert found_files() == [etc / "callmon.toml"]


def test_unless_told_otherwise_the_system_is_etc_callmon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLMON_ETC")
    assert places() == (Path("/etc/callmon/callmon.toml"), Path("callmon.toml"))


def test_a_file_that_cannot_be_read_is_not_passed_over(etc: Path) -> None:
    (etc / "callmon.toml").symlink_to(etc / "nowhere")
    Path("callmon.toml").touch()
    first = found_files()[0]
    assert first == etc / "callmon.toml"
    with pytest.raises(ConfigError, match=f"{first}: cannot be read: No such file"):
        MonitorSettings.load(first)
