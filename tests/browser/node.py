"""Find node, npm and TypeScript's compiler for the tests of the JavaScript client; skip without."""

from __future__ import annotations

import functools
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

_TSC = ROOT / ".venv" / "tsc" / "node_modules" / ".bin" / "tsc"
"""Where ``make test`` puts it, if there is npm."""


@functools.cache
def with_websocket() -> tuple[str, ...]:
    """The command that runs a program with the global WebSocket, which Node 22 has by default."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(
            "There is no node on this machine (Debian: apt install nodejs), so the JavaScript "
            "client was not run."
        )
    for command in ((node,), (node, "--experimental-websocket")):
        asked = subprocess.run(
            [*command, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip() == "function":
            return command
    pytest.skip("This machine's node is older than 20.10 and has no WebSocket: no client was run.")


def npm() -> str:
    """The program npm."""
    found = shutil.which("npm")
    if found is None:
        pytest.skip(
            "There is no npm on this machine (Debian: apt install npm), so no package of the "
            "JavaScript client was made."
        )
    return found


def tsc() -> str:
    """TypeScript's compiler."""
    found = str(_TSC) if _TSC.exists() else shutil.which("tsc")
    if found is None:
        pytest.skip(
            "There is no tsc on this machine (make .venv/tsc.stamp installs it), so the types of "
            "the JavaScript client were not checked."
        )
    return found
