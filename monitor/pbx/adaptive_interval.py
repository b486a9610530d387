"""Decide how soon to ask again where the other side sends no notice of changes. Pure.

The interval depends on how much changes and on how fast the other side answers.

- The shortest interval follows an answer with something new.
  Each answer without news lengthens it a little.
- While calls go on it grows no further than half-way (the geometric mean) to the longest.
- It is never shorter than the last answer took. So a slow side is busy with our questions for
  half of the time at most.
- A side that asks to be left alone (429, 503) is asked half as often. Over some answers the
  interval returns to the old one.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

_GROWTH: Final = 1.2
_SLOWER: Final = 2.0
_RELIEF: Final = 0.8


class AdaptiveInterval:
    """Compute the pause between two readings of one thing.

    Times are seconds. If ``longest`` is less than ``shortest``, ``shortest`` takes its place.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest, self._longest = shortest, max(shortest, longest)
        self._interval = shortest
        self._took = 0.0
        self._burden = 0.0

    @property
    def interval(self) -> float:
        """Return the seconds from the end of one reading to the start of the next.

        A reading may be wanted sooner: then :attr:`least` holds.
        """
        return max(self._interval, self.least)

    @property
    def least(self) -> float:
        """Return the fewest seconds to wait, even if a reading is wanted sooner."""
        return max(self._took, self._burden)

    def answered(self, took: float, *, news: bool, busy: bool) -> None:
        """Note an answer.

        ``took``: seconds until it came. ``news``: it brought something new. ``busy``: calls go on.
        """
        most = sqrt(self._shortest * self._longest) if busy else self._longest
        self._interval = self._shortest if news else min(most, self._interval * _GROWTH)
        self._took = min(took, self._longest)
        self._burden = self._burden * _RELIEF if self._burden > self._shortest else 0.0

    def failed(self) -> None:
        """Note that no answer came, or one that says to come later."""
        self._burden = min(self._longest, max(self._burden, self._interval) * _SLOWER)
