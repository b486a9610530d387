"""``callmon demo``: simulated PBX, monitor, in-process Redis and gateway in one process.

Only the PBX and the bus's server are stand-ins; every line between them is what runs in production: HTTP and WebSocket
to the PBX, the bus's transactions and pub/sub, HTTP and WebSocket to the clients.
"""

from __future__ import annotations

import asyncio

import fakeredis
from pydantic import SecretStr

from gateway import own_commands
from gateway import run as gateway_run
from gateway.auth import ApiKey, KeyTable, digest_of, new_key
from gateway.config import GatewaySection
from monitor import logs
from monitor import run as monitor_run
from monitor.config import MonitorSettings, PbxSection
from monitor.simulator.pbx import SimulatedPbx, SimulatorSettings

DEMO_KEY = "qRQi5xQj8SvI"
"""The demo key of the documented interface: it reads and changes nothing."""
_PBX = "demo"


async def run(port: int, extensions: int, queues: int, rate: float, seed: int, *, control: bool = False) -> None:
    """Until cancelled; prints what to try next. ``control``: with a second key, which may change things.

    Raises ConfigError if the port is taken.
    """
    logs.configure("warning", "human")
    own_commands.load()
    simulated = SimulatorSettings(extensions=extensions, queues=queues, rate=rate, seed=seed)
    server = fakeredis.FakeServer()
    monitor_bus, gateway_bus = (fakeredis.FakeAsyncRedis(server=server) for _ in range(2))
    keys = [ApiKey("demo", digest_of(DEMO_KEY), _PBX, frozenset({"read", "contacts"}))]
    control_key = new_key() if control else None
    if control_key is not None:
        scopes = frozenset({"read", "contacts", "control", "admin"})
        keys.append(ApiKey("demo control", digest_of(control_key), _PBX, scopes))
    async with SimulatedPbx(simulated) as pbx, asyncio.TaskGroup() as tasks:
        section = PbxSection(
            name=_PBX, url=pbx.url, client_id=pbx.client_id, client_secret=SecretStr(pbx.client_secret)
        )
        watching = tasks.create_task(monitor_run.run(MonitorSettings(pbx=(section,)), monitor_bus))
        try:
            settings = GatewaySection(port=port)
            async with gateway_run.serving([_PBX], KeyTable(keys), settings, gateway_bus) as gateway:
                print(_welcome(gateway.address, pbx.url, simulated, control_key), flush=True)
                await gateway.ended()
        finally:
            watching.cancel()


def _welcome(address: str, pbx: str, simulated: SimulatorSettings, control_key: str | None) -> str:
    stream = address.replace("http", "ws", 1)
    return f"""
callmon demo: live calls of a simulated 3CX ({simulated.extensions} extensions, {simulated.queues} queues, \
{simulated.rate:g} calls a minute) at {pbx}

  wallboard           {address}/wall#key={DEMO_KEY}
  what runs here      {address}/
  calls now           curl {address}/webapi/{DEMO_KEY}/pbx.callsinfo.get
  free agents         curl '{address}/webapi/{DEMO_KEY}/queue.free.get?num=800'
  changes, readable   .venv/bin/callmon tail --url {address} --key {DEMO_KEY}
  changes, as frames  .venv/bin/python -m websockets '{stream}/webapi/{DEMO_KEY}/stream?topics=calls,queues'

{_control(address, control_key)}
The key {DEMO_KEY} only reads. Ctrl-C ends it."""


def _control(address: str, key: str | None) -> str:
    if key is None:
        return ""
    return f"""
The key {key} may change things at the simulated PBX, until the demo ends:
  set a status        curl '{address}/webapi/{key}/ext.fwd.set?num=101&status=Away'
  make a call         curl '{address}/webapi/{key}/makecall?first=101&second=102'
"""
