"""``callmon gateway --workers N``: several gateway processes on one port, looked after by one that serves nothing.

The kernel spreads new connections over them (SO_REUSEPORT). Each has its own replica of the state; what is counted for
all of them, such as budgets, is counted on Redis anyway. One that dies is started again; one whose event loop hangs,
which systemd does not see, is ended for it. When this process is told to end, all drain at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from monitor.shared.errors import NOT_BOUND, ConfigError, StartFailed, cannot_listen

WORKER: Final = "CALLMON_WORKER"
"""In the environment of a worker: its number."""
_PULSE: Final = "CALLMON_WORKER_PULSE"
"""In its environment too: the descriptor of a pipe to which its event loop writes a byte now and then."""
_RELOAD: Final = b"reload\n"
"""What a worker is told on its standard input."""
_PULSE_EVERY: Final = 5.0
_PATIENCE: Final = 30.0
"""Seconds without a byte after which a worker hangs; as WatchdogSec in the unit."""
_START: Final = 120.0
"""And without a first one."""
_LAST_WORDS: Final = 5.0
"""Seconds for a worker that hangs to write down what it was at (PYTHONFAULTHANDLER), before it is killed."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0
_LIVED_WELL: Final = 60.0
"""Seconds after which a worker's end no longer counts as a failure to start."""
_STILLBORN: Final = 10.0
_SHUTDOWN: Final = 10.0
"""Seconds to end in, besides the drain."""

_log = structlog.get_logger(__name__)


class Workers:
    """So many workers on one port. ``arguments``: of ``callmon gateway``, for each of them; ``drain``: seconds."""

    def __init__(self, count: int, arguments: Sequence[str], host: str, port: int, drain: float) -> None:
        self._count, self._arguments, self._drain = count, arguments, drain
        self._host, self._port = host, port
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Keep them running until cancelled.

        Raises ConfigError if the address is not free, or no worker comes up.
        """
        if self._port == 0:
            raise ConfigError(
                "Several workers need a port of their own choosing: give one with --port or in [gateway]."
            )
        _check_free(self._host, self._port)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(_keep(number, self._arguments, self._drain, self._running))

    def reload(self) -> None:
        """Have each of them read its settings again, those too that are only just starting."""
        for worker in self._running:
            if worker.stdin is not None and not worker.stdin.is_closing():
                worker.stdin.write(_RELOAD)


async def as_worker(work: Coroutine[Any, Any, None], reload: Callable[[], object]) -> None:
    """Do a worker's work until it is cancelled, or whoever looks after it is gone, however that ended.

    ``reload``: called when that one says so. Not by a signal, which would kill a worker that does not expect it yet.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    beating = loop.create_task(_pulse(int(os.environ[_PULSE])))
    orphaned = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orphaned), sys.stdin)
    gone = loop.create_task(_follow(orphaned, reload))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _follow(parent: asyncio.StreamReader, reload: Callable[[], object]) -> None:
    """Do as the parent says, until it is gone."""
    while line := await parent.readline():
        if line == _RELOAD:
            asyncio.get_running_loop().call_soon(reload)  # as a signal's handler: what fails there ends nobody


async def _keep(number: int, arguments: Sequence[str], drain: float, running: set[asyncio.subprocess.Process]) -> None:
    loop = asyncio.get_running_loop()
    pause, first = _FIRST_PAUSE, True
    while True:
        begun = loop.time()
        code = await _run(number, arguments, drain, running)
        lived = loop.time() - begun
        if first and lived < _STILLBORN and code > 0:
            refused = ConfigError if code == os.EX_CONFIG else StartFailed
            raise refused("A worker could not begin to serve; it has said why.")
        first = False
        if lived >= _LIVED_WELL:
            pause = _FIRST_PAUSE
        _log.error("a worker ended, though it should not", worker=number, code=code, restart_in=round(pause, 1))
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def _run(number: int, arguments: Sequence[str], drain: float, running: set[asyncio.subprocess.Process]) -> int:
    """One worker from its start to its end; if we are cancelled it is asked to drain. Its exit code."""
    felt, pulse = os.pipe()
    try:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "gateway", *arguments),
            env=os.environ | {WORKER: str(number), _PULSE: str(pulse)},
            stdin=asyncio.subprocess.PIPE,  # by which we tell it to reload; its end tells the worker of ours
            start_new_session=True,  # so that a Ctrl-C reaches it through us alone
            pass_fds=(pulse,),
        )
    except BaseException:
        os.close(felt)
        raise
    finally:
        os.close(pulse)
    _log.info("worker started", worker=number, pid=worker.pid)
    watching = asyncio.create_task(_watch(worker, felt))
    running.add(worker)
    try:
        return await worker.wait()
    finally:
        running.discard(worker)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if worker.returncode is None:
            await _end(worker, drain)


async def _pulse(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    while True:
        with suppress(BlockingIOError):  # nobody reads: it is not ours to judge
            os.write(descriptor, b".")
        await asyncio.sleep(_PULSE_EVERY)


async def _watch(
    worker: asyncio.subprocess.Process, felt: int, patience: float = _PATIENCE, start: float = _START
) -> None:
    """End the worker if it does not show that it lives, for so many seconds, of which it has more to start in.

    Closes ``felt``.
    """
    reader = asyncio.StreamReader()
    pipe = os.fdopen(felt, "rb", 0)
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
    except BaseException:
        pipe.close()
        raise
    try:
        alive = await _next(reader, start)
        while alive:
            alive = await _next(reader, patience)
        if alive is None:
            _log.error("a worker hangs and is ended", pid=worker.pid)
            await _abort(worker)
    finally:
        transport.close()


async def _next(reader: asyncio.StreamReader, patience: float) -> bytes | None:
    """What comes next, nothing at the end; None if nothing does in time, even when we ourselves were late."""
    for within in (patience, 1.0):
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await reader.read(64)
    return None


async def _abort(worker: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        worker.send_signal(signal.SIGABRT)
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await worker.wait()
        except TimeoutError:
            worker.kill()


async def _end(worker: asyncio.subprocess.Process, drain: float) -> None:
    with suppress(ProcessLookupError):
        worker.terminate()
    try:
        async with asyncio.timeout(drain + _SHUTDOWN):
            await worker.wait()
    except TimeoutError:
        _log.error("a worker does not end and is killed", pid=worker.pid)
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


def _check_free(host: str, port: int) -> None:
    """Workers would share the port with whoever else allows it, so it must be free before they start."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except NOT_BOUND as error:
            raise cannot_listen("Cannot listen on", host, port, error) from error
