"""How soon to ask again where nothing tells of changes: by what goes on and by how the other side bears it. Pure.

- The shortest interval follows an answer that brought something new; each that brings nothing lengthens it a little.
- While calls go on it grows no further than half-way (the geometric mean) to the longest.
- It is never shorter than the last answer took: whoever is slow is asked for half of the time at most.
- Whoever asks to be left alone (429, 503) is asked half as often, and comes back to the old pace over some answers.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

_GROWTH: Final = 1.2
_SLOWER: Final = 2.0
_RELIEF: Final = 0.8


class AdaptiveInterval:
    """Times are seconds. ``longest`` is taken for ``shortest`` where it is less."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest, self._longest = shortest, max(shortest, longest)
        self._interval = shortest
        self._took = 0.0
        self._burden = 0.0

    @property
    def interval(self) -> float:
        """From the end of one reading to the beginning of the next, if nothing tells that it is wanted sooner."""
        return max(self._interval, self.least)

    @property
    def least(self) -> float:
        """The same, however much it is wanted."""
        return max(self._took, self._burden)

    def answered(self, took: float, *, news: bool, busy: bool) -> None:
        """An answer came: how long it took, whether it brought anything new, whether calls go on."""
        most = sqrt(self._shortest * self._longest) if busy else self._longest
        self._interval = self._shortest if news else min(most, self._interval * _GROWTH)
        self._took = min(took, self._longest)
        self._burden = self._burden * _RELIEF if self._burden > self._shortest else 0.0

    def failed(self) -> None:
        """No answer came, or one that says to come later."""
        self._burden = min(self._longest, max(self._burden, self._interval) * _SLOWER)
