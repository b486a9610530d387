"""Build the Debian package, unpack it in a root of its own, and run what is in it.

Its version.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest

from tests.deploy.test_image import ROOT
from tests.deploy.units import UNITS

DEBIAN = ROOT / "deploy" / "debian"
BASE = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # not in typeshed
pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed: nothing is built"
)


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
    environment = os.environ | {
        "PYTHON": sys.executable,
        "BASE": str(base),
        "COMPRESS": "-Zgzip -z1",
    }
    command = [DEBIAN / "build.sh", out]
    # A builder whose umask lets everybody write: nothing of that may be in the package.
    said = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, umask=0
    )
    assert said.returncode == 0, said.stderr
    return Path(said.stdout.strip())


def field(package: Path, name: str) -> str:
    return subprocess.run(
        ["dpkg-deb", "--field", package, name], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_bears_the_programs_version_and_wants_the_python_it_is_for(package: Path) -> None:
    major, minor = sys.version_info[:2]
    assert re.match(rf"{re.escape(version('callmon'))}(?![\d.])", field(package, "Version"))
    wanted = f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})"
    assert field(package, "Pre-Depends") == wanted, (
        "else dpkg replaces what works by what cannot run"
    )
    assert re.search(r"\bca-certificates\b", field(package, "Depends")), (
        "else no PBX's certificate is trusted"
    )
    assert "@" not in field(package, "Depends") + field(package, "Installed-Size") + field(
        package, "Architecture"
    )


ALL_MODULES = """
import importlib, pkgutil, sys
import gateway, monitor
OF_THE_DEMO = (
    "gateway.cli.demo",
    "gateway.cli.demo_morning",
    "gateway.cli.simulator_process",
    "monitor.recording.player",
)
for package in (gateway, monitor):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        demo = module.name in OF_THE_DEMO or module.name.startswith("monitor.simulator.")
        if not demo and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
