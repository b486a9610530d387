"""Run many light simulated PBXs in this process, and monitors and gateways for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from gateway.auth.api_keys import sha256_hex
from gateway.stream_client import StreamClient, Update
from monitor.shared.redis.connection import text
from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, free_port, patient, until
from tests.system.compare import Known, differences, knowable
from tests.system.processes import Running, spawn
from tests.system.stack import Subscriber, running

WITHIN = 120.0
"""Seconds in which everything must be right again: generous, as the machines are shared."""
LEASE = 4.0
TOPICS = ("system", "calls", "extensions")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast things go: slower with more PBXs, as all of it runs on one machine.

    ``rate``: calls a minute and PBX, twice; at 6, a call goes on in each of them as a rule. Times
    are seconds. ``poll_idle``: between two reads of a PBX where nothing happens. ``heartbeat``:
    between two of a gateway's.
    """

    rate: float = 6.0
    poll_idle: float = 2.0
    lease: float = LEASE
    heartbeat: float = 1.0


PACE = Pace()


@dataclass(frozen=True, slots=True)
class Reached:
    """How a monitor reaches a PBX. ``more``: lines of its section."""

    name: str
    url: str
    client_secret: str = "none"
    more: str = "silence_timeout = 10.0"


@asynccontextmanager
async def light_pbxs(count: int, pace: Pace = PACE) -> AsyncIterator[list[SimulatedPbx]]:
    """PBXs of a few extensions."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                SimulatedPbx(
                    SimulatorSettings(
                        extensions=6, queues=1, contacts=1, rate=pace.rate, speed=2, seed=number
                    )
                )
            )
            for number in range(count)
        ]


def reached(pbxs: Sequence[SimulatedPbx]) -> list[Reached]:
    """How monitors reach these PBXs."""
    return [Reached(f"pbx{number}", pbx.url, pbx.client_secret) for number, pbx in enumerate(pbxs)]


@dataclass(slots=True)
class ManySites:
    """One Redis and many PBXs, and the processes that were started for them, by name."""

    directory: Path
    bus: RealBus
    redis: Redis
    """The test's own client."""
    pbxs: Sequence[Reached]
    pace: Pace = PACE
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)

    async def monitor(self, name: str) -> None:
        """Start the monitor of this name."""
        state = self.directory / name
        state.mkdir(exist_ok=True)
        section = f'name = "{name}"\nlease_duration = {self.pace.lease}\nstate_dir = "{state}"'
        self.running[name] = await spawn("monitor", "--config", str(self._settings(name, section)))

    async def gateway(self, name: str) -> None:
        """Start the gateway of this name, on the same port each time."""
        if name not in self.ports:
            self.ports[name] = free_port()
        self.running[name] = await spawn(
            *("gateway", "--config", str(self._settings(name, f'name = "{name}"'))),
            *("--port", str(self.ports[name])),
        )

    def address(self, gateway: str) -> str:
        """Of this gateway."""
        return f"http://127.0.0.1:{self.ports[gateway]}"

    async def leaders(self) -> Counter[str]:
        """How many PBXs each monitor leads; those that nobody leads under an empty name."""
        return Counter((await self.led_by()).values())

    async def led_by(self) -> dict[str, str]:
        """Which monitor leads each PBX; an empty name if nobody does."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for pbx in self.pbxs:
                pipe.execute_command("GET", SpaceKeys(pbx.name, "live").lease)
            holders = await pipe.execute()
        return {
            pbx.name: (text(holder) or "").rpartition("/")[0]
            for pbx, holder in zip(self.pbxs, holders, strict=True)
        }

    @asynccontextmanager
    async def subscribers(self, gateway: str, names: Iterable[str]) -> AsyncIterator[list[Watch]]:
        """A subscriber of each of these PBXs at this gateway."""
        url = self.address(gateway).replace("http", "ws", 1) + "/webapi/stream"
        async with AsyncExitStack() as stack:
            made = []
            for name in names:
                client = await stack.enter_async_context(StreamClient(url, key_of(name), TOPICS))
                held = Watch(name, Subscriber(client))
                await stack.enter_async_context(
                    running(asyncio.create_task(held.subscriber.listen()))
                )
                made.append(held)
            yield made

    def _settings(self, name: str, monitor: str) -> Path:
        file = self.directory / f"{name}.toml"
        pbxs = "".join(
            f'[[pbx]]\nname = "{pbx.name}"\nurl = "{pbx.url}"\nclient_id = "callmon"\n'
            f'client_secret = "{pbx.client_secret}"\npoll_interval = 1.0\n'
            f'poll_idle = {self.pace.poll_idle}\n{pbx.more}\n[[keys]]\nname = "{pbx.name}"\n'
            f'digest = "{sha256_hex(key_of(pbx.name))}"\n'
            f'pbx = "{pbx.name}"\n'
            for pbx in self.pbxs
        )
        file.write_text(
            f'[redis]\nurl = "{self.bus.url}"\n[log]\nlevel = "warning"\n[monitor]\n{monitor}\n'
            f"[gateway]\nheartbeat_interval = {self.pace.heartbeat}\n"
            f"[gateway.stream]\ndrain_time = 0.5\n{pbxs}",
            encoding="utf-8",
        )
        return file


@dataclass(slots=True)
class Watch:
    """A subscriber of one PBX, and what it was told."""

    name: str
    subscriber: Subscriber
    _troubles: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Note from now on what a subscriber of a well PBX must not be told."""
        self.subscriber.on_update(self._take)

    def end(self) -> list[str]:
        """Note nothing more; what was noted."""
        self.subscriber.listeners.remove(self._take)
        return self._troubles

    def _take(self, update: Update) -> None:
        held = self.subscriber
        if update.kind == "snapshot" or not held.connected or held.stale:
            told = f"{update.kind}, connected {held.connected}, stale {held.stale}"
            self._troubles.append(f"{self.name}: {told}")


def key_of(pbx: str) -> str:
    """Return the API key of this PBX."""
    return f"key-for-{pbx}"


@asynccontextmanager
async def many_sites(
    directory: Path, bus: RealBus, pbxs: Sequence[Reached], pace: Pace = PACE
) -> AsyncIterator[ManySites]:
    """Nothing runs yet; at the end whatever runs is killed."""
    made = ManySites(directory, bus, patient(bus), pbxs, pace)
    try:
        yield made
    finally:
        for process in made.running.values():
            await process.kill()


async def all_right(
    pbxs: Sequence[SimulatedPbx], watches: Iterable[Watch], within: float = WITHIN
) -> None:
    """Freeze all calls, and wait until each subscriber holds what happened; then let them go on."""
    by_name = {f"pbx{number}": pbx for number, pbx in enumerate(pbxs)}
    held = [(by_name[watch.name], watch) for watch in watches if watch.name in by_name]
    known = {name: Known.of(pbx, tolerance=60.0) for name, pbx in by_name.items()}
    for pbx in pbxs:
        pbx.traffic.pause()
        await pbx.traffic.quiet()

    def wrong() -> list[str]:
        return [
            f"{watch.name}: {what}"
            for pbx, watch in held
            for what in (
                knowable(differences(pbx, watch.subscriber.state, known[watch.name]))
                if watch.subscriber.connected and not watch.subscriber.stale
                else ["not connected, or stale"]
            )
        ]

    try:
        await until(lambda: not wrong(), within, every=0.2)
    except TimeoutError:
        raise AssertionError("\n".join(wrong()[:50])) from None
    finally:
        for pbx in pbxs:
            pbx.traffic.resume()
