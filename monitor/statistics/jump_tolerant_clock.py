"""What time it is for the figures, whose day begins and ends by it. Pure; times are POSIX seconds on the PBX's clock.

Facts come with the time at which they were asked for, so a little back is no news. Up to an hour back or ahead is
followed at once, as no other day begins with it. A clock that leaps further may leap again: one that came back wrong
from a reboot is put right within the minute. A day's figures would be lost with it, so such a leap counts once it has
lasted; until then time stands still.
"""

from __future__ import annotations

_LATE = 60.0
"""Seconds by which a fact may be older than another that came before it."""
_GAP = 3600.0
"""Seconds by which time may be another at once and be no leap; see ``daily_statistics.Statistics``."""
_LASTING = 60.0


class JumpTolerantClock:
    """``at``: what time it is; 0 before any was told."""

    def __init__(self) -> None:
        self.at = 0.0
        self._leapt: float | None = None

    def told(self, at: float) -> float:
        """Take what time it is said to be; what time it is."""
        if not self.at or -_GAP <= at - self.at <= _GAP:
            self.at, self._leapt = at if at < self.at - _LATE else max(self.at, at), None
        elif self._leapt is None or not -_LATE <= at - self._leapt <= _GAP:
            self._leapt = at
        elif at - self._leapt >= _LASTING:
            self.at, self._leapt = at, None
        return self.at
