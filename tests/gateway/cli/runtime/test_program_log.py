"""Test the first and the last line of each program's log, as its user sees them."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from monitor.shared.version import VERSION
from tests.gateway.cli.console import WITHIN

SETTINGS = """
[redis]
url = "redis://127.0.0.1:1"

[log]
level = "error"

[[pbx]]
name = "main"
url = "http://127.0.0.1:1"
client_id = "callmon"
client_secret = "x"
"""


@pytest.mark.parametrize(
    ("command", "facts", "told"),
    [
        (
            "monitor",
            "program=monitor python={python} settings={settings} version={version}",
            signal.SIGTERM,
        ),
        (
            "gateway --port 0",
            "address={address} program=gateway python={python} settings={settings}",
            signal.SIGINT,
        ),
        (
            "simulate --port 0",
            "address={address} program=simulate python={python} version={version}",
            signal.SIGTERM,
        ),
        (
            "demo --port 0 --hours 0 --no-browser",
            "address={address} pbx={address} program=demo",
            signal.SIGINT,
        ),
    ],
)
async def test_a_program_says_first_what_it_is_and_last_why_it_ends(
    tmp_path: Path, command: str, facts: str, told: signal.Signals
) -> None:
    settings = tmp_path / "callmon.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    program, *options = command.split()
    given = ["--config", str(settings)] if program in ("monitor", "gateway") else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", program, *options, *given),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN):
        first = (await process.stderr.readline()).decode()
        address = r"http://127\.0\.0\.1:[1-9]\d+"
        known = {
            "address": address,
            "settings": settings,
            "python": platform.python_version(),
            "version": VERSION,
        }
        assert re.search(rf"program_start .*{facts.format(**known)}", first), first
        if program == "gateway":
            await answers(first)
        process.send_signal(told)
        _, rest = await process.communicate()
    last = rest.decode().splitlines()[-1]
    assert re.search(
        rf"program_end .*program={program} reason={told.name} uptime_s=[\d.]+$", last
    ), last


async def answers(line: str) -> None:
    """Ask at the address that the line names, until it answers."""
    (address,) = re.findall(r"address=(\S+)", line)
    async with httpx.AsyncClient(timeout=60) as http:
        while True:
            try:
                assert (await http.get(f"{address}/healthz")).json()["version"] == VERSION
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_worker_says_where_it_listens_and_that_it_is_left_alone(tmp_path: Path) -> None:
    settings = tmp_path / "callmon.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "gateway", "--port", "0", "--config", str(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"CALLMON_WORKER": "1", "CALLMON_WORKER_PULSE": "1"},
    )
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN):
        first = (await process.stderr.readline()).decode()
        _, rest = await process.communicate(
            b""
        )  # closes its stdin, as the end of the process that started it does
    last = rest.decode().splitlines()[-1]
    assert re.search(r"program_start .*address=http://127\.0\.0\.1:\d+ .* worker=1$", first), first
    assert re.search(r"program_end .*program=gateway reason=supervisor_gone .*worker=1$", last), (
        last
    )
