"""Measure the time of a change, under light load, from the PBX's body to a subscriber's socket.

What lies between: the tracker, the publisher's transaction on a real Redis, pub/sub, a real gateway
process with its replica and one encoding, the socket. The peer is a bare PUBLISH of as many bytes
to a bare subscriber of the same server by the same Redis client, in turn with it. Writer, gateway
and receivers are processes of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from tests.bench.bus_feed import Writer, gateway, stream_paths, writing
from tests.bench.office import Office
from tests.bench.processes import Party, party, python
from tests.bus import RealBus

_PAYLOAD = b"x" * 2_000
"""About as large as the announcement of one call's change."""
_PAUSE = 0.003
"""Seconds between two changes, so that each finds everybody at rest."""
_TOGETHER = 20
_LEAST = 300
"""Bytes: more than a heartbeat, less than a call."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from the body, from the publish, and of a bare PUBLISH."""

    body: list[float] = field(default_factory=list)
    publish: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def ratio(self) -> float:
        """Median from the body to that of a bare PUBLISH."""
        return median(self.body) / median(self.bare)


async def measure(bus: RealBus, times: int) -> Latencies:
    """So many changes, and as many bare publishes."""
    office = Office(100, 50)
    found = Latencies()
    async with (
        writing(bus, office.tracker.state) as writer,
        gateway(bus) as server,
        party(*python("load")) as load,
        party(*python("peers", "listen", bus.url)) as listener,
    ):
        await load.ask(do="open", group="", port=server.port, paths=stream_paths(1, "calls"))
        sender = bus.client()
        await asyncio.sleep(0.5)
        for _ in range(0, times, _TOGETHER):
            for _ in range(_TOGETHER):
                await _change(office, writer, load, found)
            for _ in range(_TOGETHER):
                await asyncio.sleep(_PAUSE)
                begun = time.perf_counter()
                await sender.publish("bench", _PAYLOAD)
                found.bare.append((await listener.hear(5))["at"] - begun)
    return found


async def _change(office: Office, writer: Writer, load: Party, found: Latencies) -> None:
    fact = next(office.facts)
    await asyncio.sleep(_PAUSE)
    had = (await load.ask(do="count", group=""))["bytes"]
    load.tell(do="expect", group="", bytes=had + _LEAST)
    begun = time.perf_counter()
    edits = office.tracker.apply(fact)
    applied = time.perf_counter()
    await writer.publish(edits)
    at = (await load.hear(5))["at"]
    found.body.append(at - begun)
    found.publish.append(at - applied)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """The value below which so many percent of them lie."""
    return quantiles(seconds, n=100)[percent - 1]
