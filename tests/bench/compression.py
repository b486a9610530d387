"""Measure what compression saves of bytes, and what it costs of CPU time.

Two gateways follow the same Redis, on which a writer publishes the calls of a busy office. All
subscribers of the one take compressed frames, those of the other do not. Both send each change at
the same time, so that what else goes on in the machine slows both.

Segments are as long as on Ethernet. On loopback they may be 64 KiB, and which frames are then
acknowledged at once, at the writer's cost, depends on the sizes of those before.

What subscribers get who ask for the fields that changed alone (``patch``) is reckoned from the same
changes: the bytes of their frames against those of whole entities.

Subscribers read a change only after it was sent. Else those who have less to read would sleep more
often, and whoever writes to a sleeping process pays for waking it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from statistics import median

from msgspec import UNSET

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.frames import ChangeFrame
from gateway.transport.compression import compress
from gateway.visibility import EVERYTHING
from monitor.shared.changes import Change, Position
from monitor.shared.codec import to_json
from tests.bench.bus_feed import gateway, stream_paths, writing
from tests.bench.office import Office
from tests.bench.processes import Party, party, python, ratio
from tests.bench.table import Sheet
from tests.bus import RealBus

_HEARTBEAT = 60
"""Seconds. Few fall into a round."""
_EXTENSIONS, _CALLS = 200, 60
_EVENTS = 3
"""Events of the office in a change; so frames are as large as in a real rush hour."""
_REST_S = 0.1
"""Seconds for which subscribers do not read when a change is published."""
_SEGMENT_BYTES = 1448
_PATCHED = 300
"""Changes from which the bytes with ``patch`` are reckoned."""
_EPOCH, _AT = "001772594100000-9f3c", "2026-03-04T12:00:00.000Z"
_TOPICS = "system,calls,extensions,queues,lines,groups"


@dataclass(frozen=True, slots=True)
class Compression:
    """Hold bytes and microseconds of CPU time for a delivery, round by round."""

    subscribers: int
    plain_bytes: list[float]
    compressed_bytes: list[float]
    plain_cpu: list[float]
    compressed_cpu: list[float]

    @property
    def of_bytes(self) -> float:
        """Bytes on the wire, as a share of those without compression."""
        return ratio(self.compressed_bytes, self.plain_bytes)

    @property
    def of_cpu(self) -> float:
        """CPU time, as a multiple of that without compression."""
        return ratio(self.compressed_cpu, self.plain_cpu)


async def measure(bus: RealBus, subscribers: int, times: int, each: int) -> Compression:
    """``times`` rounds of ``each`` changes, to so many subscribers of each gateway."""
    office = Office(_EXTENSIONS, _CALLS, rows=True)
    found = Compression(subscribers, [], [], [], [])
    async with (
        writing(bus, office.tracker.state) as writer,
        gateway(bus, _HEARTBEAT) as plain,
        gateway(bus, _HEARTBEAT) as compressed,
        party(*python("load")) as plain_load,
        party(*python("load")) as compressed_load,
    ):
        sides = ((plain, plain_load), (compressed, compressed_load))
        paths = stream_paths(subscribers, _TOPICS)
        for server, load in sides:
            await load.ask(
                do="open",
                group="",
                port=server.port,
                paths=paths,
                segment=_SEGMENT_BYTES,
                compressed=load is compressed_load,
            )
        await _settled(plain_load, compressed_load)
        edits = office.edits()
        for number in range(times + 1):
            before = await _settled(plain_load, compressed_load)
            begun = [server.cpu for server, _ in sides]
            for _ in range(each):
                for load in (plain_load, compressed_load):
                    await load.ask(do="rest", seconds=_REST_S)
                await writer.publish([one for some in islice(edits, _EVENTS) for one in some])
                await _settled(plain_load, compressed_load)
            spent = [server.cpu - cpu for (server, _), cpu in zip(sides, begun, strict=True)]
            after = await _settled(plain_load, compressed_load)
            if not number:
                continue  # to warm up
            deliveries = each * subscribers
            for side, (sizes, cpus) in enumerate(
                (
                    (found.plain_bytes, found.plain_cpu),
                    (found.compressed_bytes, found.compressed_cpu),
                )
            ):
                sizes.append((after[side] - before[side]) / deliveries)
                cpus.append(spent[side] / deliveries * 1e6)
    return found


def patched(changes: int) -> tuple[float, float]:
    """Return the bytes of changes with ``patch``, as a share of those with whole entities.

    The first is of plain frames, the second of compressed ones.
    """
    edits = Office(_EXTENSIONS, _CALLS, rows=True).edits()
    topics = frozenset(_TOPICS.split(","))
    views = [FilteredView(topics, EVERYTHING, patch=patch) for patch in (False, True)]
    plain, packed = [0, 0], [0, 0]
    for seq in range(changes):
        together = tuple(one for some in islice(edits, _EVENTS) for one in some)
        change = Change(Position(_EPOCH, seq + 1), _AT, together)
        for side, view in enumerate(views):
            delta = view.delta((change,))
            patch = delta.patch if view.patch else UNSET
            frame = ChangeFrame(_EPOCH, seq, seq + 1, _AT, delta.upsert, delta.remove, patch)
            body = to_json(frame)
            plain[side] += len(body)
            packed[side] += len(compress(body) or body)
    return plain[1] / plain[0], packed[1] / packed[0]


async def _settled(*loads: Party) -> list[int]:
    """The bytes that each has received, once nothing more comes."""
    last: list[int] = []
    same = 0
    while same < 2:
        await asyncio.sleep(0.03)
        now = [int((await load.ask(do="count", group=""))["bytes"]) for load in loads]
        same, last = same + 1 if now == last else 0, now
    return last


def compression_sheet(found: Compression) -> Sheet:
    """The targets are of a delivery with compression to one without."""
    sheet = Sheet(
        f"Compression, {found.subscribers:,} subscribers",
        "Changes of a busy office: bytes on the wire and CPU time of the server for a delivery. "
        "Two gateways send each change at the same time, one compressed, one not; segments as on "
        "Ethernet. Ratio: compressed to plain.",
    )
    sheet.add("bytes, plain", f"{median(found.plain_bytes):,.0f}")
    sheet.add(
        "bytes, compressed",
        f"{median(found.compressed_bytes):,.0f}",
        ratio=found.of_bytes,
        most=0.28,
    )
    of_plain, of_packed = patched(_PATCHED)
    sheet.add("bytes with `patch`, plain", f"{of_plain:.0%}", ratio=of_plain, most=0.65)
    sheet.add("bytes with `patch`, compressed", f"{of_packed:.0%}", ratio=of_packed, most=0.70)
    sheet.add("CPU time, plain", f"{median(found.plain_cpu):.2f} µs")
    sheet.add(
        "CPU time, compressed",
        f"{median(found.compressed_cpu):.2f} µs",
        ratio=found.of_cpu,
        most=1.05,
    )
    return sheet
