"""Run monitors and gateways as processes, as at a site, to be killed at will."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway.auth.api_keys import sha256_hex
from tests.bus import free_port
from tests.system.stack import KEY, PBX, Subscriber, subscriber

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Site:
    """One PBX, one Redis, one settings file, and whatever processes were started on it."""

    settings: Path
    port: int
    running: list[Running] = field(default_factory=list)
    program: tuple[str, ...] = ("-m", "gateway")
    """How Python is told to run ``callmon``."""

    @property
    def address(self) -> str:
        """Of the gateway that has the port."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *arguments: str, **environment: str) -> Running:
        """Start ``callmon`` with these arguments, the settings file and more environment."""
        running = await spawn(
            *arguments, "--config", str(self.settings), program=self.program, **environment
        )
        self.running.append(running)
        return running


@dataclass(slots=True)
class Running:
    """A process."""

    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """SIGKILL: nothing is said or given back."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; gives the exit code. Raises TimeoutError if it does not end."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()


async def spawn(
    *arguments: str, program: tuple[str, ...] = ("-m", "gateway"), **environment: str
) -> Running:
    """Start ``callmon``; what it says goes where the tests' output goes."""
    return Running(
        await asyncio.create_subprocess_exec(
            sys.executable, *program, *arguments, cwd=ROOT, env={**os.environ, **environment}
        )
    )


class Served(Protocol):
    """A simulated PBX, here or in another process."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def client_id(self) -> str:
        """Of its API client."""
        ...

    @property
    def client_secret(self) -> str:
        """Of that client."""
        ...


class Reachable(Protocol):
    """A Redis, or several that are one."""

    @property
    def url(self) -> str:
        """As ``[redis]`` has it."""
        ...


LEASE = 2.0
"""Seconds: short, so that a take-over is soon tried."""


@asynccontextmanager
async def site(
    pbx: Served, bus: Reachable, directory: Path, lease: float = LEASE
) -> AsyncIterator[Site]:
    """Write the settings file; on the way out kill what still runs. ``lease``: seconds."""
    settings = directory / "callmon.toml"
    settings.write_text(
        f"""
[redis]
url = "{bus.url}"

[monitor]
lease_duration = {lease}

[log]
level = "warning"

[gateway]
heartbeat_interval = 1.0

[gateway.stream]
drain_time = 0.5

[[pbx]]
name = "{PBX}"
url = "{pbx.url}"
client_id = "{pbx.client_id}"
client_secret = "{pbx.client_secret}"
poll_interval = 0.3
poll_idle = 0.6
watchdog_interval = 2.0

[[keys]]
name = "test"
digest = "{sha256_hex(KEY)}"
pbx = "{PBX}"
""",
        encoding="utf-8",
    )
    held = Site(settings, free_port())
    try:
        yield held
    finally:
        for running in held.running:
            await running.kill()


@asynccontextmanager
async def watching(place: Site) -> AsyncIterator[Subscriber]:
    """A monitor, a gateway on the site's port, and a subscriber of it."""
    await place.start("monitor")
    await place.start("gateway", "--port", str(place.port))
    async with subscriber(place.address) as held:
        yield held
