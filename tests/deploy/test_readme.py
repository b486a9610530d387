"""Test that deploy/README.md and deploy/recording.md name existing commands, files and rights."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.deploy.commands import parsed
from tests.deploy.test_image import ROOT

DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
_OURS = re.compile(
    r"(?:^(?:sudo )?|(?:monitor|gateway)-1 |callmon-\S+ -- )callmon (.+)|--entrypoint "
    r"callmon \S+ (.+)"
)
OURS = [found[1] or found[2] for line in BLOCKS if (found := _OURS.search(line))]
RECORDING = re.findall(
    r"^callmon (.+)$", (DEPLOY / "recording.md").read_text(encoding="utf-8"), re.MULTILINE
)
PACKAGED = (DEPLOY / "debian" / "build.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", OURS + RECORDING)
def test_a_command_is_understood(line: str) -> None:
    parsed(shlex.split(line))


def test_all_commands_were_looked_at() -> None:
    assert len(OURS) == 15
    assert len(RECORDING) == 2


def test_scripts_and_files_are_there() -> None:
    named = re.findall(r"(?<![\w/.-])deploy/[\w./-]*[\w-]", "\n".join(BLOCKS))
    here = re.findall(
        r"(?<![\w/.-])((?:redis|kubernetes)/[\w./-]+)", README.replace("secrets/", "")
    )
    named += [f"deploy/{path.rstrip('.')}" for path in here]
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_the_package_is_said_to_have_it_has() -> None:
    names = {
        path.rpartition("/")[2] for path in re.findall(r"/usr/share/callmon/[\w./-]*\w", README)
    }
    assert names == {
        "new-passwords.sh",
        "make-acl.sh",
        "callmon.example.toml",
        "Caddyfile",
        "callmon.conf",
    }
    for name in names - {"callmon.conf"}:  # test_debian looks at the folder nginx
        assert name in PACKAGED or f"/redis/*.{name.rpartition('.')[2]}" in PACKAGED


def test_every_right_on_redis_is_listed() -> None:
    users = (DEPLOY / "redis" / "users.acl").read_text(encoding="utf-8")
    patterns = set(re.findall(r"[~&]callmon:(\S+?)[\s)]", users))
    assert len(patterns) > 15
    assert [pattern for pattern in sorted(patterns) if f"`{pattern}`" not in README] == []


def test_an_audit_that_could_not_ask_does_not_pass() -> None:
    said = subprocess.run(
        ["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "pip-audit --strict " in said
