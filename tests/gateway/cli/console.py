"""Run ``callmon`` as its user does: in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
WITHIN = 60.0
"""Seconds: generous, as the machines are shared."""
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes: a snapshot is a line."""
HOSTILE = "\x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\r\nroot\u202egnp.exe\u2028\x7f\ud800\U000e0041"
"""Text that a terminal would obey, or that would forge a line."""
OBEYED = set("\x1b\x07\x9b\r\u202e\u2028\x7f\x85") | {"\ud800", "\U000e0041"}
"""Characters of it that must reach no terminal."""
PBX = (
    '[[pbx]]\nname = "main"\nurl = "https://pbx.example.com:5001"\nclient_id = '
    '"callmon"\nclient_secret = "hunter2"\n'
)
"""A section of a settings file, as the manual has it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command said."""

    code: int
    out: str
    err: str


async def callmon(*arguments: str, cwd: str = str(ROOT), **environment: str) -> Ended:
    """Run a command to its end. Whatever it says, it is no trace of a fault."""
    process = await started(*arguments, cwd=cwd, **environment)
    async with asyncio.timeout(WITHIN):
        out, err = await process.communicate()
    assert b"Traceback" not in out + err, (out + err).decode()
    return Ended(process.returncode or 0, out.decode(), err.decode())


def _plain() -> dict[str, str]:
    """Return the environment without PYTHONUNBUFFERED, which hides a line left in a buffer."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


async def started(
    *arguments: str, cwd: str = str(ROOT), **environment: str
) -> asyncio.subprocess.Process:
    """Start a command, its output in pipes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=_plain() | {"COLUMNS": "200"} | environment,
        limit=LONGEST_LINE,
    )


@asynccontextmanager
async def running(
    *arguments: str, until: str, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start a command that goes on; what it has printed up to a line with ``until``.

    Ctrl-C ends it.
    """
    process = await started(*arguments, **environment)
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(WITHIN):
            while until not in printed:
                line = await process.stdout.readline()
                assert line, (
                    printed + (await process.stderr.read()).decode() if process.stderr else printed
                )
                printed += line.decode()
        yield process, printed
    finally:
        await _end(process)


@asynccontextmanager
async def ended_by_ctrl_c(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Press Ctrl-C at the end."""
    try:
        yield
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    async with asyncio.timeout(WITHIN):
        _, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode in (0, 130)


def settings_file(folder: Path, text: str | bytes) -> Path:
    """A settings file with this text."""
    file = folder / "callmon.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def found_in(pattern: str, text: str) -> str:
    """What the pattern's parentheses stand for in the text."""
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]
