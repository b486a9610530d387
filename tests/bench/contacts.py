"""Measure a start with 100,000 contacts: the calls must not wait for the address book.

The simulated PBX with its calls is a process of its own, which runs before anything is measured.
Then a new Redis, the monitor and the gateway, as at a site. What is there is looked for every few
milliseconds: on Redis, and by asking the gateway. The peer is a client that reads the same pages
with the same query options and decodes their JSON, nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from redis.asyncio import Redis

from gateway.auth.api_keys import sha256_hex
from monitor.pbx.http_client.paging import PAGE
from monitor.pbx.v20_client import XAPI
from monitor.pbx.xapi.directory_reader import _CONTACTS
from monitor.shared.codec import decode_entity, from_json
from monitor.shared.entities.topics import SYSTEM_ID, System
from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.bus_feed import PBX, key
from tests.bench.processes import Party, party, python
from tests.bus import RealBus, free_port, real_bus, until

CONTACTS: Final = 100_000
_CALLS: Final = 20
"""At the least, under way before the monitor is started."""
_LOOK: Final = 0.01
"""Seconds between two looks at the calls: the resolution of these figures."""
_SELDOM: Final = 0.1
"""The same for the contacts."""
_PATIENCE: Final = 120.0
CLIENT_ID, CLIENT_SECRET = "bench", "secret-of-the-bench"


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start until this was there; ``bare``: seconds that bare paging took."""

    bus_calls: float
    gateway_calls: float
    bus_contacts: float
    gateway_contacts: float
    late_gateway_calls: float
    """From the start of another gateway, when all contacts are on the bus already."""
    bare: float

    @property
    def reading(self) -> float:
        """Return the seconds from calls on the bus to contacts on the bus, while calls are live."""
        return self.bus_contacts - self.bus_calls


async def measure(times: int) -> list[Start]:
    """So many starts, each on a new Redis, with bare paging before each."""
    async with party(*python("contacts")) as pbx:
        await _page(pbx.port)  # the simulated PBX sorts its book once
        starts = []
        for _ in range(times):
            bare = await _page(pbx.port)
            async with real_bus() as bus:
                starts.append(await _start(bus, pbx, bare))
        return starts


async def _start(bus: RealBus, pbx: Party, bare: float) -> Start:
    redis = bus.client()
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
        config = Path(directory) / "callmon.toml"
        config.write_text(settings(bus, pbx), encoding="utf-8")
        options = ("--config", str(config))
        begun = time.perf_counter()
        async with (
            party(*_callmon("monitor", *options), speaks=False),
            party(*_callmon("gateway", *options, "--port", str(ports[0])), speaks=False),
            aiohttp.ClientSession() as http,
        ):
            bus_calls, gateway_calls, bus_contacts, gateway_contacts = await asyncio.gather(
                _until(begun, lambda: _calls_on(redis)),
                _until(begun, lambda: _calls_at(http, ports[0])),
                _until(begun, lambda: _contacts_on(redis), _SELDOM),
                _until(begun, lambda: _contacts_at(http, ports[0]), _SELDOM),
            )
            begun = time.perf_counter()
            async with party(*_callmon("gateway", *options, "--port", str(ports[1])), speaks=False):
                late = await _until(begun, lambda: _calls_at(http, ports[1]))
    return Start(bus_calls, gateway_calls, bus_contacts, gateway_contacts, late, bare)


async def _until(begun: float, there: Callable[[], Awaitable[bool]], every: float = _LOOK) -> float:
    """Seconds since ``begun`` when it is there. Raises TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        while not await there():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(every)
    return time.perf_counter() - begun


async def _calls_on(redis: Redis) -> bool:
    keys = SpaceKeys(PBX, "live")
    system = await redis.hget(keys.state("system"), SYSTEM_ID)
    if not isinstance(system, bytes):
        return False
    told = decode_entity("system", system)
    return (
        isinstance(told, System)
        and told.connection == "connected"
        and await redis.hlen(keys.state("calls")) > 0
    )


async def _contacts_on(redis: Redis) -> bool:
    return await redis.hlen(SpaceKeys(PBX, "book").state("contacts")) == CONTACTS


async def _calls_at(http: aiohttp.ClientSession, port: int) -> bool:
    """Whether it answers with calls, and does not call the answer stale."""
    answer = await _ask(http, port, "pbx.callsinfo.get")
    return (
        answer is not None
        and "Callmon-Stale-Since" not in answer.headers
        and bool(await answer.json())
    )


async def _contacts_at(http: aiohttp.ClientSession, port: int) -> bool:
    """Whether it has the last contact: they come all at once."""
    return await _ask(http, port, f"contact.get?id={CONTACTS}") is not None


async def _ask(
    http: aiohttp.ClientSession, port: int, command: str
) -> aiohttp.ClientResponse | None:
    """The answer, read; None if it is a refusal, or if nobody listens yet."""
    try:
        async with http.get(f"http://127.0.0.1:{port}/webapi/{key(0)}/{command}") as response:
            await response.read()
            return response if response.status == 200 else None
    except aiohttp.ClientConnectionError:
        return None


async def _page(port: int) -> float:
    """Seconds that all pages take a client that only decodes them."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
        async with http.post("/connect/token", data=form) as response:
            token = from_json(await response.read())["access_token"]
        begun = time.perf_counter()
        query = _CONTACTS.query() | {"$orderby": "Id", "$count": "true", "$top": str(PAGE)}
        rows: list[Any] = []
        while len(rows) < CONTACTS:
            page = query | {"$skip": str(len(rows))}
            async with http.get(
                f"{XAPI}/Contacts", params=page, headers={"Authorization": f"Bearer {token}"}
            ) as response:
                assert response.status == 200
                rows += from_json(await response.read())["value"]
        return time.perf_counter() - begun


def _callmon(*arguments: str) -> tuple[str, ...]:
    return sys.executable, "-m", "gateway", *arguments


def settings(bus: RealBus, pbx: Party) -> str:
    """The file for a monitor of this PBX and a gateway."""
    return f"""
[redis]
url = "{bus.url}"
[log]
level = "error"
[[pbx]]
name = "{PBX}"
url = "http://127.0.0.1:{pbx.port}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
[[keys]]
name = "bench"
digest = "{sha256_hex(key(0))}"
pbx = "{PBX}"
scopes = ["read", "contacts"]
"""


async def _simulate() -> None:
    """The PBX; says its port when its calls are under way."""
    simulated = SimulatorSettings(
        contacts=CONTACTS, rate=600, client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )
    async with SimulatedPbx(simulated) as pbx:
        await until(lambda: len(pbx.switchboard.truth()) >= _CALLS, 30)
        print(json.dumps({"port": int(pbx.url.rpartition(":")[2])}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_simulate())
