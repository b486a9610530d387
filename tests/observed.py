"""Run the whole of callmon in one loop with its metrics served, and use all of it once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.cli.runtime import metrics_server
from gateway.config import BudgetsSection, GatewaySection, StreamSection
from monitor import run as monitor_run
from monitor.config import MonitorSection, MonitorSettings
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import only, real_bus, until
from tests.system.stack import KEY, PBX, running, section, subscriber

SCOPES = frozenset({"read", "contacts", "control", "admin"})


@dataclass(frozen=True, slots=True)
class Scrape:
    """What ``/metrics`` said."""

    families: Mapping[str, Metric]
    text: str

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of the samples of this name that have these labels.

        Raises LookupError if there is none.
        """
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        if not found:
            raise LookupError(f"no sample {name} {labels}")
        return sum(found)

    @property
    def names(self) -> set[str]:
        """Of all samples."""
        return {sample.name for family in self.families.values() for sample in family.samples}


@dataclass(slots=True)
class Observed:
    """A site whose metrics can be read. ``updates``: what its WebSocket subscriber was told."""

    pbx: SimulatedPbx
    gateway: str
    http: httpx.AsyncClient
    addresses: Mapping[str, str]
    updates: list[object] = field(default_factory=list)

    async def scrape(self, program: str) -> Scrape:
        """Read ``monitor``'s or ``gateway``'s metrics."""
        answer = await self.http.get(self.addresses[program])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        return Scrape(
            {family.name: family for family in text_string_to_metric_families(answer.text)},
            answer.text,
        )

    async def until(self, program: str, true: Callable[[Scrape], bool]) -> Scrape:
        """Scrape until it is true of it; a sample that is not there yet is not.

        Raises TimeoutError.
        """
        async with asyncio.timeout(60):
            while True:
                found = await self.scrape(program)
                with suppress(LookupError):
                    if true(found):
                        return found
                await asyncio.sleep(0.05)

    async def ask(self, command: str, key: str = KEY, **given: str) -> httpx.Response:
        """Ask the gateway."""
        return await self.http.get(f"{self.gateway}/webapi/{key}/{command}", params=given)


@asynccontextmanager
async def observed(traffic: bool = True) -> AsyncIterator[Observed]:
    """PBX, Redis, monitor, gateway and a WebSocket subscriber, all of them live."""
    simulated = SimulatorSettings(
        extensions=20, queues=2, contacts=5, rate=240, speed=5, traffic=traffic
    )
    registries = {
        program: metrics_server.new_registry(program) for program in ("monitor", "gateway")
    }
    key = ApiKey("test", sha256_hex(KEY), PBX, SCOPES)
    settings = GatewaySection(
        port=0,
        heartbeat_interval=1.0,
        budgets=BudgetsSection(makecall=1),
        stream=StreamSection(drain_time=0),
    )
    async with SimulatedPbx(simulated) as pbx, real_bus() as bus:
        watched = MonitorSettings(
            pbx=(section(pbx),), monitor=MonitorSection(name="monitor", lease_duration=60.0)
        )
        watching = monitor_run.run(watched, only(bus.client()), registry=registries["monitor"])
        async with (
            running(asyncio.create_task(watching)),
            gateway_run.serving(
                [PBX], KeyTable([key]), settings, only(bus.client()), registry=registries["gateway"]
            ) as server,
            metrics_server.exposed(registries["monitor"], "127.0.0.1", 0) as monitor_at,
            metrics_server.exposed(registries["gateway"], "127.0.0.1", 0) as gateway_at,
            httpx.AsyncClient(timeout=30) as http,
            subscriber(server.address) as held,
        ):
            await until(lambda: held.connected)
            found = Observed(
                pbx, server.address, http, {"monitor": monitor_at, "gateway": gateway_at}
            )
            held.on_update(found.updates.append)
            yield found


async def a_day(site: Observed) -> None:
    """A bit of everything that is counted."""
    assert (await site.ask("pbx.callsinfo.get")).status_code == 200
    assert (await site.ask("pbx.callsinfo.get")).status_code == 200
    assert (await site.ask("pbx.callsinfo.get", key="nobodys-key")).status_code == 401
    assert (await site.ask("ext.fwd.set", num="101", status="Away")).status_code == 200
    assert (await site.ask("queue.agents.set", num="99999", agents="101")).status_code == 404
    assert {
        (await site.ask("makecall", first="101", second="102")).status_code for _ in range(2)
    } == {200, 429}
    refused = await site.http.get(f"{site.gateway}/webapi/nobodys-key/events?topics=calls")
    assert refused.status_code == 401
    async with site.http.stream(
        "GET", f"{site.gateway}/webapi/{KEY}/events?topics=extensions"
    ) as events:
        lines = events.aiter_lines()
        async for line in lines:
            if '"snapshot"' in line:
                break
        assert (await site.ask("ext.fwd.set", num="102", status="Away")).status_code == 200
        async for line in lines:
            if '"change"' in line:
                break
