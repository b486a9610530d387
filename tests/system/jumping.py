"""Run ``callmon`` with a wrong clock: ``python -m tests.system.jumping FILE …``.

The file gives the seconds by which the clock is wrong.

The clock that tells the date jumps, the monotonic one does not, as when somebody sets a host's
time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway.cli import main

_right = time.time


def _told() -> float:
    return _right() + float(_FILE.read_text() or 0.0)


if __name__ == "__main__":
    _FILE = Path(sys.argv.pop(1))
    time.time = _told
    main()
