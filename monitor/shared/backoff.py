"""Compute how long to wait when something at the PBX fails."""

from __future__ import annotations

import random
from typing import Final

from monitor.shared.errors import PbxError, PbxUnreachable

SHORTEST: Final = 0.5
LONGEST: Final = 30.0
_FIRST: Final = 0.1
"""Seconds before the first retry, at most: it comes almost at once, as most breaks are short."""


class Backoff:
    """Compute the pauses of a loop that tries again.

    Full jitter below a bound that doubles with every failure. All arguments are seconds.
    """

    def __init__(
        self, shortest: float = SHORTEST, longest: float = LONGEST, first: float = _FIRST
    ) -> None:
        self._shortest, self._longest, self._first = shortest, longest, first
        self._failures = 0

    def reset(self) -> None:
        """Forget all failures: call it after a success."""
        self._failures = 0

    def pause(self, error: PbxError | None = None) -> float:
        """Return the seconds to wait after one more failure; at least what the PBX asked for."""
        bound = self._shortest * 2 ** min(self._failures - 1, 20) if self._failures else self._first
        self._failures += 1
        pause = random.uniform(0.0, min(self._longest, bound))  # noqa: S311 - jitter, nothing secret
        asked = error.retry_after if isinstance(error, PbxUnreachable) else None
        return pause if asked is None else asked + pause
