"""Measure what a gateway with 500 quiet PBXs costs: until it is ready, and at rest.

Redis holds a small state of each; nobody writes. ``python -m tests.bench.many_pbxs`` prints it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from monitor.lease import Lease
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.entities.topics import empty_state
from monitor.shared.redis.key_names import SPACES, AccessKeys, SpaceKeys
from tests.bench.bus_feed import first_state, free_port
from tests.bench.processes import party, python, resident
from tests.bench.table import Sheet, show
from tests.bus import RealBus, real_bus

PBXS: Final = 500
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class ManyPbxs:
    """Hold what the gateway took: seconds, CPU seconds, bytes, connections to Redis."""

    ready: float
    cpu: float
    memory: int
    connections: int


async def measure(pbxs: int = PBXS) -> ManyPbxs:
    """Start a gateway and wait until it follows each PBX."""
    names = [f"pbx{number}" for number in range(pbxs)]
    async with real_bus() as bus:
        redis = bus.client()
        for name in names:
            await _write(redis, name)
        before = await _connections(redis)
        with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
            config = Path(directory) / "callmon.toml"
            config.write_text(_settings(bus, names), encoding="utf-8")
            options = ("--config", str(config), "--port", str(free_port()))
            begun = time.monotonic()
            async with party(*python("probe", "gateway", *options)) as gateway:
                wanted = {channel for name in names for channel in _channels(name)}
                async with asyncio.timeout(_PATIENCE_S):
                    while not wanted <= set(await redis.pubsub_channels()):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                ready = time.monotonic() - begun
                cpu = gateway.cpu
                await asyncio.sleep(2)
                connections = await _connections(redis) - before
                return ManyPbxs(ready, cpu, resident(gateway.pid), connections)


def _channels(pbx: str) -> list[bytes]:
    return [SpaceKeys(pbx, space).channel.encode() for space in SPACES]


async def _write(redis: Redis, pbx: str) -> None:
    await redis.set(AccessKeys(pbx).ready, "1")
    lease = Lease(redis, SpaceKeys(pbx, "live"), "bench", ttl=600)
    assert await lease.acquire()
    for space in SPACES:
        keys = SpaceKeys(pbx, space)
        publisher = StatePublisher(redis, keys, "bench", lease=lease)
        await publisher.start_epoch(first_state() if space == "live" else empty_state(keys.topics))
        await publisher.aclose()


async def _connections(redis: Redis) -> int:
    return len(await redis.client_list())


def _settings(bus: RealBus, names: list[str]) -> str:
    pbxs = "".join(f'[[pbx]]\nname = "{name}"\n' for name in names)
    return f'[redis]\nurl = "{bus.url}"\n[log]\nlevel = "error"\n{pbxs}'


def sheet(found: ManyPbxs) -> Sheet:
    """The targets are absolute."""
    made = Sheet(
        f"A gateway with {PBXS} quiet PBXs",
        "From the start of the process until it has subscribed to every PBX. Redis shares the "
        "cores.",
    )
    made.add("ready, seconds", f"{found.ready:.1f} s", ratio=found.ready, most=5)
    made.add("CPU until then", f"{found.cpu:.1f} s")
    mib = found.memory / 2**20
    made.add("resident memory, MiB", f"{mib:.0f} MiB", ratio=mib, most=200)
    made.add("connections to Redis", f"{found.connections:,}")
    return made


if __name__ == "__main__":
    show(sheet(asyncio.run(measure())))
