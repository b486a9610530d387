"""Hold the names of values on Redis that were left out because callmon did not write them.

Rules:

- A value counts as wrong until it is read again and right, or until it was not seen for
  :data:`HELD_S` seconds. Most wrong values are overwritten at once.
- Each PBX of a monitor, and each gateway, has a collection of its own. It is bound to the tasks
  that read Redis for it by :func:`collecting`. Reads outside of such tasks are only logged.
- A name ends in ``*`` in place of a digest or an id, so that nobody learns one here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HELD_S: Final = 60.0
"""Seconds for which a value that is not read again counts as wrong."""
_MOST_HELD: Final = 100
_MOST_SHOWN: Final = 5
_LONGEST_REASON: Final = 200
_DIGEST: Final = re.compile(r":[0-9a-f]{32,64}$")


class RejectedValues:
    """Hold the names of the values that were left out, and why.

    ``clock``: seconds on a clock that nobody sets.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, str]] = {}

    def reject(self, key: str, reason: str, part: str = "") -> None:
        """Note that the value of this key was left out.

        ``part``: what of it is wrong, if it is judged for itself. Of very many keys the one that
        was noted first is forgotten.
        """
        key = _named(key, part)
        self._held.pop(key, None)
        if len(self._held) >= _MOST_HELD:
            del self._held[next(iter(self._held))]
        self._held[key] = (self._clock(), reason[:_LONGEST_REASON])

    def accept(self, key: str, part: str = "") -> None:
        """Note that the value of this key is right."""
        self._held.pop(_named(key, part), None)

    def reasons(self, pbx: str | None = None) -> dict[str, str]:
        """Return the names of the keys that hold wrong values now, with the reasons.

        ``pbx``: only keys of this PBX; None: all.
        """
        gone = self._clock() - HELD_S
        self._held = {key: held for key, held in self._held.items() if held[0] > gone}
        begin = "" if pbx is None else f"callmon:{{{pbx}}}:"
        return {key: held[1] for key, held in sorted(self._held.items()) if key.startswith(begin)}

    def sentence(self) -> str:
        """Return what is wrong, in words for everybody; empty if nothing is."""
        keys = [*self.reasons()]
        if not keys:
            return ""
        more = f" and {len(keys) - _MOST_SHOWN} more" if len(keys) > _MOST_SHOWN else ""
        shown = ", ".join(keys[:_MOST_SHOWN])
        return f"Values on Redis that callmon did not write are left out: {shown}{more}."


def _named(key: str, part: str) -> str:
    return _DIGEST.sub(":*", key) + (f" ({part})" if part else "")


_collected: ContextVar[RejectedValues | None] = ContextVar("rejected_values", default=None)


def collect(values: RejectedValues) -> None:
    """Collect here what this task rejects from now on, and the tasks that it creates."""
    _collected.set(values)


@contextmanager
def collecting(values: RejectedValues) -> Iterator[None]:
    """Collect here what this task rejects, and the tasks that it creates meanwhile."""
    token = _collected.set(values)
    try:
        yield
    finally:
        _collected.reset(token)


def current() -> RejectedValues | None:
    """Return the collection of this task; None if it has none."""
    return _collected.get()
