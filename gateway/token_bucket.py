"""Limit how often something may happen: a token bucket, and a limit for log lines. Pure.

The log lines are those that strangers can cause.
"""

from __future__ import annotations

from typing import Final

AT_ONCE: Final = 60
PER_SECOND: Final = 1.0


class TokenBucket:
    """Allow ``at_once`` in one go, and ``per_second`` in the long run.

    ``now`` is always in seconds, on a monotonic clock.
    """

    def __init__(self, at_once: int, per_second: float, now: float) -> None:
        self._at_once = float(at_once)
        self._per_second = per_second
        self._left = self._at_once
        self._at = now

    def take(self, now: float, much: float = 1.0) -> bool:
        """Return whether ``much`` more is allowed; count it if so."""
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < much:
            return False
        self._left -= much
        return True


class LogBudget:
    """Limit how many lines may still be logged.

    ``now`` is always in seconds, on a monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._lines = TokenBucket(AT_ONCE, PER_SECOND, now)
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """Return how many lines were left out since the last one; None: leave this one out too."""
        if not self._lines.take(now):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out
