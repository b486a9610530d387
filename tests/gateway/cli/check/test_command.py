"""Test what ``callmon check`` says of settings, secrets and its work as a whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gateway.cli.check.scene import check, said_of


@pytest.fixture(params=[False, True], ids=["there", "missing"])
def state_dir(request: pytest.FixtureRequest, settings: Path, tmp_path: Path) -> tuple[Path, bool]:
    """In the settings; and whether it is missing."""
    missing, folder = bool(request.param), tmp_path / "state"
    if not missing:
        folder.mkdir()
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f'[monitor]\nstate_dir = "{folder}"\n{text}', encoding="utf-8")
    return folder, missing


async def test_whether_the_state_dir_can_be_written_to_is_told(
    settings: Path, state_dir: tuple[Path, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, missing = state_dir
    await check.run(settings)
    made = f"ok    state_dir: {folder} is not there yet; the monitor makes it"
    assert (
        made if missing else f"ok    state_dir: {folder} can be written to"
    ) in capsys.readouterr().out


def keep_secret_in(settings: Path, file: Path) -> None:
    """Whether the file is there or not."""
    text = re.sub(
        r'client_secret = ".*"',
        f'client_secret_file = "{file}"',
        settings.read_text(encoding="utf-8"),
    )
    settings.write_text(text, encoding="utf-8")


async def test_a_secret_that_cannot_be_read_is_a_thing_to_put_right_like_others(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_secret_in(settings, tmp_path / "none")
    assert await said_of(settings, capsys) == [
        (
            f"WRONG PBX main: client_secret_file cannot be read: No such file or directory: "
            f"{tmp_path}/none"
        )
    ]


def add_section(settings: Path, client_id: str) -> None:
    """Another section for the same PBX."""
    text = settings.read_text(encoding="utf-8").partition('[[pbx]]\nname = "second"')[0]
    section = text[text.index("[[pbx]]") :].replace('"main"', '"second"')
    settings.write_text(text + section.replace('"callmon"', f'"{client_id}"'), encoding="utf-8")


async def test_one_api_client_for_two_sections_is_a_thing_to_put_right(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_section(settings, "callmon")
    assert await check.run(settings) == 1
    twice = "WRONG PBX second: it has the url and client_id of main; 3CX keeps one token a client"
    assert twice in capsys.readouterr().out
    add_section(settings, "other")
    await check.run(settings)
    assert "client_id of main" not in capsys.readouterr().out


async def test_a_gateways_settings_are_tried_without_any_secret_of_the_pbx(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_secret_in(settings, tmp_path / "none")
    assert await check.run(settings, gateway=True) == 0
    said = capsys.readouterr().out
    assert (
        "ok    rights on Redis, gateway of main: its user has all the rights that it needs" in said
    )
    assert "PBX main" not in said
