"""Run ``callmon`` with a probe in it, which tells how long its event loop was held up.

Run as ``python -m tests.bench.probe [--plain] PROGRAM ARGUMENTS``: it answers each line on its
standard input with the figures since the one before. ``--plain`` leaves the garbage collector to
Python.

A stop is the CPU time of the event loop's thread between two turns of the loop. So the other
programs on the machine do not count.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvloop

from tests.bench.processes import resident

_TURN_S: Final = 0.002
"""Seconds between two turns of the probe."""
_GENERATIONS: Final = 3


class Probe:
    """Note the stops of the loop and of the garbage collector. Times in seconds of CPU."""

    def __init__(self) -> None:
        self._last = self._begun = 0.0
        self.reset()
        gc.callbacks.append(self._collecting)

    def reset(self) -> None:
        """Begin anew."""
        self.longest = 0.0
        self.collections = [0] * _GENERATIONS
        self.collecting = [0.0] * _GENERATIONS
        """The longest collection of each generation."""
        self.collected = 0.0
        """All collections together."""
        self.since = time.process_time()

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note how much the loop's thread has worked since the last turn; come again."""
        now = time.thread_time()
        if self._last:
            self.longest = max(self.longest, now - self._last)
        self._last = now
        loop.call_later(_TURN_S, self.turn, loop)

    def figures(self) -> dict[str, Any]:
        """Return all since the last reset."""
        used = time.process_time() - self.since
        return {
            "stop": self.longest,
            "collections": self.collections,
            "collecting": self.collecting,
            "collected": self.collected / max(used, 1e-9),
            "cpu": used,
            "resident": resident(os.getpid()),
        }

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.thread_time()
            return
        took = time.thread_time() - self._begun
        generation = info["generation"]
        self.collections[generation] += 1
        self.collecting[generation] = max(self.collecting[generation], took)
        self.collected += took


def _answer(probe: Probe) -> None:
    for _ in sys.stdin:
        print(json.dumps(probe.figures()), flush=True)
        probe.reset()


@asynccontextmanager
async def _as_python_does(_: int = 1) -> AsyncIterator[None]:
    yield


def main(arguments: list[str]) -> None:
    """Run the program to its end."""
    probe = Probe()
    new_loop = uvloop.new_event_loop

    def probed() -> uvloop.Loop:
        loop = new_loop()
        loop.call_soon(probe.turn, loop)
        return loop

    uvloop.new_event_loop = probed
    if "--plain" in arguments:
        arguments.remove("--plain")
        kept = importlib.import_module("gateway.cli.runtime.garbage_collector")
        vars(kept)["garbage_collected"] = _as_python_does
    program = importlib.import_module("gateway.cli")
    print(json.dumps({"port": 0}), flush=True)
    threading.Thread(target=_answer, args=(probe,), daemon=True).start()
    sys.argv[1:] = arguments
    program.main()


if __name__ == "__main__":
    main(sys.argv[1:])
