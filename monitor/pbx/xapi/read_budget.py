"""Decide how close together reads of ActiveCalls may be, by what they cost. Pure.

A change that only ActiveCalls tells is shown no sooner than the next read. So reads should be close
together; but with a thousand calls at once a read costs milliseconds. The distance follows from
both:

- Reads may have :data:`_SHARE` of the CPU time that the process uses, and at least
  :data:`_ALWAYS` of a core: where little else goes on, a share of it would be nothing.
- They are never closer than :data:`LEAST_GAP_S` and need never be further apart than
  :data:`_MOST_GAP_S`: the pace that the settings give is slower anyway.
"""

from __future__ import annotations

from typing import Final

LEAST_GAP_S: Final = 0.06
"""Fewest seconds between the starts of two reads."""
_MOST_GAP_S: Final = 0.5
_SHARE: Final = 0.12
_ALWAYS: Final = 0.03
_OUTSIDE: Final = 2.0
"""Whole cost of a read, as a multiple of the cost of its JSON, which is measured. Work on what has
changed does not count, because it is done once however often the PBX is read."""
_WEIGHT: Final = 0.1
"""Weight of the newest measurement in the averages."""


class ReadBudget:
    """Compute the seconds between the starts of two reads."""

    def __init__(self) -> None:
        self._cost = 0.0
        self._used = 0.0
        self._last: tuple[float, float] | None = None

    @property
    def gap(self) -> float:
        """Return the fewest seconds between the starts of two reads."""
        allowed = max(_ALWAYS, _SHARE * self._used)
        return min(_MOST_GAP_S, max(LEAST_GAP_S, self._cost * _OUTSIDE / allowed))

    def spent(self, cost: float, now: float, process: float) -> None:
        """Take in a read.

        ``cost``: seconds of CPU time that were measured of it. ``now``: our monotonic clock.
        ``process``: seconds of CPU time that the process has used until now.
        """
        self._cost += (cost - self._cost) * (_WEIGHT if self._last else 1.0)
        if self._last is not None and now > self._last[0]:
            used = (process - self._last[1]) / (now - self._last[0])
            self._used += (used - self._used) * _WEIGHT
        self._last = now, process
