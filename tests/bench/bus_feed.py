"""Run a real gateway process on a real Redis, and feed Redis as the monitor does."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.auth.api_keys import sha256_hex
from monitor.lease import Lease
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import TOPICS, Ivr, State, System, empty_state
from monitor.shared.redis.connection import raise_if_cancelled
from monitor.shared.redis.key_names import AccessKeys, SpaceKeys
from monitor.shared.tasks import running
from tests.bench.processes import Party, party
from tests.bus import RealBus, free_port

PBX = "bench"
ORIGIN = "https://wall.example.com"
"""Origin of the pages that may read the gateway's answers."""
_KEYS = 12
"""A key may have a thousand connections."""
FRAME = 200
"""Bytes of a change's frame, without the WebSocket header, where nothing else is said."""
HEADER = 4
"""Bytes of the WebSocket header of a frame of 126 to 65,535 bytes (RFC 6455, 5.2)."""


def key(number: int) -> str:
    """One of the keys; they all see everything, so they share one view."""
    return f"key-of-the-bench-{number:02}"


def stream_paths(count: int, topics: str = "ivrs", keys: int = _KEYS) -> list[str]:
    """Addresses of so many subscriptions, with so many keys."""
    return [
        f"/webapi/{key(number * keys // count)}/stream?topics={topics}" for number in range(count)
    ]


def first_state() -> State:
    """A connected PBX with one IVR."""
    state = empty_state(TOPICS)
    state["system"]["pbx"] = System(
        "connected",
        "2026-03-04T03:15:00.000Z",
        "",
        "20.0",
        "pbx.test",
        32,
        "activecalls",
        "bench",
        "",
        0,
    )
    state["ivrs"]["7"] = Ivr("7", "")
    return state


class Writer:
    """Publishes one space of the PBX; gives heartbeats besides."""

    def __init__(self, bus: RealBus) -> None:
        redis, keys = bus.client(), SpaceKeys(PBX, "live")
        self._redis = redis
        self._lease = Lease(redis, keys, "bench", ttl=600)
        self._publisher = StatePublisher(redis, keys, "bench", lease=self._lease)
        self._book = StatePublisher(bus.client(), SpaceKeys(PBX, "book"), "bench")
        self._busy = asyncio.Lock()
        self._named = Ivr("7", "")
        self._count = 0

    @property
    def position(self) -> Position:
        """What was published last."""
        assert self._publisher.position is not None
        return self._publisher.position

    async def start(self, state: State) -> None:
        """Write the whole state, an empty address book and an empty table of keys."""
        await self._redis.set(AccessKeys(PBX).ready, "1")
        assert await self._lease.acquire()
        await self._publisher.start_epoch(state)
        await self._book.start_epoch(empty_state(SpaceKeys(PBX, "book").topics))

    async def publish(self, edits: Iterable[Edit]) -> None:
        """Publish one change."""
        async with self._busy:
            await self._publisher.publish(edits)

    async def rename(self, length: int = 12) -> None:
        """Publish a change of one IVR, with a name of so many characters."""
        self._count += 1
        renamed = Ivr("7", f"{self._count:0{length}}")
        edit, self._named = Edit("ivrs", "7", self._named, renamed), renamed
        await self.publish([edit])

    async def aclose(self) -> None:
        """Give back the connections."""
        await self._publisher.aclose()
        await self._book.aclose()

    async def beat(self) -> None:
        """Heartbeats, until cancelled."""
        while True:
            raise_if_cancelled()
            await asyncio.sleep(1)
            async with self._busy:
                await self._publisher.heartbeat()
                await self._book.heartbeat()


@asynccontextmanager
async def writing(bus: RealBus, state: State) -> AsyncIterator[Writer]:
    """A writer with its heartbeats."""
    writer = Writer(bus)
    await writer.start(state)
    try:
        async with running(writer.beat()):
            yield writer
    finally:
        await writer.aclose()


@asynccontextmanager
async def gateway(
    bus: RealBus, heartbeat: int = 5, *, probed: bool = False
) -> AsyncIterator[Party]:
    """``callmon gateway`` as it runs at a site, ready.

    ``probed``: with :mod:`tests.bench.probe`.
    """
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
        settings = Path(directory) / "callmon.toml"
        port = free_port()
        settings.write_text(_settings(bus, heartbeat), encoding="utf-8")
        command = (
            sys.executable,
            "-m",
            "tests.bench.probe" if probed else "gateway",
            "gateway",
            "--config",
            str(settings),
            "--port",
            str(port),
        )
        async with party(*command, speaks=probed) as process:
            process.port = port
            async with asyncio.timeout(120):
                while not await ready(port):  # noqa: ASYNC110 - what is waited for is another process
                    await asyncio.sleep(0.05)
            yield process


def _settings(bus: RealBus, heartbeat: int) -> str:
    keys = "".join(
        f'[[keys]]\nname = "{number}"\ndigest = "{sha256_hex(key(number))}"\n\n'
        for number in range(_KEYS)
    )
    return f"""
[redis]
url = "{bus.url}"
[log]
level = "error"
[gateway]
heartbeat_interval = {heartbeat}
cors_origins = ["{ORIGIN}"]
[gateway.budgets]
reads = 1_000_000_000
[[pbx]]
name = "{PBX}"
{keys}"""


async def ready(port: int) -> bool:
    """Return whether a gateway serves there."""
    try:
        reader, sender = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    sender.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    answer = await reader.readline()
    sender.close()
    return b" 200 " in answer