modules = [module for module in sys.modules.values() if getattr(module, "__file__", None)]
print(*(module.__file__ for module in modules), sep="\\n")
"""


def test_its_program_runs_with_what_is_in_the_package_alone(root: Path) -> None:
    python = root / "opt" / "callmon" / "bin" / "python3"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root), "PYTHONDONTWRITEBYTECODE": "1"}

    def said(*arguments: str | Path) -> str:
        ended = subprocess.run(
            [python, *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    assert "Live call monitor" in said(python.with_name("callmon"), "--help")
    imported = [
        Path(file) for file in said("-c", ALL_MODULES).splitlines() if "/site-packages/" in file
    ]
    names = {
        file.relative_to(root / "opt/callmon/lib").parts[2]
        for file in imported
        if file.is_relative_to(root)
    }
    assert {"monitor", "gateway", "textual", "redis", "aiohttp"} <= names
    assert [file for file in imported if not file.is_relative_to(root)] == []


def test_installing_it_brings_no_server_that_would_start(package: Path) -> None:
    """Debian starts what it installs, and installs what is recommended: Redis, on both hosts."""
    assert field(package, "Recommends") == ""
    assert "redis-server" in field(package, "Suggests")


def test_what_tests_and_builds_is_left_out(root: Path) -> None:
    packages = {
        path.name for path in (root / "opt" / "callmon").glob("lib/python3.*/site-packages/*")
    }
    assert {"monitor", "gateway", "redis", "uvloop", "tzdata"} <= packages
    assert not {"pytest", "hypothesis", "hatchling", "mypy", "pip", "tests"} & packages
    assert not {"cryptography", "fakeredis"} & packages, "only the simulated PBX needs them"
    assert f"callmon-{version('callmon')}.dist-info" in packages
    assert list((root / "opt").rglob("gateway/static/callmon.js"))
    for file in ("gateway/metrics/metrics.json", "monitor/metrics/metrics.json"):
        assert list((root / "opt").rglob(file))
    assert list((root / "opt").rglob("monitor/simulator/pbx_data/tables.json"))
    assert not list((root / "opt").rglob("__pycache__"))


def test_units_examples_and_scripts_are_where_they_are_looked_for(root: Path) -> None:
    for unit in UNITS.values():
        assert (root / "usr/lib/systemd/system" / unit.name).read_text() == unit.read_text()
    launcher = root / "usr/bin/callmon"
    assert os.access(launcher, os.X_OK)
    assert "/opt/callmon" in launcher.read_text()
    for place in ("usr/lib/sysusers.d/callmon.conf", "usr/share/callmon/callmon.example.toml"):
        assert (root / place).is_file()
    for place in (
        "usr/share/callmon/redis/make-acl.sh",
        "usr/share/callmon/redis/new-passwords.sh",
    ):
        assert os.access(root / place, os.X_OK)
    assert (root / "usr/share/callmon/redis/users.acl").is_file()
    assert {(root / "etc/callmon" / name).stat().st_mode & 0o777 for name in ("pbx", "redis")} == {
        0o700
    }


def test_documents_and_what_others_read_are_in_it(root: Path) -> None:
    documents = root / "usr/share/doc/callmon"
    for document in (*ROOT.glob("deploy/*.md"), ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"):
        assert (documents / document.name).read_bytes() == document.read_bytes()
    assert {"README.md", "connect.md", "stream.md", "wallboard.md", "recording.md"} <= {
        path.name for path in documents.iterdir()
    }
    for folder in ("prometheus", "grafana", "redis", "nginx"):
        files = {path.name: path.read_bytes() for path in (ROOT / "deploy" / folder).iterdir()}
        assert files
        assert files == {
            path.name: path.read_bytes() for path in (root / "usr/share/callmon" / folder).iterdir()
        }


def test_manual_page_and_completions_are_where_they_are_looked_for(root: Path) -> None:
    share = root / "usr/share"
    assert b"callmon key revoke" in gzip.decompress((share / "man/man1/callmon.1.gz").read_bytes())
    for path, says in (
        ("bash-completion/completions/callmon", "complete -o"),
        ("zsh/vendor-completions/_callmon", "#compdef callmon\n"),
        ("fish/vendor_completions.d/callmon.fish", "complete -c callmon"),
    ):
        assert says in (share / path).read_text(encoding="utf-8")


def test_nobody_but_the_owner_may_write_to_any_file_of_it(package: Path) -> None:
    packed = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = archive.getmembers()
    assert len(members) > 1000
    assert [
        each.name
        for each in members
        if not each.issym() and each.mode & (stat.S_IWGRP | stat.S_IWOTH)
    ] == []
    assert {(each.uname, each.gname) for each in members} == {("root", "root")}
    private = [each.name for each in members if each.mode & 0o044 != 0o044]
    assert sorted(private) == ["./etc/callmon/pbx", "./etc/callmon/redis"], (
        "the service's user reads all else"
    )


def test_nothing_of_the_building_machine_is_in_it(root: Path) -> None:
    owned = [
        *(root / "usr").rglob("*"),
        *(root / "opt").glob("callmon/bin/*"),
        *(root / "opt").rglob("callmon-*/*"),
    ]
    texts = {path: path.read_bytes() for path in owned if path.is_file() and not path.is_symlink()}
    assert [path for path, text in texts.items() if str(ROOT).encode() in text] == []


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_installing_starts_and_enables_nothing(script: str) -> None:
    text = (DEBIAN / script).read_text()
    assert subprocess.run(["sh", "-n", DEBIAN / script], check=False).returncode == 0
    assert not any(f"systemctl {word}" in text for word in ("enable", "start", "restart"))


def test_an_upgrade_leaves_nothing_stale_and_names_what_still_runs(tmp_path: Path) -> None:
    packages = tmp_path / "opt/callmon/lib/python3/site-packages"
    for name in (
        "kept",
        "gone",
    ):  # dpkg has taken the sources of the one that is gone, and does not know the rest
        (packages / name / "__pycache__").mkdir(parents=True)
        (packages / name / "__pycache__" / "stale.pyc").touch()
    (packages / "kept" / "module.py").write_text("x = 1", encoding="utf-8")
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    programs = tmp_path / "opt/callmon/bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    for name, script in (
        ("systemd-sysusers", "exit 0"),
        ("install", "exit 0"),  # it needs root
        ("systemctl", 'case "$*" in "--quiet is-active callmon-monitor") exit 3 ;; esac'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    text = re.sub(
        r"(?<=\s)/(?=opt/|run/)", f"{tmp_path}/", (DEBIAN / "postinst").read_text(encoding="utf-8")
    )
    command = ["sh", "-c", text, "postinst", "configure", "0.1.0"]
    environment = {"PATH": f"{programs}:/usr/bin:/bin"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert "version 0.1.0 is still running; restart callmon-gateway here" in said.stdout
    assert [path.name for path in packages.iterdir()] == ["kept"]
    (compiled,) = (packages / "kept" / "__pycache__").iterdir()
    assert compiled.name.startswith("module.")


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
    command = [
        sys.executable,
        str(DEBIAN / "collect.py"),
        str(lock),
        str(tmp_path / "site"),
        "3.11.2",
    ]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (said.returncode, said.stdout) == (1, "")
    assert (
        said.stderr
        == "old is installed without a list of its files: remove .venv, and run deploy/venv.sh\n"
    )


def test_the_modes_of_the_environments_files_do_not_come_in(tmp_path: Path) -> None:
    """Make files as pip does under umask 002, which plain users of Debian have."""
    for name, metadata in (
        ("callmon", "Version: 1\nRequires-Dist: other"),
        ("other", "Version: 2"),
    ):
        folder = tmp_path / f"{name}-{metadata[9]}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\n{metadata}\n", encoding="utf-8"
        )
        (folder / "RECORD").write_text("other.py,,\n", encoding="utf-8")
    (tmp_path / "other.py").touch()
    (tmp_path / "other.py").chmod(0o777)
    lock = tmp_path / "requirements.lock"
    lock.write_text("other==2\n", encoding="utf-8")
    command = [
        sys.executable,
        str(DEBIAN / "collect.py"),
        str(lock),
        str(tmp_path / "site"),
        "3.11.2",
    ]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (tmp_path / "site" / "other.py").stat().st_mode & 0o777 == 0o644


def test_a_python_for_which_something_is_missing_is_refused(tmp_path: Path) -> None:
    """redis-py wants one package more before Python 3.11.3."""
    old = tmp_path / f"python3.{sys.version_info[1]}"
    old.write_text("#!/bin/sh\necho 3.11.2\n")
    old.chmod(0o755)
    if sys.version_info[:3] < (3, 11, 3):
        pytest.skip("this Python is itself older than 3.11.3")
    with pytest.raises(
        AssertionError, match=r"Python 3\.11\.2 needs async-timeout, which is not installed"
    ):
        built(tmp_path, old)


# the version


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git repository with a commit."""
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(tree: Path, *arguments: str, at: str | None = None) -> None:
    who = (
        "-c",
        "user.name=Tester",
        "-c",
        "user.email=tester@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    environment = os.environ | ({} if at is None else {"GIT_COMMITTER_DATE": at})
    subprocess.run(
        ["git", "-C", tree, *who, *arguments], check=True, capture_output=True, env=environment
    )


def commit(tree: Path) -> None:
    with (tree / "file").open("a", encoding="utf-8") as file:
        file.write("more\n")
    git(tree, "add", "file")
    git(tree, "commit", "--quiet", "--message", "More")


def numbered(program: str, tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEBIAN / "version.sh", program, tree], capture_output=True, text=True, check=False
    )


