"""A space's state in memory, with the recent changes. Pure: :mod:`gateway.feed` moves it.

The log keeps each change with the entities before and after, so that one function of it, :meth:`Replica.since`, serves
merging, catching up and resuming.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from monitor.model import change as model
from monitor.model.change import Change, Position
from monitor.model.entities import State, empty_state
from monitor.model.keys import Keys

LOG_LENGTH: Final = 10_000
"""Changes held, unless the settings say otherwise."""


class Gap(Exception):
    """A change does not follow on the replica's position: read the log, or the state."""


class Replica:
    """The state at :attr:`position`. It never goes back, except to what is newer, a later epoch, or after :meth:`drop`.

    ``state`` is replaced by :meth:`load` and changed in place by :meth:`apply`: read it without awaiting in between.
    """

    def __init__(self, keys: Keys, log_length: int = LOG_LENGTH) -> None:
        self.keys = keys
        self.state: State = empty_state(keys.topics)
        self.position: Position | None = None
        """None until a state was loaded: then ``state`` means nothing."""
        self.at: str | None = None
        """The newest instant, by the monitor's clock, at which the monitor was heard."""
        self.stale_since: str | None = None
        """Since when nothing has been heard from the monitor, by the gateway's clock; None while it is heard."""
        self._log: deque[Change] = deque(maxlen=log_length)

    def load(self, position: Position, at: str, state: State, log: Sequence[Change] = ()) -> None:
        """Replace all. ``log``: changes up to ``position``, oldest first; those that lead there without a gap are kept.

        Raises ValueError if ``position`` is older than the present one.
        """
        if self.position is not None and position < self.position:
            raise ValueError(f"{position} is older than {self.position}")
        self.position, self.at, self.state = position, at, state
        self._log.clear()
        expected = position
        for change in reversed(log):
            if change.position != expected:
                break
            self._log.appendleft(change)
            expected = Position(expected.epoch, expected.seq - 1)

    def drop(self) -> None:
        """Be without a state: what was held is not believed any more, and whatever is loaded next holds."""
        self.position, self.at = None, None
        self._log.clear()

    def apply(self, change: Change) -> bool:
        """Take in the next change; False if it is not newer than what is here. Raises Gap if others are missing."""
        mine, its = self.position, change.position
        if mine is None:
            raise Gap(f"no state yet, but the change to {its}")
        if its <= mine:
            return False
        if its.epoch != mine.epoch or its.seq != mine.seq + 1:
            raise Gap(f"at {mine}, but the change to {its}")
        model.apply(self.state, change.edits)
        self.position, self.at = its, change.at
        self._log.append(change)
        return True

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        """The changes after ``seq`` of the present epoch, oldest first; None if the log does not reach back so far.

        ``to``: the last one's number, or what is left out if there is none; None: the newest. Few cost little, however
        long ago they were.
        """
        missing = None if self.position is None else self.position.seq - seq
        if missing is None or not 0 <= missing <= len(self._log):
            return None
        wanted = missing if to is None else max(0, min(missing, to - seq))
        if wanted == missing:
            return tuple(islice(reversed(self._log), missing))[::-1]
        first = len(self._log) - missing
        return tuple(self._log[at] for at in range(first, first + wanted))

    @property
    def log_length(self) -> int:
        """How many changes are held."""
        return len(self._log)

    @property
    def newest(self) -> Change | None:
        """The change that led to the present position; None if it is not held."""
        return self._log[-1] if self._log else None

    def heard(self, at: str) -> None:
        """The monitor was heard; ``at``: its instant."""
        self.at = at
        self.stale_since = None

    def silent(self, since: str) -> None:
        """Nothing has been heard since that instant."""
        self.stale_since = since
