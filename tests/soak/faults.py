"""Play the faults of a site: each begins, lasts, and is over when its coroutine returns.

A fault after which calls may be held whose beginnings nobody watched is *blinding*: of these less
can be known.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from monitor.simulator.server import SimulatedPbx
from tests.bus import RealBus
from tests.system.processes import Running, Site


@dataclass(slots=True)
class Stage:
    """Everything that can be made to fail. ``monitors`` are two, one of them leads."""

    pbx: SimulatedPbx
    bus: RealBus
    place: Site
    monitors: list[Running]
    second_gateway: Running
    second_port: int

    async def restart_gateway(self) -> None:
        """Start the second gateway again, on its port."""
        self.second_gateway = await self.place.start("gateway", "--port", str(self.second_port))


Doing = Callable[[Stage, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A named fault."""

    name: str
    do: Doing
    blinding: bool = False


async def _gateway_killed(stage: Stage, dice: random.Random) -> None:
    await stage.second_gateway.kill()
    await asyncio.sleep(dice.uniform(0, 5))
    await stage.restart_gateway()


async def _gateway_drained(stage: Stage, dice: random.Random) -> None:
    await stage.second_gateway.terminate()
    await asyncio.sleep(dice.uniform(0, 2))
    await stage.restart_gateway()


async def _monitor_killed(stage: Stage, dice: random.Random) -> None:
    await stage.monitors.pop(dice.randrange(len(stage.monitors))).kill()
    await asyncio.sleep(dice.uniform(0, 5))
    stage.monitors.append(await stage.place.start("monitor"))


async def _monitor_stopped(stage: Stage, dice: random.Random) -> None:
    """Past its lease, and woken: it must not write into the other's epoch."""
    process = dice.choice(stage.monitors).process
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(dice.uniform(1, 6))
    process.send_signal(signal.SIGCONT)


async def _socket_dropped(stage: Stage, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 4)):
        stage.pbx.faults.drop_sockets(dice.choice((None, 1001, 1011)))
        await asyncio.sleep(dice.uniform(0.1, 2))


async def _events_lost(stage: Stage, dice: random.Random) -> None:
    stage.pbx.faults.lose_events(probability=dice.uniform(0.05, 0.5))
    await asyncio.sleep(dice.uniform(1, 8))
    stage.pbx.faults.calm()


async def _events_late(stage: Stage, dice: random.Random) -> None:
    stage.pbx.faults.delay_events(dice.uniform(0.05, 0.5))
    stage.pbx.faults.reorder_events(dice.randint(0, 100))
    await asyncio.sleep(dice.uniform(1, 8))
    stage.pbx.faults.calm()


async def _answers_refused(stage: Stage, dice: random.Random) -> None:
    status = dice.choice((404, 429, 500, 503))
    stage.pbx.faults.answer_with(status, dice.randint(5, 60), "/callcontrol/")
    stage.pbx.faults.missing_reads(dice.randint(0, 40))
    await asyncio.sleep(dice.uniform(1, 5))
    stage.pbx.faults.calm()


async def _pbx_hangs(stage: Stage, dice: random.Random) -> None:
    stage.pbx.faults.hang("/callcontrol")
    await asyncio.sleep(dice.uniform(1, 12))
    stage.pbx.faults.calm()


async def _token_lost(stage: Stage, dice: random.Random) -> None:
    lose = dice.choice((stage.pbx.faults.expire_tokens, stage.pbx.faults.revoke_tokens))
    for _ in range(dice.randint(1, 3)):
        lose()
        await asyncio.sleep(dice.uniform(0.1, 2))


async def _pbx_gone(stage: Stage, dice: random.Random) -> None:
    await stage.pbx.faults.refuse()
    await asyncio.sleep(dice.uniform(1, 15))
    await stage.pbx.faults.accept()


async def _bus_resets(stage: Stage, dice: random.Random) -> None:
    client = stage.bus.client()
    for _ in range(dice.randint(1, 4)):
        await client.client_kill_filter(_type=dice.choice(("pubsub", "normal")), skipme=True)
        await asyncio.sleep(dice.uniform(0.1, 2))


async def _bus_stands_still(stage: Stage, dice: random.Random) -> None:
    with stage.bus.paused():
        await asyncio.sleep(dice.uniform(0.5, 6))


async def _bus_killed(stage: Stage, dice: random.Random) -> None:
    """With what was saved a moment ago, older than what everybody knows; or with nothing."""
    await stage.bus.save()
    await asyncio.sleep(dice.uniform(0, 3))
    stage.bus.kill()
    if dice.random() < 0.5:
        stage.bus.forget()
    await asyncio.sleep(dice.uniform(0, 4))
    await stage.bus.start()


FAULTS = (
    Fault("a gateway killed", _gateway_killed),
    Fault("a gateway told to end", _gateway_drained),
    Fault("a monitor killed", _monitor_killed, blinding=True),
    Fault("a monitor stopped and woken", _monitor_stopped, blinding=True),
    Fault("the PBX's socket dropped", _socket_dropped, blinding=True),
    Fault("events lost", _events_lost, blinding=True),
    Fault("events late and out of order", _events_late, blinding=True),
    Fault("reads refused", _answers_refused, blinding=True),
    Fault("reads that hang", _pbx_hangs, blinding=True),
    Fault("tokens expired or revoked", _token_lost, blinding=True),
    Fault("the PBX gone", _pbx_gone, blinding=True),
    Fault("connections to Redis reset", _bus_resets, blinding=True),
    Fault("Redis standing still", _bus_stands_still, blinding=True),
    Fault("Redis killed, back with an older state or empty", _bus_killed, blinding=True),
)
LEAVING = FAULTS[:2]
"""Those that belong to an ordinary day: gateways are updated."""
