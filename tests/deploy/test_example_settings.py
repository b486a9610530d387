"""Test that deploy/callmon.example.toml and the settings' models say the same."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from gateway.config import GatewaySettings
from monitor.config import MonitorSettings, PbxSection

EXAMPLE = Path(__file__).parents[2] / "deploy" / "callmon.example.toml"
_UNITS = ("second", "bytes", "changes", "connections", "messages", "requests a minute", "number")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the file. ``active``: whether it is read. ``said``: what stands above it."""

    value: Any
    active: bool
    said: str


@dataclass(slots=True)
class Reader:
    """Goes through the file line by line; commented settings are settings."""

    settings: dict[str, Setting] = field(default_factory=dict)
    section: str = ""
    said: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        bare = line.removeprefix("#")
        if line.startswith("# ") or line in ("", "#"):
            self.said = [*self.said, line.removeprefix("# ")] if line else []
        elif header := re.fullmatch(r"\[\[?([a-z._]+)\]\]?", bare):
            self.section, self.said = header[1], []
        else:
            ((name, value),) = tomllib.loads(bare).items()
            place = f"{self.section}.{name}"
            assert place not in self.settings, f"{place} stands there twice"
            self.settings[place] = Setting(value, bare is line, " ".join(self.said))
            self.said = []


def example() -> dict[str, Setting]:
    reader = Reader()
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        reader.take(line)
    return reader.settings


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (tuple, UnionType):
        for inner in get_args(annotation):
            yield from models_in(inner)


def declared(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting of a model and of its sections, by its place in the file."""
    for name, info in model.model_fields.items():
        place = f"{at}.{name}" if at else name
        sections = list(models_in(info.annotation))
        for section in sections:
            yield from declared(section, place)
        if not sections and info.annotation is not Any:
            yield place, info


DECLARED = dict([*declared(GatewaySettings), *declared(MonitorSettings)])


def plain(default: Any) -> Any:
    """A default as TOML has it."""
    return json.loads(json.dumps(default, default=sorted))


def test_both_programs_load_it() -> None:
    monitor, gateway = MonitorSettings.load(EXAMPLE), GatewaySettings.load(EXAMPLE)
    assert gateway.pbx_names == ("main",)
    assert monitor.pbx[0] == PbxSection(
        name="main",
        url="https://pbx.example.com:5001",
        client_id="callmon",
        client_secret_file=Path("/run/credentials/callmon-monitor.service/pbx_main.secret"),
    )
    assert monitor.monitor.state_dir == Path("/var/lib/callmon")


def test_it_has_every_setting_and_no_other() -> None:
    assert set(example()) == set(DECLARED)


@pytest.mark.parametrize("place", sorted(DECLARED))
def test_a_setting_is_explained_and_shown_with_its_true_default(place: str) -> None:
    info, shown = DECLARED[place], example()[place]
    assert shown.said, f"{place} is not explained"
    if info.is_required():
        assert "Required." in shown.said
        return
    if info.default is None or info.default_factory not in (None, dict):
        assert "Default: " in shown.said
        return
    if "Default: " not in shown.said and "Required, unless" not in shown.said:
        default = info.get_default(call_default_factory=True)
        assert (shown.value, type(shown.value)) == (plain(default), type(plain(default)))


@pytest.mark.parametrize("place", sorted(DECLARED))
def test_a_number_has_its_unit(place: str) -> None:
    shown = example()[place]
    if isinstance(shown.value, int | float) and not isinstance(shown.value, bool):
        assert any(unit in shown.said.lower() for unit in _UNITS)


def test_with_every_setting_turned_on_it_is_still_accepted(tmp_path: Path) -> None:
    """All but those of which there may be only one: the examples' values are fit to be used."""
    instead = ("#client_secret = ", "#key", "#password = ")
    lines = [
        line
        if line.startswith(("# ", *instead)) and line != "#[[keys]]"
        else line.removeprefix("#")
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
    ]
    file = tmp_path / "callmon.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    monitor, gateway = MonitorSettings.load(file), GatewaySettings.load(file)
    assert monitor.pbx[0].database is not None
    assert gateway.keys[0].pbx == "main"


def test_no_secret_is_active() -> None:
    secret = [place for place, info in DECLARED.items() if SecretStr in get_args(info.annotation)]
    assert secret
    assert not [place for place in secret if example()[place].active]
