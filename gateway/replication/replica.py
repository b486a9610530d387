"""Hold a space's state (live or book) in memory, with its recent changes. Pure.

:mod:`gateway.replication.follower` moves it. The log keeps each change with the entities before
and after it. So one function of the log, :meth:`Replica.since`, serves merging, catching up and
resuming.

The log is bounded in changes and in bytes, as a change may be of one entity or of thousands.
When it is full, the oldest changes are dropped. A client that would resume from before them gets
a snapshot.
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
    """Signal a gap between the replica's position and a change: read the log or the state."""


class Replica:
    """Hold the state at :attr:`position`.

    The position never goes back, except after :meth:`drop`; a later epoch is always further on.
    ``state`` is replaced by :meth:`load` and changed in place by :meth:`apply`: read it without
    awaiting in between.
    """

    def __init__(
        self, keys: SpaceKeys, log_length: int = LOG_LENGTH, log_bytes: int = LOG_BYTES
    ) -> None:
        self.keys = keys
        self.state: State = empty_state(keys.topics)
        self.position: Position | None = None
        """Position of the state; None until a state was loaded. While it is None, ``state``
        means nothing."""
        self.at: str | None = None
        """Newest instant at which the monitor was heard, by the monitor's clock."""
        self.stale_since: str | None = None
        """Instant since which nothing was heard from the monitor, by the gateway's clock; None
        while it is heard."""
        self._log: deque[Change] = deque()
        self._sizes: deque[int] = deque()
        self._length = log_length
        self._most_bytes = log_bytes
        self.log_bytes = 0
        """Bytes of the changes held, as they came over the bus."""

    def load(
        self,
        position: Position,
        at: str,
        state: State,
        log: Sequence[Change] = (),
        sizes: Sequence[int] = (),
    ) -> None:
        """Replace the whole state and the log.

        ``log``: changes up to ``position``, oldest first; those that lead there without a gap
        are kept. ``sizes``: the bytes of these changes. Raises ValueError if ``position`` is
        older than the present one.
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
            self._keep(
                _sharing(change, lambda edit: known.get((edit.topic, edit.id))),
                sizes[number] if sizes else 0,
            )
            known.update(((edit.topic, edit.id), edit.after) for edit in change.edits)

    def drop(self) -> None:
        """Drop the state and the log: what was held is not believed any more.

        The next state that is loaded is accepted at any position.
        """
        self.position, self.at = None, None
        self._log.clear()
        self._sizes.clear()
        self.log_bytes = 0

    def forget(self) -> None:
        """Drop the state and the log, and free their memory."""
        self.drop()
        self.state = empty_state(self.keys.topics)
        self.stale_since = None

    def apply(self, change: Change, size: int = 0) -> bool:
        """Apply the next change. Return False if it is not newer than the position.

        Raises Gap if changes before it are missing. ``size``: its bytes on the bus.
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
        while len(self._log) > self._length or (
            self.log_bytes > self._most_bytes and len(self._log) > 1
        ):
            self._log.popleft()
            self.log_bytes -= self._sizes.popleft()

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        """Return the changes after ``seq`` of the present epoch, oldest first.

        Returns None if the log does not reach back so far. ``to``: the number after which
        changes are left out; None: return all up to the newest. A few changes cost little,
        however long ago they were.
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
        """Return how many changes are held."""
        return len(self._log)

    @property
    def newest(self) -> Change | None:
        """Return the change that led to the present position; None if it is not held."""
        return self._log[-1] if self._log else None

    def heard(self, at: str) -> None:
        """Note that the monitor was heard. ``at``: the instant, by the monitor's clock."""
        self.at = at
        self.stale_since = None

    def silent(self, since: str) -> None:
        """Note that nothing has been heard since this instant."""
        self.stale_since = since


def _sharing(change: Change, held: Callable[[Edit], Entity | None]) -> Change:
    """Return the same change, its past entities replaced by equal ones that are already held.

    This halves the memory of the log.
    """
    edits = []
    for edit in change.edits:
        before = held(edit)
        edits.append(
            edit if before != edit.before else Edit(edit.topic, edit.id, before, edit.after)
        )
    return Change(change.position, change.at, tuple(edits), change.trace, change.heard)
