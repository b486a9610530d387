"""Test which settings file each command takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.commands import parsed
from tests.gateway.cli.console import callmon

COMMANDS = (
    "monitor",
    "gateway",
    "check",
    "audit",
    "backup there.db",
    "restore there.db",
    "record there.gz",
    "key list",
    "key new --name n",
    "key revoke n",
)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directory and the working directory, each with a settings file.

    Nothing is chosen.
    """
    for name in ("etc", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "callmon.toml").touch()
    monkeypatch.delenv("CALLMON_CONFIG")
    monkeypatch.setenv("CALLMON_ETC", str(tmp_path / "etc"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "etc"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_finds_the_same_file(
    etc: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments = command.split()

    def config(*more: str) -> Path | None:
        _, options = parsed([*arguments, *more])
        found: Path | None = options["config"]
        return found

    here = etc.parent / "work" / "callmon.toml"
    assert config() == etc / "callmon.toml"
    (etc / "callmon.toml").unlink()
    assert config() == here
    here.unlink()
    assert config() is None
    monkeypatch.setenv("CALLMON_CONFIG", "named.toml")
    assert config() == Path("named.toml")
    assert config("--config", "given.toml") == Path("given.toml")


async def test_check_says_first_which_file_it_read_and_which_not(etc: Path) -> None:
    unreachable = {"CALLMON_REDIS__URL": "redis://127.0.0.1:1"}

    async def first(*more: str) -> str:
        return (
            await callmon("check", "--gateway", *more, cwd=str(etc.parent / "work"), **unreachable)
        ).out.splitlines()[0]

    system, here = etc / "callmon.toml", etc.parent / "work" / "callmon.toml"
    taken = "; from the environment: CALLMON_REDIS__URL"
    assert await first() == f"ok    settings: {system} is read, and not {here}{taken}"
    assert (
        await first("--config", "callmon.toml")
        == f"ok    settings: callmon.toml is read, and not {system}{taken}"
    )
    system.unlink()
    assert await first() == f"ok    settings: {here} is read{taken}"
    here.unlink()
    none = (
        f"ok    settings: no file was found: there is neither {system} nor {here}; use --config or "
        "CALLMON_CONFIG to name"
    )
    assert (await first()).startswith(none)
