"""Keep Python's garbage collector from stopping the event loop.

A full collection visits every tracked object, and nothing else runs meanwhile: 40 ms for the
imported code alone, several times that with what a large PBX brings. So:

- Entities and changes are not tracked. They are trees, so they are freed without the collector.
- What exists at the start is frozen: the collector does not visit it again.
- Python makes no full collections by itself. When many objects have come since the last freeze,
  this module makes one. It visits only those objects, and freezes those that are still in use.
- In a process with many PBXs, many objects live for a second: a timer, a request, a task's wait.
  They die by themselves, so there as many are left alone as the half of what came since the start.
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
MOST_AT_ONCE: Final = 50_000
"""Objects that are looked through at once, however many there are: 30 ms on a slow machine."""
FEWEST_FROZEN: Final = 400_000
"""Frozen objects up to which the frozen ones are not looked through again."""
_GROWTH: Final = 2
_COUNTED_ANEW: Final = 1.25
"""Growth of the frozen objects after which they are counted: it takes time for each of them."""
_EVERY_S: Final = 0.5
"""Seconds between two looks at how many objects have come: it takes a fraction of a millisecond."""
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
        self._at_start = self._kept = 0
        """Frozen objects: at the start, and after the last look through all of them."""
        self._counted = self._at_most = 0
        """Frozen objects: as last counted, and how many there are now at most."""

    def begin(self) -> None:
        """Freeze what exists, and take the full collections over from Python."""
        gc.set_threshold(YOUNG, MIDDLE, _NEVER)
        self._collect_everything()
        self._at_start = self._kept

    def look(self) -> None:
        """Collect if many objects have come since the last freeze."""
        grown = (self._counted - self._at_start) // 2
        most = max(self._most_new, min(grown, MOST_AT_ONCE))
        if len(gc.get_objects()) <= most:
            return
        gc.collect()
        new = len(gc.get_objects())
        if new <= most // 2:
            return  # most of it was garbage
        gc.freeze()
        self._at_most += new
        if self._at_most <= _COUNTED_ANEW * self._counted:
            return
        frozen = self._counted = self._at_most = gc.get_freeze_count()
        if frozen > max(self._fewest_frozen, _GROWTH * self._kept):
            self._collect_everything()
            _log.info("frozen_objects_collected", before=frozen, after=self._kept)

    def _collect_everything(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._kept = self._counted = self._at_most = gc.get_freeze_count()


@asynccontextmanager
async def garbage_collected() -> AsyncIterator[None]:
    """Do the process's garbage collections while the context is entered."""
    thresholds = gc.get_threshold()
    collector = GarbageCollector()
    collector.begin()
    try:
        async with running(_look_regularly(collector)):
            yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def _look_regularly(collector: GarbageCollector) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        collector.look()
