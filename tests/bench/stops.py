"""Measure the longest stop of the event loops of monitor and gateway in a rush.

A simulated PBX with 2,000 extensions and 2,400 calls a minute, a monitor and a gateway with
subscribers, all as processes; in turn with the same without our settings of the garbage collector.
``python -m tests.bench.stops 30 30`` prints it for 30 seconds after 30 seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.bus_feed import free_port, ready, stream_paths
from tests.bench.contacts import CLIENT_ID, CLIENT_SECRET, settings
from tests.bench.processes import Party, party, python
from tests.bench.table import Sheet, show
from tests.bus import real_bus, until

RATE: Final = 2_400
"""Calls a minute."""
_EXTENSIONS: Final = 2_000
_SPEED: Final = 4.0
_SUBSCRIBERS: Final = 100
_TOPICS: Final = "calls,extensions,queues"


@dataclass(frozen=True, slots=True)
class Stops:
    """Hold the figures of both programs over a run: see :meth:`tests.bench.probe.Probe.figures`."""

    monitor: dict[str, Any]
    gateway: dict[str, Any]


async def measure(warm: float, seconds: float, *, plain: bool = False) -> Stops:
    """Run for ``warm`` seconds, then for those that count.

    ``plain``: leave the garbage collector to Python.
    """
    switch = ("--plain",) if plain else ()
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as directory:
        config = Path(directory) / "callmon.toml"
        async with real_bus() as bus, party(*python("stops", "pbx")) as pbx:
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
                await _ask(monitor, gateway)
                await asyncio.sleep(seconds)
                return Stops(*await _ask(monitor, gateway))


async def _ask(*parties: Party) -> list[dict[str, Any]]:
    return [await each.ask() for each in parties]


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


async def _simulate() -> None:
    """The PBX; says its port when its calls are under way."""
    simulated = SimulatorSettings(
        extensions=_EXTENSIONS,
        queues=20,
        rate=RATE,
        speed=_SPEED,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    async with SimulatedPbx(simulated) as pbx:
        await until(lambda: len(pbx.switchboard.truth()) >= RATE // 60, 30)
        print(json.dumps({"port": int(pbx.url.rpartition(":")[2])}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["pbx"]:
        asyncio.run(_simulate())
    else:
        warm, seconds = map(float, sys.argv[1:])
        plain = asyncio.run(measure(warm, seconds, plain=True))
        show(sheet(asyncio.run(measure(warm, seconds)), plain))
