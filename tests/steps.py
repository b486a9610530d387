"""Count the steps of Python code and the event loop's turns, to judge work without a clock."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(do: Callable[[], object]) -> int:
    """Return how many lines of Python are run for ``do()``: one for each turn of a loop at least.

    Those of all functions that it calls count. Work inside of functions written in C does not.
    """
    count = 0

    def traced(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event in ("call", "line")
        return traced

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # a collection calls what others have registered for it
    sys.settrace(traced)
    try:
        do()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count


class Turns:
    """The event loop's turns since :meth:`run` began."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        """Count without end."""
        while True:
            self.count += 1
            await asyncio.sleep(0)
