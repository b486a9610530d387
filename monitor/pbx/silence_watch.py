"""Notice when the PBX has said nothing for too long although it was asked.

Times are seconds on the monotonic clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_LATE_S: Final = 0.5
"""Seconds of delay that show that our own process stood still.

What came meanwhile has yet to be read."""
_LOOKS: Final = 20
"""Checks within the longest silence."""


async def watch_silence(
    longest: float, since: Callable[[], float | None], tell: Callable[[], None]
) -> None:
    """Call ``tell`` again and again while there is silence; end with the error that it raises.

    ``longest``: seconds of silence that are allowed. ``since``: returns the time since which an
    answer is missing, or None if none is waited for.
    """
    not_before = 0.0
    while True:
        now = time.monotonic()
        began = since()
        left = longest if began is None else max(began, not_before) + longest - now
        if left <= 0:
            tell()
        pause = max(min(left, longest / _LOOKS), 0.01)
        await asyncio.sleep(pause)
        if time.monotonic() - now > pause + _LATE_S:
            not_before = time.monotonic()
