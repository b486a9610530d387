"""Log lines that strangers can cause, so many at once and a minute, that nobody fills the log with them. Pure."""

from __future__ import annotations

from typing import Final

from gateway.messages import Allowance

AT_ONCE: Final = 60
PER_SECOND: Final = 1.0


class Ration:
    """How many lines may still be written. Every ``now`` is in seconds, on a clock that nobody sets."""

    def __init__(self, now: float) -> None:
        self._allowance = Allowance(AT_ONCE, PER_SECOND, now)
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """How many were left out since the last line; None: leave this one out too."""
        if not self._allowance.take(now):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out
