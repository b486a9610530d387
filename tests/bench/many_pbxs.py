"""Measure what a gateway and a monitor with 500 quiet PBXs cost: until ready, and at rest.

Redis holds a small state of each. For the gateway only one PBX has a monitor, which is heard. The
monitor's PBXs are connected as soon as they are asked, and nothing happens there.
``python -m tests.bench.many_pbxs`` prints both; with a number, for so many PBXs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import structlog
import uvloop
from redis.asyncio import Redis

from gateway.cli.runtime.garbage_collector import garbage_collected
from monitor import run
from monitor.leadership.membership import Membership
from monitor.leadership.pbx_service import PbxService
from monitor.lease import Lease
from monitor.persistence.sqlite_store import Store
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.entities.topics import State, empty_state
from monitor.shared.redis.key_names import SITE, SPACES, AccessKeys, Space, SpaceKeys
from monitor.shared.redis.topology import RedisClients
from monitor.shared.tasks import running
from tests.bench.bus_feed import first_state
from tests.bench.processes import party, python, resident
from tests.bench.table import Sheet, show
from tests.bus import RealBus, free_port, patient, real_bus, until
from tests.monitor.hands import CountingTracker, ReadySource

PBXS: Final = 500
COUNTS: Final = (60, 120, 240, PBXS)
"""PBXs that a monitor is given, one number after the other."""
_PATIENCE_S: Final = 180.0
_REST_S: Final = 8.0
"""Seconds at rest, in which everything that is done from time to time is done."""


@dataclass(frozen=True, slots=True)
class ManyPbxs:
    """Hold what a process took: seconds, CPU seconds, bytes, connections to Redis.

    ``idle``: the part of a core that it takes at rest. ``connections``: the most that were open at
    rest.
    """

    ready: float
    cpu: float
    idle: float
    memory: int
    connections: int


async def measure(pbxs: int = PBXS) -> ManyPbxs:
    """Start a gateway and wait until it says that it is ready: it has the state of each PBX."""
    names = [f"pbx{number}" for number in range(pbxs)]
    async with real_bus() as bus:
        redis = patient(bus)
        for name in names:
            await _write(redis, name)
        before = await _connections(redis)
        with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
            config, port = Path(directory) / "callmon.toml", free_port()
            config.write_text(_settings(bus, names), encoding="utf-8")
            options = ("--config", str(config), "--port", str(port))
            async with _heard(redis, names[0]):
                begun = time.monotonic()
                async with party(*python("probe", "gateway", *options)) as gateway:
                    await _until_ready(f"http://127.0.0.1:{port}/readyz")
                    return await _taken(
                        redis, gateway.pid, lambda: gateway.cpu, begun, before + len(SPACES)
                    )


async def measure_monitor(*counts: int) -> dict[int, ManyPbxs | None]:
    """Return by number of PBXs what a monitor took until it leads each of them and hears requests.

    None: it did not within :data:`_PATIENCE_S`. More PBXs are not tried then.
    """
    found: dict[int, ManyPbxs | None] = {}
    for count in counts or COUNTS:
        try:
            found[count] = await _measure_monitor(count)
        except TimeoutError:
            found[count] = None
            break
    return found


async def _measure_monitor(pbxs: int) -> ManyPbxs:
    async with real_bus() as bus:
        redis = patient(bus)
        before = await _connections(redis)
        begun = time.monotonic()
        async with party(*python("many_pbxs", "monitor", bus.url, str(pbxs))) as monitor:
            await monitor.hear(_PATIENCE_S)
            return await _taken(redis, monitor.pid, lambda: monitor.cpu, begun, before)


async def _taken(
    redis: Redis, pid: int, cpu: Callable[[], float], begun: float, before: int
) -> ManyPbxs:
    ready, used = time.monotonic() - begun, cpu()
    rested, most = time.monotonic(), 0
    while time.monotonic() < rested + _REST_S:
        most = max(most, await _connections(redis))
        await asyncio.sleep(0.1)
    idle = (cpu() - used) / (time.monotonic() - rested)
    return ManyPbxs(ready, used, idle, resident(pid), most - before)


async def _until_ready(url: str) -> None:
    async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(url, timeout=_PATIENCE_S)).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.25)  # to answer for 500 PBXs takes it 10 ms


@asynccontextmanager
async def _heard(redis: Redis, pbx: str) -> AsyncIterator[None]:
    """Play the monitor of one PBX meanwhile."""

    publishers: list[StatePublisher] = []

    async def beat() -> None:
        for space in SPACES:
            publishers.append(StatePublisher(redis, SpaceKeys(pbx, space), "bench"))
            await publishers[-1].start_epoch(_first(space))
        while True:
            for publisher in publishers:
                await publisher.heartbeat()
            await asyncio.sleep(1)

    try:
        async with running(beat()):
            yield
    finally:
        for publisher in publishers:
            await publisher.aclose()


async def _write(redis: Redis, pbx: str) -> None:
    await redis.set(AccessKeys(pbx).ready, "1")
    lease = Lease(redis, SpaceKeys(pbx, "live"), "bench", ttl=600)
    assert await lease.acquire()
    for space in SPACES:
        keys = SpaceKeys(pbx, space)
        publisher = StatePublisher(redis, keys, "bench", lease=lease)
        await publisher.start_epoch(_first(space))
        await publisher.aclose()


def _first(space: Space) -> State:
    return first_state() if space == "live" else empty_state(SPACES[space])


async def _connections(redis: Redis) -> int:
    return len(await redis.client_list())


def _settings(bus: RealBus, names: list[str]) -> str:
    pbxs = "".join(f'[[pbx]]\nname = "{name}"\n' for name in names)
    return f'[redis]\nurl = "{bus.url}"\n[log]\nlevel = "error"\n{pbxs}'


async def _monitor(url: str, pbxs: int) -> None:
    """Run so many services for ever; say on standard output when all lead and hear requests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps({"port": 0}), flush=True)
    servers = RedisClients(url)
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
        store = Store(Path(directory) / "callmon.db")
        await store.open()
        membership = Membership(servers.of(SITE), "m")
        services = [
            PbxService(
                *("m", name, servers.of(name), CountingTracker, ReadySource),
                store=store,
                membership=membership,
            )
            for name in (f"pbx{number}" for number in range(pbxs))
        ]
        async with garbage_collected(pbxs), asyncio.TaskGroup() as tasks:
            tasks.create_task(membership.run())
            for service in services:
                tasks.create_task(run.keep_running(service))
            await until(
                lambda: all(service.hears_requests for service in services), 2 * _PATIENCE_S
            )
            print(json.dumps({"ready": True}), flush=True)


