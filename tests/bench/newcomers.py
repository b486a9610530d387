"""Measure what 500 subscribers who come at once cost a gateway with the state of a large PBX.

They are connected already, and subscribe in one moment: all to everything, and each with a filter
of its own. ``python -m tests.bench.newcomers`` prints it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from monitor.shared.entities.topics import State
from tests.bench.bus_feed import first_state, gateway, stream_paths, writing
from tests.bench.office import Office
from tests.bench.processes import Party, clear_peak, party, peak, python, resident
from tests.bench.table import Sheet, show
from tests.bus import real_bus

SUBSCRIBERS: Final = 500
EXTENSIONS: Final = 5_000
CALLS: Final = 2_000
_TOPICS: Final = ("calls", "extensions")
_SETTLE_S: Final = 1.0
_QUIET: Final = 0.01
"""Part of what they received that may come in a second once all is there: heartbeats."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Hold the longest stop and the CPU time in seconds, and the growth of memory in bytes."""

    stop: float
    cpu: float
    growth: int
    """Of the most that was resident at any time."""
    each: int
    """Bytes that one subscriber receives."""


def state() -> State:
    """Return the state of a large PBX."""
    office = Office(EXTENSIONS, CALLS)
    made = first_state()
    for topic in _TOPICS:
        made[topic] = dict(office.tracker.state[topic])
    return made


async def measure(wanted: Sequence[dict[str, Any]]) -> Newcomers:
    """Let one of them subscribe, then all the others at once. ``wanted``: what each subscribes."""
    async with (
        real_bus() as bus,
        writing(bus, state()),
        gateway(bus, heartbeat=60, probed=True) as server,
        party(*python("load")) as load,
    ):
        paths = [path.partition("?")[0] for path in stream_paths(len(wanted))]
        await load.ask(do="open", group="first", port=server.port, paths=paths[:1])
        await load.ask(do="open", group="", port=server.port, paths=paths)
        texts = [json.dumps({"type": "subscribe", **each}) for each in wanted]
        each = await _received(load, "first", texts[:1])
        same = all(text == texts[0] for text in texts)
        clear_peak(server.pid)
        before = resident(server.pid)
        await server.ask()
        await _received(load, "", texts, each * len(texts) if same else 0)
        figures = await server.ask()
        grown = peak(server.pid) - before
    return Newcomers(figures["stop"], figures["cpu"], grown, each)


async def _received(load: Party, group: str, texts: Sequence[str], least: int = 0) -> int:
    """Let a group subscribe; the bytes that one of it received, once nothing more comes.

    ``least``: bytes that all together receive at least, if that is known.
    """
    before = (await load.ask(do="count", group=group))["bytes"]
    await load.ask(do="say", group=group, texts=texts)
    last = now = before
    while (
        now == before
        or now - last > _QUIET * (now - before)
        or now - before <= least * (1 - _QUIET)
    ):
        await asyncio.sleep(_SETTLE_S)
        last, now = now, (await load.ask(do="count", group=group))["bytes"]
    return int(now - before) // len(texts)


def everything() -> list[dict[str, Any]]:
    """Return what each of those subscribes who see all."""
    return [{"topics": _TOPICS}] * SUBSCRIBERS


def filtered() -> list[dict[str, Any]]:
    """Return what each of those subscribes who want one extension."""
    return [
        {"topics": _TOPICS, "filter": {"ext": [str(10_000 + number * 7 % EXTENSIONS)]}}
        for number in range(SUBSCRIBERS)
    ]


def sheet(whole: Newcomers, parted: Newcomers) -> Sheet:
    """The targets are absolute."""
    made = Sheet(
        f"{SUBSCRIBERS} subscribers at once, {EXTENSIONS:,} extensions, {CALLS:,} calls",
        "They subscribe in one moment. Stops and CPU time are of the gateway's process; memory is "
        "the growth of the most that was resident.",
    )
    for name, found, stop, memory, cpu in (
        (f"snapshots of {whole.each / 1e6:.1f} MB", whole, 60, 150, None),
        ("filtered, each by another extension", parted, 30, None, 1),
    ):
        made.add(
            f"{name}: longest stop, ms", f"{found.stop * 1e3:.0f} ms",
            ratio=found.stop * 1e3, most=stop,
        )  # fmt: skip
        mib = found.growth / 2**20
        made.add(f"{name}: memory, MiB", f"+{mib:.0f} MiB", ratio=mib, most=memory)
        made.add(f"{name}: CPU, seconds", f"{found.cpu:.2f} s", ratio=found.cpu, most=cpu)
    return made


async def run() -> Sheet:
    """Measure both."""
    return sheet(await measure(everything()), await measure(filtered()))


if __name__ == "__main__":
    show(asyncio.run(run()))
