"""Test the image's Dockerfile as far as possible without a build, and run its health check."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

from gateway.cli.runtime.service_notify import BEAT_EVERY_S, BEAT_FILE
from gateway.config import GatewaySection

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BY_DIGEST = re.compile("[a-z]+:[a-z0-9.-]+@sha256:[0-9a-f]{64}")
"""The name of an image of others. The tag is for people: the digest alone says which it is."""


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what it says, in order."""
    joined = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def said(word: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == word]


def beat_file() -> str:
    (found,) = re.findall(rf"{BEAT_FILE}=(\S+)", said("ENV")[0])
    return str(found)


def health_check() -> list[str]:
    """The command of the image's health check."""
    command: list[str] = json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2])
    return command


def let_through(path: str) -> bool:
    """Whether the build's context has it, by the last pattern that speaks of it."""
    through = True
    for pattern in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines():
        if (
            pattern
            and not pattern.startswith("#")
            and fnmatch.fnmatch(path, pattern.removeprefix("!"))
        ):
            through = pattern.startswith("!")
    return through


def test_all_that_is_copied_is_there_and_in_the_context() -> None:
    copied = [
        source for rest in said("COPY") if "--from" not in rest for source in rest.split()[:-1]
    ]
    assert {
        "monitor",
        "gateway",
        "pyproject.toml",
        "requirements.lock",
        "deploy/callmon.sh",
    } <= set(copied)
    assert [
        source for source in copied if not (ROOT / source).exists() or not let_through(source)
    ] == []
    assert not let_through("tests")
    assert not let_through("deploy/secrets")
    assert not let_through(".venv")


def test_what_is_installed_is_pinned_by_hashes_and_its_builders_are_gone() -> None:
    runs = " && ".join(said("RUN"))
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert "--only-binary :all: --require-hashes -r requirements.lock" in " ".join(
        runs.replace("\\", " ").split()
    )
    (removed,) = re.findall(r"uninstall --yes ([^&]+)", runs)
    assert set(removed.split()) - {"pip"} == set(locked) - _needed_at_run_time()


def _needed_at_run_time() -> set[str]:
    """Return the packages that callmon's own dependencies lead to in requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    needs: dict[str, set[str]] = {}
    for name, comment in re.findall(
        r"^([a-z0-9-]+)==.*\n(?: +--.*\n)+((?: +#.*\n?)+)", lock, re.MULTILINE
    ):
        for parent in re.findall(r"# +(?:via )?([a-z0-9-]+)", comment):
            needs.setdefault(parent, set()).add(name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [re.split("[^a-z0-9-]", each)[0] for each in project["dependencies"]]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return found


def test_the_base_of_both_stages_is_named_by_its_digest() -> None:
    bases = [rest.split()[0].strip("${}") for rest in said("FROM")]
    given = dict(rest.split("=", 1) for rest in said("ARG"))
    assert len(bases) == 2
    assert [base for base in bases if not BY_DIGEST.fullmatch(given.get(base, base))] == []


def test_it_runs_as_nobody_in_particular_and_offers_the_gateways_port() -> None:
    user, _, group = said("USER")[0].partition(":")
    assert user == group != "0"
    assert said("EXPOSE") == [str(GatewaySection().port)]
    assert json.loads(said("ENTRYPOINT")[0]) == [said("COPY")[-1].split()[-1]]


def test_the_health_check_sees_whether_the_event_loop_turns(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    command = [word.replace(beat_file(), str(beat)) for word in health_check()]
    assert str(beat) in " ".join(command)

    def healthy() -> bool:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    assert not healthy()
    beat.touch()
    assert healthy()
    old = beat.stat().st_mtime - 31
    os.utime(beat, (old, old))
    assert not healthy()
    assert BEAT_EVERY_S * 3 < 30
