"""Test that each command imports only what it needs: all of it costs over a second at a start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.cli.console import ROOT, WITHIN

_PROGRAM = """
import atexit, sys
atexit.register(lambda: print("imported:", *sys.modules))
from gateway.cli import main
main()
"""
_COSTLY = {
    "aiohttp",
    "asyncpg",
    "cryptography",
    "fakeredis",
    "jwt",
    "prometheus_client",
    "pydantic",
    "redis",
} | {
    *("starlette", "structlog", "textual", "uvicorn", "websockets"),
    *("gateway.app", "gateway.run", "monitor.pbx.v20_client", "monitor.run", "monitor.simulator"),
}
_READS_SETTINGS = {"pydantic", "structlog"}
_ASKS_REDIS = _READS_SETTINGS | {"redis", "cryptography"}
_FOLLOWS = _ASKS_REDIS | {"aiohttp", "asyncpg", "jwt", "prometheus_client", "websockets"} | {
    *("monitor.pbx.v20_client", "monitor.run"),
}  # fmt: skip
_SERVES = _ASKS_REDIS | {
    "prometheus_client",
    "starlette",
    "uvicorn",
    "websockets",
    "gateway.app",
    "gateway.run",
}
_SIMULATES = {
    "cryptography",
    "jwt",
    "pydantic",
    "starlette",
    "structlog",
    "uvicorn",
    "monitor.simulator",
}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--version", set[str]()),
        ("--help", set[str]()),
        (
            "key new --name n --pbx p --print-block",
            {"pydantic"},
        ),  # Typer's own, for a command's values
        ("backup {nowhere}", _READS_SETTINGS),
        ("audit", _READS_SETTINGS),
        ("tail --url x", _READS_SETTINGS | {"websockets"}),
        ("status", _ASKS_REDIS),
        ("key list", _ASKS_REDIS),
        ("monitor", _FOLLOWS),
        ("record {nowhere}", _FOLLOWS),
        ("gateway", _SERVES),
        ("simulate --latency x", _SIMULATES),
    ],
)
def test_nothing_costly_is_imported_that_the_command_does_not_need(
    tmp_path: Path, command: str, needed: set[str]
) -> None:
    settings = tmp_path / "callmon.toml"
    settings.write_text("", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *command.format(nowhere=tmp_path / "new").split()],
        cwd=ROOT,
        env=os.environ | {"CALLMON_CONFIG": str(settings)},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert "Traceback" not in process.stderr, process.stderr
    imported = set(process.stdout.rpartition("imported:")[2].split())
    assert "gateway.cli" in imported
    assert imported & _COSTLY == needed
