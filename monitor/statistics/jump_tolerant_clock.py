"""Tell the time for the statistics, tolerant of a PBX clock that jumps. Pure.

Times are POSIX seconds on the PBX's clock. Facts bring the time at which they were asked for, so a
little back means nothing. Up to an hour back or ahead is followed at once, as it does not begin
another day. A clock that jumps further may jump again: one that was wrong after a reboot is
corrected within a minute. If a jump began another day at once, the day's statistics would be lost.
So such a jump counts only after it has lasted; until then, time stands still.
"""

from __future__ import annotations

_LATE_S = 60.0
"""Seconds by which a fact may be older than another that came before it."""
_GAP_S = 3600.0
"""Seconds by which the time may change at once without being a jump; see
``daily_statistics.Statistics``."""
_LASTING_S = 60.0


class JumpTolerantClock:
    """Hold the time. ``at``: POSIX seconds; 0 before any time was told."""

    def __init__(self) -> None:
        self.at = 0.0
        self._leapt: float | None = None

    def told(self, at: float) -> float:
        """Take in a time that was told; return the time that counts."""
        if not self.at or -_GAP_S <= at - self.at <= _GAP_S:
            self.at, self._leapt = at if at < self.at - _LATE_S else max(self.at, at), None
        elif self._leapt is None or not -_LATE_S <= at - self._leapt <= _GAP_S:
            self._leapt = at
        elif at - self._leapt >= _LASTING_S:
            self.at, self._leapt = at, None
        return self.at
