"""Compute how long to wait when something fails again and again."""

from __future__ import annotations

import random
from typing import Final

from monitor.shared.errors import PbxError, PbxUnreachable

SHORTEST_S: Final = 0.5
LONGEST_S: Final = 30.0
_FIRST_S: Final = 0.1
"""Seconds before the first retry, at most: it comes almost at once, as most breaks are short."""


def bound(shortest: float, failures: int, longest: float) -> float:
    """Return ``shortest``, doubled with every failure, but not above ``longest``: seconds."""
    return min(longest, shortest * 2.0 ** min(failures, 20))


class Backoff:
    """Compute the pauses of a loop that tries again.

    Full jitter below a bound that doubles with every failure: ``first``, ``shortest``, twice that,
    up to ``longest``. All arguments are seconds.
    """

    def __init__(
        self, shortest: float = SHORTEST_S, longest: float = LONGEST_S, first: float = _FIRST_S
    ) -> None:
        self.failures = 0
        """Failures since the last success."""
        self._shortest, self._longest, self._first = shortest, longest, first

    def reset(self) -> None:
        """Forget all failures: call it after a success."""
        self.failures = 0

    def pause(self, error: PbxError | None = None) -> float:
        """Return the seconds to wait after one more failure; at least what the PBX asked for."""
        doubled = bound(self._shortest, self.failures - 1, self._longest)
        limit = doubled if self.failures else min(self._first, self._longest)
        self.failures += 1
        pause = random.uniform(0.0, limit)  # noqa: S311 - jitter, nothing secret
        asked = error.retry_after if isinstance(error, PbxUnreachable) else None
        return pause if asked is None else asked + pause
