"""Run ``callmon`` in a terminal, as its user does."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios

from tests.gateway.cli.console import ROOT, WITHIN


async def in_terminal(
    *arguments: str, until: str = "", then: str = "", **environment: str
) -> tuple[int, str]:
    """Run it in a terminal of 100 x 30; when it has printed ``until``, press ``then``.

    Gives its exit code and what it printed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color"} | environment
    command = (sys.executable, "-m", "gateway", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    printed = bytearray()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(ours, _read, ours, printed, ended)
    try:
        async with asyncio.timeout(WITHIN):
            while until and until not in printed.decode(errors="replace"):  # noqa: ASYNC110 - what a terminal is sent
                await asyncio.sleep(0.05)
            if then:
                os.write(ours, then.encode())
            code = await process.wait()
            await ended.wait()  # its last words may not have been read yet
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
        os.close(ours)
    return code, printed.decode(errors="replace")


def _read(descriptor: int, printed: bytearray, ended: asyncio.Event) -> None:
    try:
        printed.extend(os.read(descriptor, 65_536))
    except OSError:  # the other side is closed
        asyncio.get_running_loop().remove_reader(descriptor)
        ended.set()
