"""Count the steps of Python code, to judge how its work grows without a clock."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(do: Callable[[], object]) -> int:
    """Return how many bytecode instructions Python runs for ``do()``.

    Those of all functions that it calls count. Work inside of functions written in C does not.
    """
    count = 0

    def traced(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
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
