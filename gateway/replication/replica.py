"""A space's state in memory, with the recent changes. Pure: :mod:`gateway.replication.follower` moves it.

The log keeps each change with the entities before and after, so that one function of it, :meth:`Replica.since`, serves
merging, catching up and resuming. It is bounded in changes and in bytes, as a change may be of one entity or of
thousands; the oldest go first, and who would resume from before them gets a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from monitor.shared import changes as model
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import Entity, State, empty_state
from monitor.shared.redis.key_names import SpaceKeys

LOG_LENGTH: Final = 10_000
"""Changes held, unless the settings say otherwise."""
LOG_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the changes held, as they came over the bus; in memory they take about twice as many."""


class Gap(Exception):
    """A change does not follow on the replica's position: read the log, or the state."""


class Replica:
    """The state at :attr:`position`. It never goes back, except to what is newer, a later epoch, or after :meth:`drop`.

    ``state`` is replaced by :meth:`load` and changed in place by :meth:`apply`: read it without awaiting in between.
    """

    def __init__(self, keys: SpaceKeys, log_length: int = LOG_LENGTH, log_bytes: int = LOG_BYTES) -> None:
        self.keys = keys
        self.state: State = empty_state(keys.topics)
        self.position: Position | None = None
        """None until a state was loaded: then ``state`` means nothing."""
        self.at: str | None = None
        """The newest instant, by the monitor's clock, at which the monitor was heard."""
        self.stale_since: str | None = None
        """Since when nothing has been heard from the monitor, by the gateway's clock; None while it is heard."""
        self._log: deque[Change] = deque()
        self._sizes: deque[int] = deque()
        self._length = log_length
        self._most_bytes = log_bytes
        self.log_bytes = 0
        """Bytes of the changes held, as they came over the bus."""

    def load(
        self, position: Position, at: str, state: State, log: Sequence[Change] = (), sizes: Sequence[int] = ()
    ) -> None:
        """Replace all. ``log``: changes up to ``position``, oldest first; those that lead there without a gap are kept.

        ``sizes``: of these changes, in bytes. Raises ValueError if ``position`` is older than the present one.
        """
        if self.position is not None and position < self.position:
            raise ValueError(f"{position} is older than {self.position}")
        self.position, self.at, self.state = position, at, state
        self._log.clear()
        self._sizes.clear()
        self.log_bytes = 0
        first, expected = len(log), position
        while first and log[first - 1].position == expected:
            first, expected = first - 1, Position(expected.epoch, expected.seq - 1)
        known: dict[tuple[str, str], Entity | None] = {}
        for number in range(first, len(log)):
            change = log[number]
            self._keep(_sharing(change, lambda edit: known.get((edit.topic, edit.id))), sizes[number] if sizes else 0)
            known.update(((edit.topic, edit.id), edit.after) for edit in change.edits)

    def drop(self) -> None:
        """Be without a state: what was held is not believed any more, and whatever is loaded next holds."""
        self.position, self.at = None, None
        self._log.clear()
        self._sizes.clear()
        self.log_bytes = 0

    def apply(self, change: Change, size: int = 0) -> bool:
        """Take in the next change; False if it is not newer than what is here. Raises Gap if others are missing.

        ``size``: bytes that it had on the bus.
        """
        mine, its = self.position, change.position
        if mine is None:
            raise Gap(f"no state yet, but the change to {its}")
        if its <= mine:
            return False
        if its.epoch != mine.epoch or its.seq != mine.seq + 1:
            raise Gap(f"at {mine}, but the change to {its}")
        change = _sharing(change, lambda edit: self.state[edit.topic].get(edit.id))
        model.apply(self.state, change.edits)
        self.position, self.at = its, change.at
        self._keep(change, size)
        return True

    def _keep(self, change: Change, size: int) -> None:
        self._log.append(change)
        self._sizes.append(size)
        self.log_bytes += size
        while len(self._log) > self._length or (self.log_bytes > self._most_bytes and len(self._log) > 1):
            self._log.popleft()
            self.log_bytes -= self._sizes.popleft()

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


def _sharing(change: Change, held: Callable[[Edit], Entity | None]) -> Change:
    """The same change, its entities' past those that are held already, where they are equal: half of the memory."""
    edits = []
    for edit in change.edits:
        before = held(edit)
        edits.append(edit if before != edit.before else Edit(edit.topic, edit.id, before, edit.after))
    return Change(change.position, change.at, tuple(edits), change.trace, change.heard)