_NOTE: Final = (
    "From the start of the process until it is ready for every PBX. Redis shares the cores."
)


def monitor_sheet(found: dict[int, ManyPbxs | None]) -> Sheet:
    """The targets are absolute, and for :data:`PBXS` PBXs."""
    made = Sheet(f"A monitor with up to {PBXS} quiet PBXs", _NOTE)
    most = found.get(PBXS)
    if most is None:
        longest, memory = f"not within {_PATIENCE_S:.0f} s", "–"
        made.add("ready, seconds", longest, ratio=_PATIENCE_S, most=5)
        made.add("resident memory, MiB", memory)
    else:
        made.rows.extend(sheet(most).rows)
    for count, one in found.items():
        if one is not None and count != PBXS:
            mib, cpu = one.memory / 2**20, f"{one.idle:.0%} of a core"
            made.add(f"with {count}", f"{one.ready:.1f} s, {mib:.0f} MiB, {cpu} at rest")
    return made


def sheet(found: ManyPbxs) -> Sheet:
    """The targets are absolute."""
    made = Sheet(f"A gateway with {PBXS} quiet PBXs", _NOTE)
    made.add("ready, seconds", f"{found.ready:.1f} s", ratio=found.ready, most=5)
    made.add("CPU until then", f"{found.cpu:.1f} s")
    made.add("CPU at rest", f"{found.idle:.0%} of a core")
    mib = found.memory / 2**20
    made.add("resident memory, MiB", f"{mib:.0f} MiB", ratio=mib, most=200)
    made.add("connections to Redis", f"{found.connections:,}")
    return made


if __name__ == "__main__":
    if sys.argv[1:2] == ["monitor"]:
        uvloop.run(_monitor(sys.argv[2], int(sys.argv[3])))
    else:
        count = int(sys.argv[1]) if sys.argv[1:] else PBXS
        show(sheet(asyncio.run(measure(count))))
        show(monitor_sheet(asyncio.run(measure_monitor(count))))
