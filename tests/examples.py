"""Say how many examples a property test plays: few in the usual run, many in ``make fuzz``."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import settings

FUZZ: Final = bool(os.environ.get("CALLMON_FUZZ"))
_TIMES: Final = 20


def examples(usual: int, **more: Any) -> settings:
    """Return settings with so many examples, and twenty times as many in ``make fuzz``.

    ``more``: what ``hypothesis.settings`` takes besides.
    """
    return settings(max_examples=usual * _TIMES if FUZZ else usual, deadline=None, **more)
