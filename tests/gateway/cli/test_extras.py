"""An installation without callmon's extras: production runs, and what lacks an extra says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.gateway.cli.console import ROOT, WITHIN

_MAIN = "from gateway.cli import main; main()"
_HIDDEN = ("cryptography", "fakeredis", "textual")
_PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def _without(
    hidden: tuple[str, ...], program: str, *arguments: str, config: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python that cannot import what is hidden."""
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(hidden=hidden) + program, *arguments],
        cwd=ROOT,
        env=os.environ | {"CALLMON_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    settings = tmp_path / "callmon.toml"
    settings.write_text("", encoding="utf-8")
    return settings


@pytest.mark.parametrize(
    ("hidden", "command", "extra"),
    [
        ("textual", "top", "top"),
        ("fakeredis", "demo --port 0", "demo"),
        ("fakeredis", "demo --replay nowhere", "demo"),
        ("cryptography", "demo --port 0", "demo"),
        ("cryptography", "simulate --port 0", "demo"),
    ],
)
def test_a_command_whose_extra_is_missing_says_how_to_install_it(
    config: Path, hidden: str, command: str, extra: str
) -> None:
    said = _without((hidden,), _MAIN, *command.split(), config=config)
    assert (said.returncode, said.stdout, said.stderr) == (
        2,
        "",
        (
            f"callmon: this command needs {hidden}, which is not installed; to install it: "
            f'pip install "callmon[{extra}]"\n'
        ),
    )


def test_a_module_of_ours_that_is_missing_is_not_blamed_on_an_extra(config: Path) -> None:
    program = f"sys.modules['gateway.cli.top.app'] = None\n{_MAIN}"
    said = _without((), program, "top", config=config)
    assert said.returncode == 1
    assert "Traceback" in said.stderr
    assert "pip install" not in said.stderr


_NOBODY_THERE = """
[redis]
url = "redis://127.0.0.1:1/0"
[[pbx]]
name = "main"
url = "http://127.0.0.1:1"
client_id = "callmon"
client_secret = "secret"
"""


@pytest.mark.parametrize(
    ("command", "settings", "code", "words"),
    [
        ("--version", "", 0, "callmon "),
        ("top --help", "", 0, "in the terminal"),
        ("demo --help", "", 0, "simulated PBX"),
        ("simulate --help", "", 0, "simulated 3CX"),
        ("monitor", "", 78, "[[pbx]]"),
        ("gateway", "", 78, "[[pbx]]"),
        ("check", _NOBODY_THERE, 1, "127.0.0.1:1"),
        ("status", _NOBODY_THERE, 2, "127.0.0.1:1"),
        ("key list", _NOBODY_THERE, 1, "127.0.0.1:1"),
        ("record --minutes 0.01 {new}", _NOBODY_THERE, 1, "127.0.0.1:1"),
        ("snapshot --url http://127.0.0.1:1 --timeout 0.1", "", 1, "127.0.0.1:1"),
    ],
)
def test_production_does_without_the_extras(
    config: Path, tmp_path: Path, command: str, settings: str, code: int, words: str
) -> None:
    config.write_text(settings, encoding="utf-8")
    given = command.format(new=tmp_path / "new").split()
    said = _without(_HIDDEN, _MAIN, *given, config=config)
    assert "Traceback" not in said.stderr
    assert words in said.stdout + said.stderr
    assert "not installed" not in said.stderr
    assert said.returncode == code


def test_a_monitor_reads_a_token_without_the_package_that_could_verify_it(config: Path) -> None:
    token = jwt.encode({"role": "x"}, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")
    program = f"from monitor.pbx.http_client import token; print(token._payload({token!r}))"
    said = _without(_HIDDEN, program, config=config)
    assert (said.stdout, said.stderr) == ("{'role': 'x'}\n", "")
