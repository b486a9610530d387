"""Run the whole of callmon in one event loop over real sockets, from simulator to subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from redis.asyncio import Redis

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from gateway.stream_client import Entities, StreamClient, Update
from monitor import run as monitor_run
from monitor.config import DatabaseSection, MonitorSection, MonitorSettings, PbxSection
from monitor.shared.entities.topics import TOPICS
from monitor.simulator.server import SimulatedPbx
from tests.bus import Bus, only

PBX = "test"
KEY = "a-key-for-tests"


@dataclass(slots=True)
class Subscriber:
    """A client of the stream that keeps what it is told."""

    client: StreamClient
    updates: int = 0
    listeners: list[Callable[[Update], None]] = field(default_factory=list)

    @property
    def state(self) -> Entities:
        """What it holds now."""
        return self.client.state

    @property
    def connected(self) -> bool:
        """Whether it is told that the PBX is connected."""
        return self.state.get("system", {}).get("pbx", {}).get("connection") == "connected"

    @property
    def epoch(self) -> str:
        """The epoch that it follows; empty before the first snapshot."""
        return self.client.position.epoch if self.client.position is not None else ""

    @property
    def stale(self) -> bool:
        """Whether it is told that nothing is heard from the monitor."""
        return self.client.stale_since is not None

    def on_update(self, listener: Callable[[Update], None]) -> None:
        """Have ``listener`` told every update from now on."""
        self.listeners.append(listener)

    async def listen(self) -> None:
        """Take in updates until cancelled."""
        async for update in self.client:
            self.updates += 1
            for listener in self.listeners:
                listener(update)


def section(
    pbx: SimulatedPbx, did_map: dict[str, str] | None = None, watchdog: float = 30.0
) -> PbxSection:
    """The settings with which a monitor reaches the simulated PBX."""
    return PbxSection(
        name=PBX,
        url=pbx.url,
        client_id=pbx.client_id,
        client_secret=SecretStr(pbx.client_secret),
        did_map=did_map or {},
        poll_interval=0.3,
        poll_idle=1.0,
        watchdog_interval=watchdog,
        ca_file=pbx.ca_file,
    )


@asynccontextmanager
async def monitoring(
    pbx: SimulatedPbx,
    redis: Redis,
    did_map: dict[str, str] | None = None,
    watchdog: float = 30.0,
    database: DatabaseSection | None = None,
) -> AsyncIterator[None]:
    """A monitor in this loop. ``watchdog``: seconds between full reads."""
    watched = section(pbx, did_map, watchdog).model_copy(update={"database": database})
    settings = MonitorSettings(
        pbx=(watched,), monitor=MonitorSection(name="monitor", lease_duration=30.0)
    )
    async with running(asyncio.create_task(monitor_run.run(settings, only(redis)))):
        yield


@asynccontextmanager
async def gateway(
    redis: Redis, port: int = 0, scopes: frozenset[str] = frozenset({"read", "contacts"})
) -> AsyncIterator[str]:
    """A gateway in this loop, whose key has these scopes; gives its address."""
    key = ApiKey("test", sha256_hex(KEY), PBX, scopes)
    settings = GatewaySection(port=port, heartbeat_interval=1.0, stream=StreamSection(drain_time=0))
    async with gateway_run.serving([PBX], KeyTable([key]), settings, only(redis)) as server:
        yield server.address


@asynccontextmanager
async def subscriber(address: str) -> AsyncIterator[Subscriber]:
    """A subscriber to everything."""
    client = StreamClient(address.replace("http", "ws", 1) + "/webapi/stream", KEY, tuple(TOPICS))
    async with client:
        held = Subscriber(client)
        async with running(asyncio.create_task(held.listen())):
            yield held


@asynccontextmanager
async def watched(
    pbx: SimulatedPbx, bus: Bus, did_map: dict[str, str] | None = None, watchdog: float = 30.0
) -> AsyncIterator[Subscriber]:
    """Monitor, gateway and a subscriber of this PBX."""
    async with (
        monitoring(pbx, bus.client(), did_map, watchdog),
        gateway(bus.client()) as address,
        subscriber(address) as held,
    ):
        yield held


@asynccontextmanager
async def running(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """A task of ours for as long as the block lasts; if it fails, so does the block."""
    try:
        yield
    finally:
        over = task.done()
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        if over and isinstance(results[0], Exception):
            raise results[0]
