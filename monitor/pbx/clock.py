"""Relate two clocks: our monotonic one, which orders answers, and the PBX's wall clock.

The PBX's wall clock is the one that is shown. Every answer with the PBX's time bounds the
difference between the two: the PBX looked at its clock after the question left and before the
answer came. The estimate stays where it is as long as it is within the bounds, so that times do
not jitter. Otherwise it moves to the nearest bound. Until the first such answer the date in the
head of any answer stands in, to the second, and before that our own wall clock, which may be wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class PbxClock:
    """Estimate the PBX's wall clock from our own clocks.

    ``monotonic`` and ``wall`` (POSIX seconds) are our own.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.now = monotonic
        """Our monotonic clock."""
        self._wall = wall
        self._ahead: float | None = None
        self._dated: float | None = None

    @property
    def ahead_of_ours(self) -> float | None:
        """Return by how many seconds the PBX's wall clock is ahead of ours.

        None until the PBX has told its time.
        """
        return None if self._ahead is None else self._ahead - (self._wall() - self.now())

    def at(self, moment: float) -> float:
        """Return the PBX's wall clock (POSIX seconds) at a moment of our monotonic clock."""
        ahead = self._ahead if self._ahead is not None else self._dated
        return moment + (self._wall() - self.now() if ahead is None else ahead)

    def take_date(self, date: float, answered: float) -> None:
        """Take in the date of an answer's head; it was cut to the second.

        ``date``: POSIX seconds. ``answered``: our monotonic clock.
        """
        if self._dated is None:
            self._dated = date + 0.5 - answered

    def learn(self, server_now: float, asked: float, answered: float) -> None:
        """Take in the PBX's time from an answer.

        ``server_now``: POSIX seconds. ``asked`` and ``answered``: our monotonic clock.
        """
        least, most = server_now - answered, server_now - asked
        if self._ahead is None:
            self._ahead = (least + most) / 2
        else:
            self._ahead = min(max(self._ahead, least), most)