def version_of(program: str, tree: Path) -> str:
    said = numbered(program, tree)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout.strip()


def test_what_is_built_later_upgrades_what_was_built_earlier(tree: Path) -> None:
    built = ["0.1.0"]  # the packages before there were releases all bore this
    for _ in range(11):  # past the tenth, where text and numbers are sorted differently
        built.append(version_of("0.2.0", tree))
        commit(tree)
    (tree / "file").write_text("changed", encoding="utf-8")
    built.append(version_of("0.2.0", tree))
    git(tree, "commit", "--quiet", "--all", "--message", "Release")
    git(tree, "tag", "v0.2.0")
    built.append(version_of("0.2.0", tree))
    assert built[-1] == "0.2.0"
    (tree / "file").write_text("changed again", encoding="utf-8")
    built.append(version_of("0.2.0", tree))
    for _ in range(2):
        commit(tree)
        built.append(version_of("0.2.0", tree))
    built += [version_of("0.2.1", tree), "0.2.1"]
    for earlier, later in pairwise(built):
        compared = subprocess.run(["dpkg", "--compare-versions", later, "gt", earlier], check=False)
        assert compared.returncode == 0, (earlier, later)


def test_a_release_that_is_not_among_its_forebears_leaves_it_before_the_release(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "-b", "ahead")
    commit(tree)
    git(tree, "tag", "v0.2.0")
    git(tree, "checkout", "--quiet", "-")
    assert version_of("0.2.0", tree).startswith("0.2.0~1.")


def test_a_commit_that_was_amended_upgrades_what_it_was_before(tree: Path) -> None:
    amend = ("commit", "--quiet", "--amend", "--no-edit")
    git(tree, *amend, at="2001-02-03T04:05:06+0000")
    before = version_of("0.2.0", tree)
    git(
        tree, *amend, at="2001-02-03T01:05:07-0300"
    )  # a second later, though the clock on that wall shows less
    after = version_of("0.2.0", tree)
    assert (before[:23], after[:23]) == ("0.2.0~1.20010203040506.", "0.2.0~1.20010203040507.")


def test_a_shallow_clone_is_refused_as_its_commits_cannot_be_counted(
    tree: Path, tmp_path: Path
) -> None:
    commit(tree)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{tree}", clone], check=True)
    said = numbered("0.2.0", clone)
    assert (said.returncode, said.stdout) == (1, "")
    assert "git fetch --unshallow --tags" in said.stderr


def test_without_a_repository_it_is_called_as_a_release_and_that_is_said(tmp_path: Path) -> None:
    said = numbered("0.2.0", tmp_path)
    assert (said.returncode, said.stdout) == (0, "0.2.0\n")
    assert "no git repository" in said.stderr


def test_a_repository_without_git_is_refused(tree: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    shell = shutil.which("sh")
    assert shell is not None
    command = [shell, str(DEBIAN / "version.sh"), "0.2.0", str(tree)]
    environment = {"PATH": str(programs)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "version.sh: git is needed to number the package: apt-get install git\n"
