"""The first and the last line of each program's log, as its user sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.runtime.startup import settings_told


def test_a_second_settings_file_is_said_not_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, here = tmp_path / "etc" / "callmon.toml", tmp_path / "callmon.toml"
    system.parent.mkdir()
    monkeypatch.setenv("CALLMON_ETC", str(system.parent))
    monkeypatch.chdir(tmp_path)
    here.touch()
    assert settings_told(here) == {"settings": str(here), "settings_not_read": None}
    system.touch()
    assert settings_told(system) == {"settings": str(system), "settings_not_read": str(here)}
    assert settings_told(here) == {"settings": str(here), "settings_not_read": None}, (
        "it was chosen"
    )
    assert settings_told(None)["settings"] == "none"
