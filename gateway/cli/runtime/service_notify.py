"""Report the process's state to systemd (by its socket) and to a health check (by a file).

systemd's protocol is sd_notify(3): lines in a datagram to the socket named by NOTIFY_SOCKET. Its
watchdog is WATCHDOG_USEC. The file is CALLMON_BEAT; a container's health check looks at its time of
modification. Both are served by a task of the event loop itself, so that a hanging loop falls
silent. If neither is configured, nothing is done.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from monitor.shared.tasks import running

BEAT_FILE: Final = "CALLMON_BEAT"
"""Environment variable with the file to touch every :data:`BEAT_EVERY_S` seconds."""
BEAT_EVERY_S: Final = 5.0
_PATIENCE_S: Final = 1.0
"""Seconds that the event loop waits at most while systemd's queue is full."""
_LONGEST_STATUS: Final = 1000
"""Characters of a status text at most; a datagram has room for more."""

_log = structlog.get_logger(__name__)


def ready(status: str) -> None:
    """Report that the process serves. ``status``: a few words for ``systemctl status``."""
    _tell("READY=1", f"STATUS={status}")


def failed(reason: str) -> None:
    """Show in ``systemctl status`` why this process ends."""
    status(reason)


def status(text: str) -> None:
    """Show a few words in ``systemctl status``."""
    _tell("STATUS=" + " ".join(text.split())[:_LONGEST_STATUS])


async def looked_after(work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end, and report meanwhile that the event loop runs.

    If cancelled, report that the process is stopping. Raises what the work raises.
    """
    async with _beating():
        async with running(work) as (task,):
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():
                    _tell("STOPPING=1", "STATUS=told to end")
        await task


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    period = _watchdog_period()
    file = Path(os.environ[BEAT_FILE]) if os.environ.get(BEAT_FILE) else None
    if file is not None:
        period = BEAT_EVERY_S if period is None else min(period, BEAT_EVERY_S)
    if period is None:
        yield
        return
    async with running(_beat(period, file)):
        yield


async def _beat(period: float, file: Path | None) -> None:
    while True:
        _tell("WATCHDOG=1")
        if file is not None:
            _touch(file)
        await asyncio.sleep(period)


def _watchdog_period() -> float | None:
    """Return half of the seconds that systemd's watchdog waits.

    Returns None if there is no watchdog or it is for another process, for example a worker's
    parent.
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2 / 1_000_000


def _tell(*lines: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # Linux' abstract addresses
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_PATIENCE_S)
            sender.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        _log.warning("systemd_notify_failure", what=lines[0], reason=str(error))


def _touch(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        _log.warning("health_file_write_failure", file=str(file), reason=str(error))
