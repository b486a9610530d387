"""Run ``make bench``: print all as tables and write them to the README beside this file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.bench import (
    compression,
    contacts,
    crowd,
    delivery,
    frameworks,
    latency,
    many_pbxs,
    monitoring,
    newcomers,
    queries,
    queues,
    rush,
    stops,
    whole_way,
)
from tests.bench.compression import compression_sheet
from tests.bench.contacts import CONTACTS, Start
from tests.bench.crowd import Crowd
from tests.bench.delivery import BROADCASTER, CHANNELS, NODE_WS, SOCKETIO
from tests.bench.monitoring import LARGE, SMALL, Events
from tests.bench.processes import machine, ratio
from tests.bench.quick import delivery_sheet, latency_sheet, queries_sheet
from tests.bench.table import Sheet, show, write
from tests.bus import real_bus

_NOTES = Path(__file__).with_name("notes.md")
_FRAMEWORKS = (
    ("socketio", SOCKETIO, 1_000),
    ("channels", CHANNELS, 1_000),
    ("broadcaster", BROADCASTER, 5_000),
)
"""Name, row and number of subscribers: 5,000 delay a broadcast of the others by a second."""


async def run() -> None:
    """Measure, print, write."""
    sheets: list[Sheet] = []

    def done(sheet: Sheet) -> None:
        show(sheet)
        sheets.append(sheet)

    for subscribers, each in ((1_000, 15), (5_000, 4)):
        async with real_bus() as bus:
            peers = tuple(_peers(subscribers))
            done(
                delivery_sheet(await delivery.measure(bus, subscribers, peers, times=7, each=each))
            )
    async with real_bus() as bus:
        done(compression_sheet(await compression.measure(bus, 1_000, times=9, each=8)))
    for subscribers, stuck in ((10_000, 0), (10_000, 1_000)):
        async with real_bus() as bus:
            done(crowd_sheet(await crowd.measure(bus, subscribers, stuck, seconds=15)))
    async with real_bus() as bus:
        done(latency_sheet(await latency.measure(bus, 1_000)))
    for calls in (10, 200):
        async with real_bus() as bus:
            done(queries_sheet(await queries.measure(bus, calls, times=9, each=1_500)))
    done(contacts_sheet(await contacts.measure(3)))
    done(monitor_sheet(await monitoring.measure(9)))
    done(await whole_way.measure(200))
    done(await rush.measure(15))
    done(queues.sheet(queues.Plan(), await queues.measure(queues.Plan())))
    done(await newcomers.run())
    done(many_pbxs.sheet(await many_pbxs.measure()))
    done(many_pbxs.sheet(await many_pbxs.measure_monitor(), "monitor"))
    plain = await stops.measure(60, 60, plain=True)
    done(stops.sheet(await stops.measure(60, 60), plain))
    write(sheets, machine(), _NOTES.read_text(encoding="utf-8"))


def crowd_sheet(found: Crowd) -> Sheet:
    """The targets are absolute: under a second, at most 20 KiB."""
    stuck = f", {found.stuck:,} of them not reading" if found.stuck else ""
    sheet = Sheet(
        f"{found.subscribers:,} subscribers on one worker, 100 changes a second{stuck}",
        "Age of the oldest change that a frame brings, from its publish on Redis to its receipt, "
        "for clients that read. "
        "Load generators, writer and Redis share the cores.",
    )
    reading = found.subscribers - found.stuck
    sheet.add("age p50", f"{found.p50 * 1e3:.0f} ms")
    sheet.add("age p99, seconds", f"{found.p99 * 1e3:.0f} ms", ratio=found.p99, most=1)
    sheet.add("greatest age", f"{found.greatest * 1e3:.0f} ms")
    sheet.add(
        "at the last position a second after the last change",
        f"{found.current:,} of {reading:,}",
        ratio=found.current / reading,
        least=1,
    )
    sheet.add("frames a second and subscriber", f"{found.frames:.1f}")
    sheet.add("CPU of the gateway", f"{found.cpu:.0%} of a core")
    sheet.add(
        "resident memory a subscriber, KiB",
        f"{found.memory / 1024:.1f} KiB",
        ratio=found.memory / 1024,
        most=20,
    )
    sheet.add("the same after the changes", f"{found.memory_after / 1024:.1f} KiB")
    return sheet


def contacts_sheet(found: Sequence[Start]) -> Sheet:
    """The targets are absolute: two seconds until calls are live."""
    sheet = Sheet(
        f"A start with {CONTACTS:,} contacts at the PBX",
        "From the start of monitor and gateway, both as processes, with an empty Redis; PBX, "
        "Redis and observer "
        f"share the cores. Medians of {len(found)} starts. Ratio of the reading of contacts to a "
        f"client that reads the "
        "same pages one after another and only decodes them.",
    )
    live = {
        "calls live on the bus, seconds": [start.bus_calls for start in found],
        "calls live at the gateway, seconds": [start.gateway_calls for start in found],
        "calls live at a gateway started when all contacts are on the bus, seconds": [
            start.late_gateway_calls for start in found
        ],
    }
    for name, seconds in live.items():
        sheet.add(name, f"{median(seconds):.2f} s", ratio=median(seconds), most=2)
    sheet.add("all contacts on the bus", f"{median(start.bus_contacts for start in found):.2f} s")
    sheet.add(
        "all contacts at the gateway", f"{median(start.gateway_contacts for start in found):.2f} s"
    )
    reading, bare = [start.reading for start in found], [start.bare for start in found]
    sheet.add(
        "contacts: from live calls to the bus",
        f"{median(reading):.2f} s",
        ratio=ratio(reading, bare),
    )
    sheet.add("bare paging of the same contacts", f"{median(bare):.2f} s")
    return sheet


def monitor_sheet(found: Events) -> Sheet:
    """The target is of an event's cost to one at a small PBX."""
    sheet = Sheet(
        "The monitor: one event",
        "CPU time of the tracker and of encoding what is published. A poll is a full read of "
        "participants and active "
        f"calls that finds no change; all polls together published "
        f"{found.published} changes.",
    )
    small, large = (f"{size[1]:,} calls, {size[0]:,} extensions" for size in (SMALL, LARGE))
    middle = sorted(found.small)[len(found.small) // 2], sorted(found.large)[len(found.large) // 2]
    sheet.add(f"event: {small}", f"{middle[0]:.0f} µs")
    sheet.add(f"event: {large}", f"{middle[1]:.0f} µs", ratio=found.ratio(), most=1.5)
    sheet.add(f"poll that changes nothing: {small}", f"{found.small_poll:.2f} ms")
    sheet.add(f"poll that changes nothing: {large}", f"{found.large_poll:.2f} ms")
    return sheet


def _peers(subscribers: int) -> Iterator[str]:
    yield from ("write(2)", "Starlette send_bytes", "websockets broadcast")
    if shutil.which("node") and NODE_WS.is_dir():
        yield "Node ws"
    yield from (
        row for name, row, most in _FRAMEWORKS if subscribers <= most and frameworks.installed(name)
    )
