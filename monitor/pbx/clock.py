"""Two clocks: our monotonic one, by which answers and events are ordered, and the PBX's wall clock, which is shown.

Every answer with the PBX's time bounds the difference between the two: the PBX looked at its clock after the question
left and before the answer came. The estimate stays where it is as long as it is within the bounds, so that times do not
jitter, and moves to the nearest bound when it is not. Until a first answer our own wall clock is taken for the PBX's.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class PbxClock:
    """``monotonic`` and ``wall`` (POSIX seconds) are our own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.now = monotonic
        """Our monotonic clock."""
        self._wall = wall
        self._ahead: float | None = None

    @property
    def ahead_of_ours(self) -> float | None:
        """Seconds by which the PBX's wall clock is ahead of our own; None until it has told its time."""
        return None if self._ahead is None else self._ahead - (self._wall() - self.now())

    def at(self, moment: float) -> float:
        """The PBX's wall clock at a moment of our monotonic one: POSIX seconds."""
        ahead = self._ahead if self._ahead is not None else self._wall() - self.now()
        return moment + ahead

    def learn(self, server_now: float, asked: float, answered: float) -> None:
        """Take in what the PBX's clock said in an answer; ``asked`` and ``answered`` are monotonic."""
        least, most = server_now - answered, server_now - asked
        if self._ahead is None:
            self._ahead = (least + most) / 2
        else:
            self._ahead = min(max(self._ahead, least), most)
