"""Keep Python's garbage collector from stopping the event loop.

A full collection visits every tracked object, and nothing else runs meanwhile: 40 ms for the
imported code alone, several times that with what a large PBX brings. So:

- Entities and changes are not tracked. They are trees, so they are freed without the collector.
- What exists at the start is frozen: the collector does not visit it again.
- Python makes no full collections by itself. When many objects have come since the last freeze,
  this module makes one. It visits only those objects, and freezes those that are still in use.
- A frozen object is freed as ever when nothing refers to it. Only a frozen cycle is not found. So
  everything is visited once more when the frozen objects have become several times as many.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from monitor.shared.tasks import running

YOUNG: Final = 2_000
"""New objects after which Python looks for cycles among them: about a millisecond."""
MIDDLE: Final = 10
"""Collections of new objects after which those that survived one are looked through too."""
MOST_NEW: Final = 10_000
"""Objects since the last freeze after which they are all looked through: about 10 ms."""
NEW_PER_PBX: Final = 500
"""Objects that live for a second and die by themselves: a timer, a request, a task's wait. A PBX
has some 400 of them."""
MOST_AT_ONCE: Final = 150_000
"""Objects that are looked through at once, however many PBXs there are: about 0.1 s."""
FEWEST_FROZEN: Final = 400_000
"""Frozen objects up to which the frozen ones are not looked through again."""
_GROWTH: Final = 2
_EVERY_S: Final = 0.5
"""Seconds between two looks at how many objects have come: it takes a fraction of a millisecond."""
_SELDOM_S: Final = 2.0
"""Seconds between two looks where many objects may come: a look at 100,000 takes 20 ms."""
_NEVER: Final = 1_000_000_000

_log = structlog.get_logger(__name__)


class GarbageCollector:
    """Collect what came since the last freeze, and freeze what is still in use.

    ``most_new``: objects since the last freeze after which they are looked through.
    ``fewest_frozen``: frozen objects up to which these are not looked through again.
    """

    def __init__(self, most_new: int = MOST_NEW, fewest_frozen: int = FEWEST_FROZEN) -> None:
        self._most_new = most_new
        self._fewest_frozen = fewest_frozen
        self._frozen = self._at_most = 0
        """Frozen objects: as last counted anew, and how many there are now at most."""

    def begin(self) -> None:
        """Freeze what exists, and take the full collections over from Python."""
        gc.set_threshold(YOUNG, MIDDLE, _NEVER)
        self._collect_everything()

    def look(self) -> None:
        """Collect if many objects have come since the last freeze."""
        if len(gc.get_objects()) <= self._most_new:
            return
        gc.collect()
        new = len(gc.get_objects())
        if new <= self._most_new // 2:
            return  # most of it was garbage
        gc.freeze()
        most = max(self._fewest_frozen, _GROWTH * self._frozen)
        self._at_most += new
        if self._at_most <= most:
            return  # they need not be counted, which takes time for each of them
        frozen = self._at_most = gc.get_freeze_count()
        if frozen > most:
            self._collect_everything()
            _log.info("frozen_objects_collected", before=frozen, after=self._frozen)

    def _collect_everything(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._frozen = self._at_most = gc.get_freeze_count()


@asynccontextmanager
async def garbage_collected(pbxs: int = 1) -> AsyncIterator[None]:
    """Do the garbage collections of a process with so many PBXs while the context is entered."""
    thresholds = gc.get_threshold()
    most_new = min(MOST_NEW + NEW_PER_PBX * pbxs, MOST_AT_ONCE)
    collector = GarbageCollector(most_new)
    collector.begin()
    every = min(_EVERY_S * most_new / MOST_NEW, _SELDOM_S)
    try:
        async with running(_look_regularly(collector, every)):
            yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def _look_regularly(collector: GarbageCollector, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        collector.look()
