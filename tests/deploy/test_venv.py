"""Test how the environment is made: which Python, which installer, only locked hashes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PYTHON = """#!/bin/sh
# An interpreter as venv.sh uses it: says its version, makes an environment, notes what pip is asked
# for.
has_pip={has_pip}
case "$*" in
    *"not (3, 11)"*) exec {python} -c "import sys; sys.version_info = {version}; $2" ;;
    "-c "*) echo "{version}" ;;
    --version) echo "Python {version}" ;;
    "-m venv "*)
        case "$*" in *--without-pip*) with_pip=false ;; *) with_pip={venv_pip} ;; esac
        for directory; do :; done
        mkdir -p "$directory/bin"
        sed "s/^has_pip=.*/has_pip=$with_pip/" "$0" >"$directory/bin/python"
        chmod +x "$directory/bin/python"
        $with_pip || case "$*" in *--without-pip*) ;; *) exit 1 ;; esac ;;
    "-m pip --version") $has_pip ;;
    "-m pip "*) echo "$0 $*" >>"{log}" ;;
esac
"""


class Machine:
    """A copy of the script in a project of its own, and the interpreters that the machine has."""

    def __init__(self, directory: Path) -> None:
        self.project, self._path, self._log = (
            directory / "project",
            directory / "bin",
            directory / "log",
        )
        (self.project / "deploy").mkdir(parents=True)
        self._path.mkdir()
        shutil.copy(ROOT / "deploy" / "venv.sh", self.project / "deploy" / "venv.sh")
        for name in ("sh", "rm", "mkdir", "sed", "chmod", "dirname"):
            found = shutil.which(name)
            assert found is not None
            (self._path / name).symlink_to(found)

    def python(
        self, name: str, version: tuple[int, int], *, pip: bool = False, venv_pip: bool = True
    ) -> None:
        words = {True: "true", False: "false"}
        text = PYTHON.format(
            has_pip=words[pip],
            python=sys.executable,
            version=version,
            venv_pip=words[venv_pip],
            log=self._log,
        )
        self._program(name, text)

    def uv(self) -> None:
        self._program("uv", f'#!/bin/sh\necho "uv $*" >>"{self._log}"\n')

    def _program(self, name: str, text: str) -> None:
        (self._path / name).write_text(text, encoding="utf-8")
        (self._path / name).chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.project / "deploy" / "venv.sh"), "requirements.lock"]
        given = {"PATH": str(self._path), **environment}
        return subprocess.run(
            command, env=given, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def installed(self) -> list[str]:
        """The installers' commands."""
        return self._log.read_text(encoding="utf-8").replace(str(self._path), "").splitlines()

    @property
    def version(self) -> str:
        """Of the environment."""
        command = [str(self.project / ".venv" / "bin" / "python"), "-c", ""]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _assert_only_hashed(commands: list[str]) -> None:
    packages, ours = commands
    assert packages.endswith(
        "install -q --only-binary :all: --require-hashes -r requirements.lock"
    ) or (
        packages.startswith("uv ")
        and packages.endswith("--only-binary :all: --require-hashes -r requirements.lock")
    )
    assert ours.endswith("--no-deps --no-build-isolation -e .")


def test_python3_is_taken_if_it_is_new_enough(machine: Machine) -> None:
    machine.python("python3", (3, 14))
    machine.python("python3.13", (3, 13))
    assert machine.run().returncode == 0
    assert machine.version == "(3, 14)"
    _assert_only_hashed(machine.installed)


def test_an_old_python3_is_passed_over_for_the_newest_beside_it(machine: Machine) -> None:
    machine.python("python3", (3, 9))
    machine.python("python3.11", (3, 11))
    machine.python("python3.14", (3, 14))
    assert machine.run().returncode == 0
    assert machine.version == "(3, 14)"


def test_without_any_it_is_said_what_is_needed(machine: Machine) -> None:
    machine.python("python3", (3, 9))
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.startswith("callmon needs Python 3.11 or newer, ")
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.parametrize("name", ["python3.9", "python7"])
def test_one_that_is_named_and_does_not_fit_is_said(machine: Machine, name: str) -> None:
    machine.python("python3", (3, 14))
    machine.python("python3.9", (3, 9))
    done = machine.run(PYTHON=name)
    assert (done.returncode, done.stderr) == (
        1,
        f"{name} is not Python 3.11 or newer, which callmon needs.\n",
    )


def test_another_python_that_is_named_makes_the_environment_anew(machine: Machine) -> None:
    machine.python("python3", (3, 14))
    machine.python("python3.12", (3, 12))
    assert machine.run().returncode == 0
    assert machine.run(PYTHON="python3.12").returncode == 0
    assert machine.version == "(3, 12)"
    assert machine.run().returncode == 0
    assert machine.version == "(3, 12)", "it is kept where none is named"


def test_the_systems_pip_fills_an_environment_without_one(machine: Machine) -> None:
    machine.python("python3", (3, 13), pip=True, venv_pip=False)
    assert machine.run().returncode == 0
    assert all("-m pip --python .venv/bin/python install" in line for line in machine.installed)
    _assert_only_hashed(machine.installed)


def test_uv_fills_an_environment_where_there_is_no_pip(machine: Machine) -> None:
    machine.python("python3", (3, 13), venv_pip=False)
    machine.uv()
    assert machine.run().returncode == 0
    assert all(line.startswith("uv pip install") for line in machine.installed)
    _assert_only_hashed(machine.installed)


def test_without_any_installer_it_is_said_what_to_install(machine: Machine) -> None:
    machine.python("python3", (3, 13), venv_pip=False)
    done = machine.run()
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert not (machine.project / ".venv").exists()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_has_hashes_of_all_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    pins = re.findall(r"^\S+==(?:[^\\\n]|\\\n)*", text, re.MULTILINE)
    assert len(pins) > 20
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text


def _locked(name: str) -> dict[str, str]:
    """Return each pinned package with its version and hashes, without markers and comments."""
    text = re.sub(
        r"^ +#.*\n| ;.*(?= \\\n)", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {pin.partition("==")[0]: pin for pin in re.split(r"\n(?=\S)", text.strip())}


def test_each_lock_file_has_the_extras_it_is_for() -> None:
    extras = {"textual", "cryptography", "fakeredis", "pytest", "channels"}
    assert {lock.name: extras & _locked(lock.name).keys() for lock in LOCKS} == {
        "requirements.lock": set(),
        "requirements-top.lock": {"textual"},
        "requirements-demo.lock": {"textual", "cryptography", "fakeredis"},
        "requirements-dev.lock": {"textual", "cryptography", "fakeredis", "pytest"},
        "requirements-bench.lock": extras,
        "requirements-audit.lock": set(),
    }


def test_what_is_tested_is_what_runs() -> None:
    """The lock files are made one by one: none may pin another version or other files."""
    names = [f"requirements{each}.lock" for each in ("", "-top", "-demo", "-dev", "-bench")]
    for smaller, larger in pairwise(map(_locked, names)):
        assert smaller.items() <= larger.items()
