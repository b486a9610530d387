"""Run ``make bench``: measure section by section, print tables, write the README beside this file.

``make bench ARGS="stops rush"`` measures these sections anew and keeps the others;
``ARGS="--runs 3"`` measures each three times and takes the median of every row.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Final

from tests.bench import (
    compression,
    contacts,
    crowd,
    delivery,
    latency,
    many_pbxs,
    monitoring,
    newcomers,
    queries,
    queues,
    report,
    rush,
    stops,
    whole_way,
)
from tests.bench.compression import compression_sheet
from tests.bench.contacts import CONTACTS, Start
from tests.bench.crowd import Crowd
from tests.bench.monitoring import LARGE, SMALL, Events
from tests.bench.processes import machine, ratio
from tests.bench.quick import arrival_sheet, delivery_sheet, latency_sheet, queries_sheet
from tests.bench.report import Section
from tests.bench.table import Sheet, middle, show
from tests.bus import real_bus

Measure = Callable[[], Awaitable[list[Sheet]]]


async def run(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--runs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    for name, packages in delivery.not_installed().items():
        print(f"left out: {name}, as {packages} is not installed", flush=True)
    failed = []
    for name in chosen.sections or SECTIONS:
        try:
            section = await _measured(SECTIONS[name], chosen.runs)
        except (TimeoutError, OSError, RuntimeError) as error:
            print(f"not measured: {name}: {error!r}", flush=True)
            failed.append(name)
            continue
        for sheet in section.sheets:
            show(sheet)
        report.add(name, section)
    report.write(list(SECTIONS))
    if failed:
        raise SystemExit(1)


async def _measured(measure: Measure, runs: int) -> Section:
    found, load = [], [os.getloadavg()[0]]
    for _ in range(runs):
        found.append(await measure())
        load.append(os.getloadavg()[0])
    sheets = [middle(same) for same in zip(*found, strict=True)]
    return Section(sheets, runs, min(load), max(load), machine(), str(datetime.now(UTC).date()))


def _delivered(subscribers: int, frame: int, each: int) -> Measure:
    async def measure() -> list[Sheet]:
        async with real_bus() as bus:
            names = delivery.installed(subscribers, frame)
            found = await delivery.measure(bus, subscribers, names, 7, each, frame)
        sheets = [delivery_sheet(found)]
        return [*sheets, arrival_sheet(found)] if subscribers <= delivery.CROWD else sheets

    return measure


async def _compressed() -> list[Sheet]:
    async with real_bus() as bus:
        return [compression_sheet(await compression.measure(bus, 1_000, times=9, each=8))]


def _crowded(stuck: int) -> Measure:
    async def measure() -> list[Sheet]:
        async with real_bus() as bus:
            return [crowd_sheet(await crowd.measure(bus, 10_000, stuck, seconds=15))]

    return measure


async def _late() -> list[Sheet]:
    async with real_bus() as bus:
        return [latency_sheet(await latency.measure(bus, 1_000))]


async def _queried() -> list[Sheet]:
    sheets = []
    for calls in (10, 200):
        async with real_bus() as bus:
            sheets.append(queries_sheet(await queries.measure(bus, calls, times=9, each=1_500)))
    return sheets


async def _started() -> list[Sheet]:
    return [contacts_sheet(await contacts.measure(3))]


async def _monitored() -> list[Sheet]:
    return [monitor_sheet(await monitoring.measure(9))]


async def _whole() -> list[Sheet]:
    return [await whole_way.measure(200)]


async def _rushed() -> list[Sheet]:
    return [await rush.measure(15)]


async def _queued() -> list[Sheet]:
    plan = queues.Plan()
    return [queues.sheet(plan, await queues.measure(plan))]


async def _came() -> list[Sheet]:
    return [await newcomers.run()]


async def _gateway_of_many() -> list[Sheet]:
    return [many_pbxs.sheet(await many_pbxs.measure())]


async def _monitor_of_many() -> list[Sheet]:
    return [many_pbxs.monitor_sheet(await many_pbxs.measure_monitor())]


def _stacked(rate: int) -> Measure:
    async def measure() -> list[Sheet]:
        return [stops.stack_sheet(rate, await stops.measure(20, 30, rate))]

    return measure


async def _stopped() -> list[Sheet]:
    plain = await stops.measure(20, 30, plain=True)
    return [stops.sheet(await stops.measure(20, 30), plain)]


SECTIONS: Final[dict[str, Measure]] = {
    "delivery-200": _delivered(1_000, 200, 15),
    "delivery-1000": _delivered(1_000, 1_000, 15),
    "delivery-4000": _delivered(1_000, 4_000, 15),
    "few-200": _delivered(200, 200, 15),
    "few-4000": _delivered(200, 4_000, 15),
    "delivery-5000-subscribers": _delivered(5_000, 200, 4),
    "compression": _compressed,
    "crowd": _crowded(0),
    "crowd-stuck": _crowded(1_000),
    "latency": _late,
    "queries": _queried,
    "contacts": _started,
    "monitor": _monitored,
    "whole-way": _whole,
    "rush": _rushed,
    "queues": _queued,
    "newcomers": _came,
    "many-pbxs-gateway": _gateway_of_many,
    "many-pbxs-monitor": _monitor_of_many,
    "stops": _stopped,
    **{f"stack-{rate}": _stacked(rate) for rate in stops.EXTENSIONS},
}
"""What is measured, in the order of the README."""


def crowd_sheet(found: Crowd) -> Sheet:
    """The targets are absolute: under a second, at most 10 KiB."""
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
        most=10,
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
