"""Measure how slow the machine is during a test, and judge times by that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from monitor.shared.tasks import running

_EVERY = 0.01
_STEPS = 3
"""Turns of the loop on an event's way: read it, read the PBX's answer, build the result."""


@dataclass(slots=True)
class Slowness:
    """Of this event loop.

    ``worst``: seconds by which what passes through it may have been late, at most.
    """

    worst: float = 0.0


@asynccontextmanager
async def slowness() -> AsyncIterator[Slowness]:
    """Measured for as long as the block lasts."""
    measured = Slowness()
    loop = asyncio.get_running_loop()

    async def measure() -> None:
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            measured.worst = max(measured.worst, _STEPS * (loop.time() - due))

    async with running(measure()):
        yield measured
