"""Test settings that have a new name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from monitor.shared.errors import ConfigError
from monitor.shared.settings import environment
from monitor.shared.settings.loader import FileSettings
from monitor.shared.settings.renamed import RENAMED, new_name

ENTRIES = sorted(RENAMED.items())


def reader(old: str) -> type[FileSettings]:
    """The settings of the program that reads this one."""
    return GatewaySettings if old.startswith("gateway.") else MonitorSettings


def place(old: str) -> environment.Place:
    """Its place in the settings; of a list's entries, in the first."""
    top, *rest = old.split(".")
    return (top, 0, *rest) if top == "pbx" else (top, *rest)


def variable(at: environment.Place) -> str:
    return "CALLMON_" + "__".join(map(str, at)).upper()


def file_with(folder: Path, old: str) -> Path:
    """A file in which it stands under its old name, and nothing else is wrong."""
    *section, name = old.split(".")
    heading = ".".join(section)
    pbx = '[[pbx]]\nname = "main"\nurl = "https://pbx:5001"\nclient_id = "c"\nclient_secret = "s"\n'
    more = 'user = "callmon"\npassword = "x"\n' if heading == "pbx.database" else ""
    text = f"{name} = 5\n" if heading == "pbx" else f"[{heading}]\n{more}{name} = 5\n"
    file = folder / "callmon.toml"
    file.write_text(pbx + text, encoding="utf-8")
    return file


def refusal(settings: type[FileSettings], file: Path | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings.load(file)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(("old", "new"), ENTRIES)
def test_an_old_name_in_the_file_is_refused_with_the_new_one(
    tmp_path: Path, old: str, new: str
) -> None:
    file = file_with(tmp_path, old)
    assert refusal(reader(old), file) == [f"{file}: {environment.shown(place(old))} is now {new}"]


@pytest.mark.parametrize(("old", "new"), ENTRIES)
def test_an_old_name_in_the_environment_is_refused_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    at = place(old)
    monkeypatch.setenv(variable(at), "5")
    assert refusal(reader(old), None) == [f"{variable(at)} is now {variable((*at[:-1], new))}"]


@pytest.mark.parametrize(("old", "new"), ENTRIES)
def test_an_old_name_in_a_variable_with_a_whole_section_is_refused_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    file = file_with(tmp_path, old)
    name = old.rpartition(".")[2]
    file.write_text(file.read_text(encoding="utf-8").replace(f"{name} = 5\n", ""), encoding="utf-8")
    section = variable(place(old)[:-1])
    monkeypatch.setenv(section, json.dumps({name: 5}))
    assert refusal(reader(old), file) == [
        f"{section}: {environment.shown(place(old))} is now {new}"
    ]


@pytest.mark.parametrize(("old", "new"), ENTRIES)
def test_the_new_name_is_a_setting_and_the_old_one_is_none(old: str, new: str) -> None:
    section: Any = reader(old)
    *parts, name = old.split(".")
    for part in parts:
        annotation = section.model_fields[part].annotation
        section = environment.section_in(annotation) or environment.entry_in(annotation)
    assert new in section.model_fields
    assert name not in section.model_fields


def test_an_old_name_with_single_underscores_is_refused_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CALLMON_GATEWAY_STREAM_OLDEST", "60")
    assert refusal(GatewaySettings, None) == [
        (
            "CALLMON_GATEWAY_STREAM_OLDEST is not a setting; did you mean "
            "CALLMON_GATEWAY__STREAM__MAX_CONNECTION_AGE?"
        )
    ]


def test_what_was_not_renamed_has_no_new_name() -> None:
    assert new_name(("gateway", "port")) is None
    assert new_name(("pbx", 0, "silence")) == "silence_timeout"
