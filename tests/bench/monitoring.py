"""Measure what an event costs the tracker and the publisher, in one process for each PBX size.

Run as ``python -m tests.bench.monitoring EXTENSIONS CALLS``: it answers each line with a round's
figures.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from statistics import median

from monitor.publishing import publish_batch
from monitor.shared.changes import Change, Position
from monitor.shared.redis.key_names import SpaceKeys
from tests.bench.office import Office
from tests.bench.processes import party, python, ratio, rounds

SMALL, LARGE = (100, 50), (10_000, 2_000)
_EVENTS = 600
_LOG = 10_000


@dataclass(frozen=True, slots=True)
class Events:
    """Hold the CPU time of an event in µs (``published`` edits), and of an idle poll in ms."""

    small: list[float]
    large: list[float]
    small_poll: float
    large_poll: float
    published: int

    def ratio(self) -> float:
        """Of an event at the large PBX to one at the small one."""
        return ratio(self.large, self.small)


async def measure(times: int) -> Events:
    """So many rounds at each PBX, in turn."""
    polls: dict[tuple[int, int], list[float]] = {SMALL: [], LARGE: []}
    published = 0
    async with AsyncExitStack() as stack:
        made = {
            size: await stack.enter_async_context(party(*python("monitoring", *map(str, size))))
            for size in (SMALL, LARGE)
        }

        async def turn(size: tuple[int, int]) -> float:
            nonlocal published
            answer = await made[size].ask()
            polls[size].append(answer["poll"])
            published += answer["published"]
            return float(answer["event"])

        said = await rounds({"small": lambda: turn(SMALL), "large": lambda: turn(LARGE)}, times)
    return Events(
        said["small"], said["large"], median(polls[SMALL]), median(polls[LARGE]), published
    )


def _events(office: Office) -> float:
    keys = SpaceKeys("bench", "live")
    begun = time.process_time()
    for seq, edits in enumerate(islice(office.edits(), _EVENTS)):
        assert edits
        change = Change(
            Position("001772625600000-00000000", seq), "2026-03-04T12:00:00.000Z", edits
        )
        publish_batch.encode(keys, change, "0123456789abcdef", _LOG)
    return (time.process_time() - begun) / _EVENTS * 1e6


def _poll(office: Office) -> tuple[float, int]:
    facts = office.polls()
    begun = time.process_time()
    published = sum(len(office.tracker.apply(fact)) for fact in facts)
    return (time.process_time() - begun) * 1e3, published


def main(extensions: int, calls: int) -> None:
    """Answer lines until they end."""
    office, polled = Office(extensions, calls), Office(extensions, calls, rows=True)
    _events(office)
    _poll(polled)  # the first rows tell something new
    print(json.dumps({"port": 0}), flush=True)
    for _ in sys.stdin:
        poll, published = _poll(polled)
        print(
            json.dumps({"event": _events(office), "poll": poll, "published": published}), flush=True
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
