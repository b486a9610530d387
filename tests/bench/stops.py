"""Measure what monitor, gateway and Redis cost at a site, and how long event loops are held up.

A simulated PBX, a monitor and a gateway with subscribers, all as processes: at 60, 600 and 2,400
calls a minute; in the rush also in turn with the same without our settings of the garbage
collector. ``python -m tests.bench.stops 30 30`` prints it for 30 seconds after 30 seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import connect

from monitor.shared.codec import from_json
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.bus_feed import free_port, ready, stream_paths
from tests.bench.contacts import CLIENT_ID, CLIENT_SECRET, settings
from tests.bench.processes import Party, party, python
from tests.bench.table import Sheet, show
from tests.bus import RealBus, patient, real_bus, until

RATE: Final = 2_400
"""Calls a minute."""
EXTENSIONS: Final = {60: 100, 600: 500, RATE: 2_000}
"""Of the PBX, for each number of calls a minute."""
_SPEED: Final = 4.0
_SUBSCRIBERS: Final = 100
_TOPICS: Final = "calls,extensions,queues"


@dataclass(frozen=True, slots=True)
class Stops:
    """Hold the figures of both programs over a run: see :meth:`tests.bench.probe.Probe.figures`."""

    monitor: dict[str, Any]
    gateway: dict[str, Any]
    redis: dict[str, float]
    """CPU seconds, and bytes that it received and sent."""
    seconds: float
    changes: int
    """Positions of the stream that passed."""
    frame: float
    """Bytes that a subscriber received for a position."""


async def measure(warm: float, seconds: float, rate: int = RATE, *, plain: bool = False) -> Stops:
    """Run for ``warm`` seconds, then for those that count, at so many calls a minute.

    ``plain``: leave the garbage collector to Python.
    """
    switch = ("--plain",) if plain else ()
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
        config = Path(directory) / "callmon.toml"
        async with real_bus() as bus, party(*python("stops", "pbx", str(rate))) as pbx:
            config.write_text(settings(bus, pbx), encoding="utf-8")
            options = ("--config", str(config))
            port = free_port()
            async with (
                party(*python("probe", *switch, "monitor", *options)) as monitor,
                party(
                    *python("probe", *switch, "gateway", *options, "--port", str(port))
                ) as gateway,
                party(*python("load")) as load,
            ):
                async with asyncio.timeout(60):
                    while not await ready(port):  # noqa: ASYNC110 - another process is waited for
                        await asyncio.sleep(0.1)
                paths = stream_paths(_SUBSCRIBERS, _TOPICS, keys=1)
                await load.ask(do="open", port=port, paths=paths)
                await asyncio.sleep(warm)
                return await _watched(port, bus, load, (monitor, gateway), seconds)


async def _watched(
    port: int, bus: RealBus, load: Party, programs: tuple[Party, Party], seconds: float
) -> Stops:
    begun, spent = time.monotonic(), await _redis(bus)
    position, received = await _position(port), await _received(load)
    await _ask(*programs)
    await asyncio.sleep(seconds)
    monitor, gateway = await _ask(*programs)
    changes = await _position(port) - position
    each = (await _received(load) - received) / _SUBSCRIBERS
    used = {name: value - spent[name] for name, value in (await _redis(bus)).items()}
    took = time.monotonic() - begun
    return Stops(monitor, gateway, used, took, changes, each / max(1, changes))


async def _redis(bus: RealBus) -> dict[str, float]:
    info: Any = await patient(bus).info()
    return {
        "cpu": info["used_cpu_user"] + info["used_cpu_sys"],
        "in": info["total_net_input_bytes"],
        "out": info["total_net_output_bytes"],
    }


async def _position(port: int) -> int:
    """Return where the stream is."""
    address = f"ws://127.0.0.1:{port}{stream_paths(1, _TOPICS, keys=1)[0]}"
    async with connect(address, max_size=None) as socket:
        while (frame := from_json(await socket.recv()))["type"] != "snapshot":
            pass
        return int(frame["seq"])


async def _received(load: Party) -> int:
    return int((await load.ask(do="count"))["bytes"])


async def _ask(*parties: Party) -> list[dict[str, Any]]:
    return [await each.ask() for each in parties]


def stack_sheet(found: dict[int, Stops]) -> Sheet:
    """Return what each program took; nothing here has a target but the stops."""
    made = Sheet(
        "A real stack at 60, 600 and 2,400 calls a minute",
        f"Simulated PBX, monitor, Redis, gateway and {_SUBSCRIBERS} subscribers to {_TOPICS}, all "
        f"as processes; calls pass {_SPEED:g} times as fast as they would. CPU in per cent of a "
        "core; memory resident.",
    )
    for rate, at in found.items():
        name = f"{rate:,} calls a minute, {EXTENSIONS[rate]:,} extensions"
        a_second = at.changes / at.seconds
        a_change = {
            "monitor": at.monitor["cpu"] / at.changes,
            "gateway": at.gateway["cpu"] / at.changes,
            "Redis": at.redis["cpu"] / at.changes,
        }
        made.add(f"{name}: changes a second", f"{a_second:.1f}")
        made.add(f"{name}: bytes a change and subscriber", f"{at.frame:,.0f}")
        for program, seconds in a_change.items():
            cpu = seconds * at.changes / at.seconds
            made.add(f"{name}: {program}", f"{cpu:.1%}, {seconds * 1e3:.2f} ms a change")
        for program, its in (("monitor", at.monitor), ("gateway", at.gateway)):
            stop = its["stop"] * 1e3
            made.add(f"{name}: {program}, longest stop", f"{stop:.0f} ms", ratio=stop, most=30)
            made.add(f"{name}: {program}, memory", f"{its['resident'] / 2**20:.0f} MiB")
        for way in ("in", "out"):
            made.add(f"{name}: bytes {way} at Redis a change", f"{at.redis[way] / at.changes:,.0f}")
    return made


def sheet(found: Stops, plain: Stops) -> Sheet:
    """The targets are absolute: 30 ms."""
    made = Sheet(
        f"Longest stop of the event loop at {RATE:,} calls a minute",
        "CPU time of the event loop's thread between two turns of the loop. Plain: with Python's "
        "own settings of the garbage collector.",
    )
    for name, ours, others in (
        ("monitor", found.monitor, plain.monitor),
        ("gateway", found.gateway, plain.gateway),
    ):
        stop, collecting = ours["stop"] * 1e3, max(ours["collecting"]) * 1e3
        made.add(f"{name}: longest stop, ms", f"{stop:.0f} ms", ratio=stop, most=30)
        made.add(
            f"{name}: longest collection, ms", f"{collecting:.0f} ms", ratio=collecting, most=30
        )
        made.add(f"{name}: all collections", f"{ours['collected']:.1%} of its CPU time")
        made.add(f"{name}: resident memory", f"{ours['resident'] / 2**20:.0f} MiB")
        made.add(f"{name}, plain: longest stop", f"{others['stop'] * 1e3:.0f} ms")
        collecting = max(others["collecting"])
        made.add(
            f"{name}, plain: longest collection",
            f"{collecting * 1e3:.0f} ms",
            ratio=max(ours["collecting"]) / collecting,
        )
        made.add(f"{name}, plain: all collections", f"{others['collected']:.1%} of its CPU time")
        made.add(f"{name}, plain: resident memory", f"{others['resident'] / 2**20:.0f} MiB")
    return made


async def _simulate(rate: int) -> None:
    """The PBX; says its port when its calls are under way."""
    simulated = SimulatorSettings(
        extensions=EXTENSIONS[rate],
        queues=max(2, EXTENSIONS[rate] // 100),
        rate=rate,
        speed=_SPEED,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    async with SimulatedPbx(simulated) as pbx:
        await until(lambda: len(pbx.switchboard.truth()) >= rate // 60, 30)
        print(json.dumps({"port": int(pbx.url.rpartition(":")[2])}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["pbx"]:
        asyncio.run(_simulate(int(sys.argv[2])))
    else:
        warm, seconds = map(float, sys.argv[1:])
        plain = asyncio.run(measure(warm, seconds, plain=True))
        rates = {rate: asyncio.run(measure(warm, seconds, rate)) for rate in EXTENSIONS}
        show(stack_sheet(rates))
        show(sheet(rates[RATE], plain))
