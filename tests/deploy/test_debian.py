"""The Debian package: built, unpacked in a root of its own, and what is in it run from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.deploy.test_image import ROOT
from tests.deploy.units import UNITS

DEBIAN = ROOT / "deploy" / "debian"
BASE = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # not in typeshed
pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed: nothing is built")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this environment, without a network."""
    return built(tmp_path_factory.mktemp("built"), BASE)


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which it was unpacked."""
    directory = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "--extract", package, directory], check=True)
    return directory


def built(out: Path, base: Path) -> Path:
    environment = os.environ | {"PYTHON": sys.executable, "BASE": str(base), "COMPRESS": "-Zgzip -z1"}
    command = [DEBIAN / "build.sh", out]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return Path(said.stdout.strip())


def field(package: Path, name: str) -> str:
    return subprocess.run(
        ["dpkg-deb", "--field", package, name], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_bears_the_programs_version_and_wants_the_python_it_is_for(package: Path) -> None:
    major, minor = sys.version_info[:2]
    assert field(package, "Version") == version("callmon")
    assert f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})" in field(package, "Depends")
    assert "@" not in field(package, "Depends") + field(package, "Installed-Size") + field(package, "Architecture")


def test_its_program_runs_with_what_is_in_the_package_alone(root: Path) -> None:
    python = root / "opt" / "callmon" / "bin" / "python3"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(
        [python, "-v", python.with_name("callmon"), "--help"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert "Live call monitor" in said.stdout
    imported = re.findall(r"code object from '?([^']+/site-packages/[^']+)'", said.stderr)
    assert imported
    assert [path for path in imported if not Path(path).is_relative_to(root)] == []


def test_installing_it_brings_no_server_that_would_start(package: Path) -> None:
    """Debian starts what it installs, and installs what is recommended: Redis, on both hosts."""
    assert field(package, "Recommends") == ""
    assert "redis-server" in field(package, "Suggests")


def test_what_tests_and_builds_is_left_out(root: Path) -> None:
    packages = {path.name for path in (root / "opt" / "callmon").glob("lib/python3.*/site-packages/*")}
    assert {"monitor", "gateway", "redis", "uvloop", "tzdata"} <= packages
    assert not {"pytest", "hypothesis", "hatchling", "mypy", "pip", "tests"} & packages
    assert f"callmon-{version('callmon')}.dist-info" in packages
    assert list((root / "opt").rglob("gateway/static/callmon.js"))
    assert not list((root / "opt").rglob("__pycache__"))


def test_units_examples_and_scripts_are_where_they_are_looked_for(root: Path) -> None:
    for unit in UNITS.values():
        assert (root / "usr/lib/systemd/system" / unit.name).read_text() == unit.read_text()
    launcher = root / "usr/bin/callmon"
    assert os.access(launcher, os.X_OK)
    assert "/opt/callmon" in launcher.read_text()
    for place in ("usr/lib/sysusers.d/callmon.conf", "usr/share/callmon/callmon.example.toml"):
        assert (root / place).is_file()
    for place in ("usr/share/callmon/redis/make-acl.sh", "usr/share/callmon/redis/new-passwords.sh"):
        assert os.access(root / place, os.X_OK)
    assert (root / "usr/share/callmon/redis/users.acl").is_file()
    assert {(root / "etc/callmon" / name).stat().st_mode & 0o777 for name in ("pbx", "redis")} == {0o700}


def test_nothing_of_the_building_machine_is_in_it(root: Path) -> None:
    owned = [*(root / "usr").rglob("*"), *(root / "opt").glob("callmon/bin/*"), *(root / "opt").rglob("callmon-*/*")]
    texts = {path: path.read_bytes() for path in owned if path.is_file() and not path.is_symlink()}
    assert [path for path, text in texts.items() if str(ROOT).encode() in text] == []


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_installing_starts_and_enables_nothing(script: str) -> None:
    text = (DEBIAN / script).read_text()
    assert subprocess.run(["sh", "-n", DEBIAN / script], check=False).returncode == 0
    assert not any(f"systemctl {word}" in text for word in ("enable", "start", "restart"))


def test_a_package_whose_files_nobody_knows_is_refused(tmp_path: Path) -> None:
    """As old tools leave what they install from source."""
    for name, metadata in (
        ("callmon", "Name: callmon\nVersion: 1\nRequires-Dist: old"),
        ("old", "Name: old\nVersion: 2"),
    ):
        folder = tmp_path / f"{name}-1.egg-info"
        folder.mkdir()
        (folder / "PKG-INFO").write_text(f"Metadata-Version: 2.1\n{metadata}\n", encoding="utf-8")
        (folder / "SOURCES.txt").write_text("MANIFEST.in\n", encoding="utf-8")
    lock = tmp_path / "requirements.lock"
    lock.write_text("old==2\n", encoding="utf-8")
    command = [sys.executable, str(DEBIAN / "collect.py"), str(lock), str(tmp_path / "site"), "3.11.2"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "old is installed without a list of its files: remove .venv, and run deploy/venv.sh\n"


def test_a_python_for_which_something_is_missing_is_refused(tmp_path: Path) -> None:
    """redis-py wants one package more before Python 3.11.3."""
    old = tmp_path / f"python3.{sys.version_info[1]}"
    old.write_text("#!/bin/sh\necho 3.11.2\n")
    old.chmod(0o755)
    if sys.version_info[:3] < (3, 11, 3):
        pytest.skip("this Python is itself older than 3.11.3")
    with pytest.raises(AssertionError, match=r"Python 3\.11\.2 needs async-timeout, which is not installed"):
        built(tmp_path, old)
