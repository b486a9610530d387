"""Test the pages' logic with ``node --test``, where node is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def test_the_logic_of_the_pages() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip(
            "There is no node on this machine (Debian: apt install nodejs), so the pages' logic "
            "was not tested."
        )
    tests = sorted(map(str, Path(__file__).parent.glob("*.test.mjs")))
    done = subprocess.run(
        [node, "--test", *tests], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
