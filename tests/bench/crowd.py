"""Measure how old the data of 10,000 subscribers is, at 100 changes a second on one worker.

Of each frame that one of a tenth of the subscribers receives, the age of the oldest change that it
brings him, from its publish on; and whether all are at the last position soon after the last
change. Then the same with a tenth of them not reading at all.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.bus_feed import Writer, first_state, gateway, stream_paths, writing
from tests.bench.processes import Party, party, python, resident
from tests.bus import RealBus

_RATE = 100
"""Changes a second."""
_WARM = 2.0
"""Seconds of changes before those that count."""
_SETTLE = 1.0
"""Seconds after the last change until all must be there."""
_POSITIONS = 100_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """``memory``: bytes a subscriber, connected and at rest, and after the changes.

    Ages in seconds.
    """

    subscribers: int
    stuck: int
    memory: float
    memory_after: float
    p50: float
    p99: float
    greatest: float
    current: int
    frames: float
    """A second and reading subscriber."""
    cpu: float
    """Of one core, while changes arrive."""


async def measure(bus: RealBus, subscribers: int, stuck: int, seconds: float) -> Crowd:
    """Let them subscribe, change for so many seconds, and ask the loads what was seen."""
    with tempfile.NamedTemporaryFile(prefix="callmon-bench-") as file:
        file.truncate(8 * _POSITIONS)
        times = mmap.mmap(file.fileno(), 0)
        async with (
            writing(bus, first_state()) as writer,
            gateway(bus) as server,
            party(*python("load")) as first,
            party(*python("load")) as second,
        ):
            loads = (first, second)
            before = resident(server.pid)
            await _connect(server, loads, subscribers, stuck, file.name)
            at_rest = resident(server.pid)
            begun_at, begun = time.monotonic(), server.cpu
            await _change(writer, times, _WARM)
            counted_from = writer.position.seq + 1
            await _change(writer, times, seconds)
            cpu = (server.cpu - begun) / (time.monotonic() - begun_at)
            await asyncio.sleep(_SETTLE)
            seen = [
                await load.ask(do="seen", seq=writer.position.seq, first=counted_from)
                for load in loads
            ]
            after = resident(server.pid)
    return Crowd(
        subscribers,
        stuck,
        (at_rest - before) / subscribers,
        (after - before) / subscribers,
        max(each["p50"] for each in seen),
        max(each["p99"] for each in seen),
        max(each["greatest"] for each in seen),
        sum(each["current"] for each in seen),
        sum(each["frames"] for each in seen) / len(seen) / seconds,
        cpu,
    )


async def _connect(
    server: Party, loads: tuple[Party, ...], subscribers: int, stuck: int, times: str
) -> None:
    paths = stream_paths(subscribers)
    for at, load in enumerate(loads):
        mine = paths[at :: len(loads)]
        held = stuck // len(loads)
        await load.ask(do="watch", times=str(Path(times)))
        await load.ask(do="open", group="stuck", port=server.port, paths=mine[:held], stuck=True)
        await load.ask(do="open", group="", port=server.port, paths=mine[held:])
    await asyncio.sleep(2)


async def _change(writer: Writer, times: Any, seconds: float) -> None:
    """A hundred changes a second, each noted when it is about to be published."""
    due = begun = time.monotonic()
    while due < begun + seconds:
        struct.pack_into("d", times, 8 * (writer.position.seq + 1), time.monotonic())
        await writer.rename()
        due += 1 / _RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
