"""How tests come by a browser: what is there is used, what may be installed is, and else it is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "chromium.sh"
APT = 'echo "$@" >>"$0.log"\n[ "$1" = update ] || [ -e "$0.updated" ] || { touch "$0.updated"; exit 100; }\n'


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


def run(machine: Path, **more: str) -> str:
    done = subprocess.run(
        [SCRIPT], env={"PATH": str(machine), **more}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_browser_that_is_there_is_used(machine: Path) -> None:
    program(machine, "chromium", "")
    program(machine, "apt-get", APT)
    assert run(machine) == ""
    assert not (machine / "apt-get.log").exists()


def test_a_browser_that_is_named_is_used(machine: Path) -> None:
    assert run(machine, CALLMON_TEST_CHROMIUM="/opt/browser") == ""


def test_root_has_it_installed_after_a_look_at_what_there_is(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", APT)
    assert run(machine) == "Installing Chromium from Debian's packages, for the tests of the pages.\n"
    tried = (machine / "apt-get.log").read_text(encoding="utf-8").splitlines()
    assert [line.endswith(" chromium") for line in tried] == [True, False, True]
    assert tried[1] == "update -qq"


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({}, "no apt-get to install it"),
        ({"apt-get": APT}, "only root may install it"),
        ({"apt-get": APT, "sudo": "exit 1"}, "only root may install it"),
        ({"apt-get": "exit 100", "id": "echo 0"}, "installing it failed"),
    ],
    ids=["another system", "nobody", "sudo with a password", "no network"],
)
def test_what_is_missing_is_said_in_a_sentence(machine: Path, programs: dict[str, str], says: str) -> None:
    for name, text in programs.items():
        program(machine, name, text)
    said = run(machine).splitlines()[-1]
    assert says in said
    assert said.endswith("As root: apt-get install chromium")
