"""Measure what monitor, gateway and Redis cost at a site, and how long event loops are held up.

A simulated PBX, a monitor and a gateway with subscribers, all as processes: at 60, 600 and 2,400
calls a minute; in the rush also in turn with the same without our settings of the garbage
collector. ``python -m tests.bench.stops 30 30`` prints it for 30 seconds after 30 seconds;
``python -m tests.bench.stops 60 3600 2400`` for an hour at this rate alone, with what the memory
was in each quarter.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from monitor.shared.codec import from_json
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.bus_feed import ready, stream_paths
from tests.bench.contacts import CLIENT_ID, CLIENT_SECRET, settings
from tests.bench.processes import Party, party, python
from tests.bench.table import Sheet, show
from tests.bus import RealBus, free_port, patient, real_bus, until

RATE: Final = 2_400
"""Calls a minute."""
EXTENSIONS: Final = {60: 100, 600: 500, RATE: 2_000}
"""Of the PBX, for each number of calls a minute."""
_SPEED: Final = 4.0
_PARTS: Final = 4
_SUBSCRIBERS: Final = 100
_PATIENCE_S: Final = 120.0
_TOPICS: Final = "calls,extensions,queues"
_SITE: Final = (
    f"Simulated PBX, monitor, Redis, gateway and {_SUBSCRIBERS} subscribers to {_TOPICS}, all as "
    "processes"
)


@dataclass(frozen=True, slots=True)
class Stops:
    """Hold the figures of both programs over a run.

    See :meth:`tests.bench.probe.Probe.figures`; ``residents``: resident bytes at the end of each
    quarter of the run.
    """

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
                await _until_calls_move(port)
                await asyncio.sleep(warm)
                return await _watched(port, bus, load, (monitor, gateway), seconds)


async def _watched(
    port: int, bus: RealBus, load: Party, programs: tuple[Party, Party], seconds: float
) -> Stops:
    begun, spent = time.monotonic(), await _redis(bus)
    position, received = await _position(port), await _received(load)
    await _ask(*programs)
    quarters = list[list[dict[str, Any]]]()
    for _ in range(_PARTS):
        await asyncio.sleep(seconds / _PARTS)
        quarters.append(await _ask(*programs))
    monitor, gateway = map(_whole, zip(*quarters, strict=True))
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
    async with _stream(port, _TOPICS) as socket:
        return int((await _frame(socket, "snapshot"))["seq"])


async def _until_calls_move(port: int) -> None:
    """Wait until the monitor has read the directory and follows calls."""
    async with asyncio.timeout(_PATIENCE_S), _stream(port, "calls") as socket:
        await _frame(socket, "change")


def _stream(port: int, topics: str) -> connect:
    return connect(
        f"ws://127.0.0.1:{port}{stream_paths(1, topics, keys=1)[0]}",
        max_size=None,
        open_timeout=_PATIENCE_S,
    )


async def _frame(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next frame of this type."""
    while True:
        frame: dict[str, Any] = from_json(await socket.recv())
        if frame["type"] == kind:
            return frame


async def _received(load: Party) -> int:
    return int((await load.ask(do="count"))["bytes"])


async def _ask(*parties: Party) -> list[dict[str, Any]]:
    return [await each.ask() for each in parties]


def _whole(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a run from those of its parts."""
    cpu = sum(part["cpu"] for part in parts)
    return {
        "cpu": cpu,
        "stop": max(part["stop"] for part in parts),
        "collecting": [max(each) for each in zip(*(p["collecting"] for p in parts), strict=True)],
        "collected": sum(part["collected"] * part["cpu"] for part in parts) / max(cpu, 1e-9),
        "resident": parts[-1]["resident"],
        "residents": [part["resident"] for part in parts],
    }


def hour_sheet(rate: int, at: Stops) -> Sheet:
    """Return what a long run was like; the memory must not grow."""
    made = Sheet(
        f"{at.seconds / 60:.0f} minutes at {rate:,} calls a minute",
        f"{_SITE}. {at.changes:,} changes. Memory: at the end of each quarter of the run.",
    )
    for program, its in (("monitor", at.monitor), ("gateway", at.gateway)):
        made.add(f"{program}: longest stop", f"{its['stop'] * 1e3:.0f} ms")
        made.add(f"{program}: longest collection", f"{max(its['collecting']) * 1e3:.0f} ms")
        made.add(f"{program}: CPU", f"{its['cpu'] / at.seconds:.1%}")
        grown = its["residents"][-1] / its["residents"][0]
        memory = ", ".join(f"{each / 2**20:.0f}" for each in its["residents"])
        made.add(f"{program}: resident memory", f"{memory} MiB", ratio=grown, most=1.05)
    return made


def stack_sheet(rate: int, at: Stops) -> Sheet:
    """Return what each program took; nothing here has a target but the stops."""
    made = Sheet(
        f"A real stack: {rate:,} calls a minute, {EXTENSIONS[rate]:,} extensions",
        f"{_SITE}; calls pass {_SPEED:g} times as fast as they would. CPU in per cent of a core.",
    )
    made.add("changes a second", f"{at.changes / at.seconds:.1f}")
    made.add("bytes a change and subscriber", f"{at.frame:,.0f}")
    for program, cpu in (
        ("monitor", at.monitor["cpu"]),
        ("gateway", at.gateway["cpu"]),
        ("Redis", at.redis["cpu"]),
    ):
        made.add(f"{program}: CPU", f"{cpu / at.seconds:.1%}")
        made.add(f"{program}: CPU a change", f"{cpu / max(1, at.changes) * 1e3:.2f} ms")
    for program, its in (("monitor", at.monitor), ("gateway", at.gateway)):
        stop = its["stop"] * 1e3
        made.add(f"{program}: longest stop, ms", f"{stop:.0f} ms", ratio=stop, most=30)
        made.add(f"{program}: resident memory", f"{its['resident'] / 2**20:.0f} MiB")
    for way in ("in", "out"):
        made.add(f"Redis: bytes {way} a change", f"{at.redis[way] / max(1, at.changes):,.0f}")
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
        warm, seconds = map(float, sys.argv[1:3])
        if sys.argv[3:]:
            rate = int(sys.argv[3])
            if rate not in EXTENSIONS:
                sys.exit(f"The rate must be one of {', '.join(map(str, EXTENSIONS))}.")
            show(hour_sheet(rate, asyncio.run(measure(warm, seconds, rate))))
            sys.exit()
        plain = asyncio.run(measure(warm, seconds, plain=True))
        rates = {rate: asyncio.run(measure(warm, seconds, rate)) for rate in EXTENSIONS}
        for rate, found in rates.items():
            show(stack_sheet(rate, found))
        show(sheet(rates[RATE], plain))
