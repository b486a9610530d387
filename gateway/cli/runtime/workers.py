"""Run several gateway processes on one port: ``callmon gateway --workers N``.

The parent process starts and watches the workers and serves nothing itself. The kernel spreads new
connections over the workers (SO_REUSEPORT). Each worker has its own replica of the state. What is
counted for all of them, such as budgets, is counted on Redis anyway. A worker that dies is started
again. A worker whose event loop hangs, which systemd does not see, is killed and started again.
When the parent is told to end, all workers drain at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from monitor.shared.errors import ConfigError, StartFailed
from monitor.shared.http_server import bind
from monitor.shared.tasks import running

WORKER: Final = "CALLMON_WORKER"
"""Environment variable of a worker with its number."""
_PULSE: Final = "CALLMON_WORKER_PULSE"
"""Environment variable of a worker with the descriptor of a pipe. Its event loop writes a byte
there now and then."""
_RELOAD: Final = b"reload\n"
"""Line on a worker's standard input that asks it to reload."""
_PULSE_EVERY_S: Final = 5.0
_PATIENCE_S: Final = 30.0
"""Seconds without a byte after which a worker counts as hanging; as WatchdogSec in the unit."""
_START_S: Final = 120.0
"""Seconds without a first byte after which a worker counts as hanging."""
_LAST_WORDS_S: Final = 5.0
"""Seconds for a hanging worker to write its trace (PYTHONFAULTHANDLER) before it is killed."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0
_LIVED_WELL_S: Final = 60.0
"""Seconds after which a worker's end no longer counts as a failure to start."""
_STILLBORN_S: Final = 10.0
_SHUTDOWN_S: Final = 10.0
"""Seconds that a worker has to end, besides the drain."""

_log = structlog.get_logger(__name__)


class Workers:
    """Run ``count`` workers on one port.

    ``arguments``: of ``callmon gateway``, for each of them. ``drain``: seconds. ``environment``:
    variables that each of them gets besides ours.
    """

    def __init__(
        self,
        count: int,
        arguments: Sequence[str],
        host: str,
        port: int,
        drain: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._count, self._arguments, self._drain = count, arguments, drain
        self._environment = os.environ | (environment or {})
        self._host, self._port = host, port
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Keep the workers running until cancelled.

        Raises ConfigError if no port is given or a worker refuses its settings. Raises StartFailed
        if the address is not free or no worker comes up.
        """
        if self._port == 0:
            raise ConfigError(
                "Several workers need a fixed port: give one with --port or in [gateway]."
            )
        _check_free(self._host, self._port)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(
                    _keep(number, self._arguments, self._environment, self._drain, self._running)
                )

    def reload(self) -> None:
        """Ask each worker to read its settings again, also those that are just starting."""
        for worker in self._running:
            if worker.stdin is not None and not worker.stdin.is_closing():
                worker.stdin.write(_RELOAD)


async def as_worker(work: Coroutine[Any, Any, None], reload: Callable[[], object]) -> None:
    """Do a worker's work until it is cancelled or its parent is gone.

    ``reload``: is called when the parent asks for it. The parent does not ask by a signal, because
    that would kill a worker that does not expect it yet.
    """
    orphaned = asyncio.StreamReader()
    async with (
        running(_pulse(int(os.environ[_PULSE]))),
        running(work, _follow(orphaned, reload)) as tasks,
    ):
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(orphaned), sys.stdin
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    task = tasks[0]
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _follow(parent: asyncio.StreamReader, reload: Callable[[], object]) -> None:
    """Do what the parent asks until it is gone."""
    while line := await parent.readline():
        if line == _RELOAD:
            asyncio.get_running_loop().call_soon(
                reload
            )  # like a signal handler: an error there ends no task


async def _keep(
    number: int,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    drain: float,
    running: set[asyncio.subprocess.Process],
) -> None:
    loop = asyncio.get_running_loop()
    pause, first = _FIRST_PAUSE_S, True
    while True:
        begun = loop.time()
        code = await _run(number, arguments, environment, drain, running)
        lived = loop.time() - begun
        if first and lived < _STILLBORN_S and code > 0:
            refused = ConfigError if code == os.EX_CONFIG else StartFailed
            raise refused("A worker could not start; it has printed why.")
        first = False
        if lived >= _LIVED_WELL_S:
            pause = _FIRST_PAUSE_S
        _log.error("worker_exit", worker=number, code=code, restart_in=round(pause, 1))
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE_S, pause * 2)


async def _run(
    number: int,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    drain: float,
    running: set[asyncio.subprocess.Process],
) -> int:
    """Run one worker from its start to its end and return its exit code.

    If cancelled, ask the worker to drain.
    """
    felt, pulse = os.pipe()
    try:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "gateway", *arguments),
            env={**environment, WORKER: str(number), _PULSE: str(pulse)},
            # A byte asks the worker to reload; the pipe's end tells it that we ended.
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that a Ctrl-C reaches it only through us
            pass_fds=(pulse,),
        )
    except BaseException:
        os.close(felt)
        raise
    finally:
        os.close(pulse)
    _log.info("worker_start", worker=number, pid=worker.pid)
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
        with suppress(BlockingIOError):  # the parent does not read; nothing to do here
            os.write(descriptor, b".")
        await asyncio.sleep(_PULSE_EVERY_S)


async def _watch(
    worker: asyncio.subprocess.Process,
    felt: int,
    patience: float = _PATIENCE_S,
    start: float = _START_S,
) -> None:
    """Kill the worker if it writes no byte for ``patience`` seconds.

    It has ``start`` seconds for the first one. Closes ``felt``.
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
            _log.error("worker_hang", pid=worker.pid)
            await _abort(worker)
    finally:
        transport.close()


async def _next(reader: asyncio.StreamReader, patience: float) -> bytes | None:
    """Return the next bytes, or nothing at the end of the pipe.

    Returns None if nothing comes in ``patience`` seconds. One second more is allowed in case this
    process itself was late.
    """
    for within in (patience, 1.0):
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await reader.read(64)
    return None


async def _abort(worker: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        worker.send_signal(signal.SIGABRT)
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await worker.wait()
        except TimeoutError:
            worker.kill()


async def _end(worker: asyncio.subprocess.Process, drain: float) -> None:
    with suppress(ProcessLookupError):
        worker.terminate()
    try:
        async with asyncio.timeout(drain + _SHUTDOWN_S):
            await worker.wait()
    except TimeoutError:
        _log.error("worker_drain_timeout", pid=worker.pid)
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


def _check_free(host: str, port: int) -> None:
    """Raise StartFailed if the port is taken.

    Workers would share the port with any other program that allows it, so it must be free before
    they start.
    """
    bind(host, port).close()
