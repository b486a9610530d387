"""Run ``make bench-quick``: the five ratios that matter most, in well under a minute."""

from __future__ import annotations

import json
from statistics import median

from tests.bench import brokers, delivery, latency, queries
from tests.bench.bus_feed import FRAME
from tests.bench.delivery import Deliveries
from tests.bench.latency import Latencies
from tests.bench.queries import BARE, ENCODING, KNOWN, OURS, PAGE, POST, Requests
from tests.bench.table import Sheet, show
from tests.bus import real_bus


async def run() -> None:
    """Measure, print a table, and as the last line the ratios as JSON."""
    async with real_bus() as bus:
        delivered = await delivery.measure(
            bus, 1_000, ("write(2)", "Starlette send_bytes"), times=7, each=10
        )
    async with real_bus() as bus:
        late = await latency.measure(bus, 240)
    asked = []
    for calls in (10, 200):
        async with real_bus() as bus:
            asked.append(await queries.measure(bus, calls, times=4, each=600))
    for sheet in (delivery_sheet(delivered), latency_sheet(late), *map(queries_sheet, asked)):
        show(sheet)
    ratios = {
        "delivery_vs_write": delivered.ratio("write(2)"),
        "delivery_vs_starlette": delivered.ratio("Starlette send_bytes"),
        "latency_vs_redis": late.ratio(),
        "rest_vs_bare": min(each.ratio(BARE) for each in asked),
        "rest_vs_json": min(each.ratio(ENCODING) for each in asked),
    }
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}), flush=True)


def delivery_sheet(found: Deliveries) -> Sheet:
    """The targets are of the gateway's cost to the other's."""
    note = (
        f"Frames of {found.frame:,} bytes; user and system time of the server; ratio: the "
        "gateway's to theirs. The gateway follows a real Redis, the others have their bytes from "
        "the start."
    )
    through_redis = [
        name for name in (delivery.CHANNELS, delivery.BROADCASTER) if name in found.rounds
    ]
    if through_redis:
        note += f" These also publish them on that Redis and follow it: {'; '.join(through_redis)}."
    published = [name for name in (brokers.NCHAN, brokers.NATS) if name in found.rounds]
    if published:
        note += f" These get each frame from a publisher: {'; '.join(published)}."
    sheet = Sheet(
        f"CPU time per delivery, {found.subscribers:,} subscribers, {found.frame:,} bytes", note
    )
    if found.late:
        sheet.add(f"changes that took over {delivery.PATIENCE:g} s to reach all", f"{found.late}")
    small = found.frame == FRAME
    targets = {
        delivery.WRITE: 1.25 if found.subscribers <= delivery.CROWD else 1.4,
        **({delivery.NODE_WS: 0.85, delivery.STARLETTE: 0.4} if small else {}),
    }
    for name in found.rounds:
        figure = f"{found.median(name):.2f} µs"
        if name == delivery.OURS:
            sheet.add(name, figure)
        else:
            sheet.add(name, figure, ratio=found.ratio(name), most=targets.get(name))
    return sheet


def arrival_sheet(found: Deliveries) -> Sheet:
    """Nothing here has a target: it is the time of the wall, on shared cores."""
    sheet = Sheet(
        f"First, middle and last of {found.subscribers:,} subscribers, {found.frame:,} bytes",
        "Time from the publish, or from the command to a peer that has its bytes, until the first, "
        "the middle and the last subscriber has the frame; ratio: of the last, the gateway's to "
        "theirs. Servers and readers share the cores.",
    )
    for name, arrivals in found.arrivals.items():
        if arrivals:
            figures = found.arrival(name)
            text = " / ".join(f"{seconds * 1e3:.1f}" for seconds in figures) + " ms"
            ratio = None if name == delivery.OURS else found.arrival(delivery.OURS)[2] / figures[2]
            sheet.add(name, text, ratio=ratio)
    return sheet


def latency_sheet(found: Latencies) -> Sheet:
    """The target is of the whole way from the body on."""
    sheet = Sheet(
        "Latency under light load, p50 / p99",
        "Ratio of p50 to that of a bare PUBLISH of as many bytes to a bare subscriber, in "
        "turn with it.",
    )

    def figure(seconds: list[float]) -> str:
        return f"{median(seconds) * 1e3:.2f} / {latency.percentile(seconds, 99) * 1e3:.2f} ms"

    sheet.add(
        "participant's body → bytes at the subscriber",
        figure(found.body),
        ratio=found.ratio(),
        most=3,
    )
    sheet.add(
        "the monitor's publish → bytes at the subscriber",
        figure(found.publish),
        ratio=median(found.publish) / median(found.bare),
    )
    sheet.add("bare Redis PUBLISH → receive", figure(found.bare))
    return sheet


def queries_sheet(found: Requests) -> Sheet:
    """The targets are of our requests a second to theirs, at the same CPU time."""
    sheet = Sheet(
        f"pbx.callsinfo.get, {found.calls} calls, {found.size:,} bytes",
        "User and system time of the server for a request, while 20 changes a second arrive (not "
        "at the peers); ratio: "
        "our requests a second to theirs, at the same CPU time.",
    )
    sheet.add(OURS, f"{found.median(OURS):.0f} µs")
    sheet.add(BARE, f"{found.median(BARE):.0f} µs", ratio=found.ratio(BARE), least=0.9)
    sheet.add(ENCODING, f"{found.median(ENCODING):.0f} µs", ratio=found.ratio(ENCODING), least=3)
    sheet.add(f"{KNOWN}: 304", f"{found.median(KNOWN):.0f} µs", ratio=found.ratio(BARE, KNOWN))
    slowest = max(found.median(form) for form in (OURS, PAGE, POST))
    sheet.add("the slowest of our forms, µs", f"{slowest:.0f} µs", ratio=slowest, most=50)
    for form in (PAGE, POST):
        sheet.add(form, f"{found.median(form):.0f} µs", ratio=found.ratio(BARE, form))
    return sheet
