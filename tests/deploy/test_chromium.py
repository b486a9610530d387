"""Test that the tests use the browser that is installed.

It is installed only where that is asked for.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "chromium.sh"
APT = (
    'echo "$@" >>"$0.log"\n[ "$1" = update ] || [ -e "$0.updated" ] || { touch "$0.updated"; '
    "exit 100; }\n"
)
SUDO = 'echo "$@" >>"$0.log"\nexec "$@"\n'
TRIED = ["install chromium", "update", "install chromium"]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's programs: next to none."""
    for name in ("sh", "env", "timeout", "touch"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    program(tmp_path, "id", "echo 1000")
    return tmp_path


def program(machine: Path, name: str, text: str) -> None:
    (machine / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (machine / name).chmod(0o755)


def run(machine: Path, *arguments: str, **more: str) -> str:
    environment = {"PATH": str(machine), **more}
    done = subprocess.run(
        [SCRIPT, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def tried(machine: Path) -> list[str]:
    """What apt-get was asked for, without its options."""
    lines = (machine / "apt-get.log").read_text(encoding="utf-8").splitlines()
    return [" ".join(word for word in line.split() if not word.startswith("-")) for line in lines]


@pytest.mark.parametrize("arguments", [(), ("install",)])
def test_a_browser_that_is_there_is_used(machine: Path, arguments: tuple[str, ...]) -> None:
    program(machine, "chromium", "")
    program(machine, "apt-get", APT)
    assert run(machine, *arguments) == ""
    assert not (machine / "apt-get.log").exists()


def test_a_browser_that_is_named_is_used(machine: Path) -> None:
    assert run(machine, CALLMON_TEST_CHROMIUM="/opt/browser") == ""


@pytest.mark.parametrize("user", ["0", "1000"], ids=["root", "sudo without a password"])
def test_nothing_is_installed_unasked_but_the_command_is_said(machine: Path, user: str) -> None:
    program(machine, "id", f"echo {user}")
    program(machine, "apt-get", APT)
    program(machine, "sudo", SUDO)
    said = run(machine)
    assert "the tests of the pages are skipped" in said
    assert said.endswith(
        f"{'' if user == '0' else 'sudo '}apt-get install --no-install-recommends chromium\n"
    )
    assert not (machine / "apt-get.log").exists()
    assert not (machine / "sudo.log").exists()


def test_root_installs_it_when_asked_after_a_look_at_what_there_is(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", APT)
    command = "apt-get install --no-install-recommends chromium"
    assert run(machine, "install") == f"Installing Chromium for the tests of the pages: {command}\n"
    assert tried(machine) == TRIED


def test_another_user_installs_it_by_sudo_when_asked(machine: Path) -> None:
    program(machine, "apt-get", APT)
    program(machine, "sudo", SUDO)
    command = "sudo apt-get install --no-install-recommends chromium"
    assert run(machine, "install") == f"Installing Chromium for the tests of the pages: {command}\n"
    assert tried(machine) == TRIED


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({}, "no apt-get to install it"),
        ({"apt-get": APT}, "only root may install it"),
        ({"apt-get": APT, "sudo": "exit 1"}, "installing it failed"),
        ({"apt-get": "exit 100", "id": "echo 0"}, "installing it failed"),
    ],
    ids=["another system", "no sudo", "sudo refuses", "no network"],
)
def test_what_hinders_the_installation_is_said_in_a_sentence(
    machine: Path, programs: dict[str, str], says: str
) -> None:
    for name, text in programs.items():
        program(machine, name, text)
    said = run(machine, "install").splitlines()[-1]
    assert says in said
    assert said.endswith("apt-get install --no-install-recommends chromium")
