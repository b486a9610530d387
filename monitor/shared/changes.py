"""Define positions, edits and changes, and apply them to a state.

``seq`` starts at 0 with an epoch's first full state and grows by exactly one with each change. An
epoch belongs to one writer's session; epochs are ordered as text. Entities are always whole: a
change is a set of edits, and each edit has the entity before and after. So any reader can tell
whether something left its view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from monitor.shared.entities.topics import Entity, State

BELIEVED_AHEAD_MS: Final = 10 * 365 * 86_400_000
"""Ten years: an epoch may be ahead of a clock by this much, as a writer with a wrong clock may have
begun it."""
LARGEST_SEQ: Final = 2**53 - 1
"""The largest number to which clients without integers can still count."""
_DIGITS: Final = 15
_LONGEST_SEQ: Final = 16
_EPOCH: Final = re.compile(r"[0-9]{15}-[!-~]{1,64}")


class Position(Struct, frozen=True, gc=False, order=True):
    """Represent a place in a space's history.

    Positions are ordered: a newer epoch is greater, even with a smaller ``seq``.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        """Return ``epoch/seq``, as in headers and logs."""
        return f"{self.epoch}/{self.seq}"


class Edit(Struct, frozen=True, gc=False):
    """Represent the change of one entity.

    ``before`` None: it is new. ``after`` None: it is gone. They are never both None and never
    equal.
    """

    topic: str
    id: str
    before: Entity | None
    after: Entity | None


class Change(Struct, frozen=True, gc=False):
    """Represent one published change: it brings position ``seq - 1`` of its epoch to ``seq``."""

    position: Position
    at: str
    """Instant at which it was published."""
    edits: tuple[Edit, ...]
    trace: str = ""
    """The id under which the logs of monitor and gateway speak of it; clients do not see it."""
    heard: float = 0.0
    """POSIX seconds on the monitor's clock at which the first of its facts was received; 0 if not
    known."""


def is_epoch(text: str) -> bool:
    """Return whether the text is the name of an epoch, as :func:`epoch_name` makes it.

    Other texts would be ordered wrongly.
    """
    return _EPOCH.fullmatch(text) is not None


def is_seq(text: str) -> bool:
    """Return whether the text is the number of a change, in plain digits."""
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) <= _LONGEST_SEQ
        and int(text) <= LARGEST_SEQ
    )


def is_ahead(epoch: str, unix_ms: float) -> bool:
    """Return whether an epoch is too far ahead of a clock to be believed.

    Then no writer by this clock can have begun it: somebody else wrote it, or a writer whose clock
    was wrong by years. If it were believed, it would be in force for ever: after the largest
    possible epoch there is no newer one. ``unix_ms``: the clock, POSIX milliseconds. A text that is
    no epoch is not believed either.
    """
    return not is_epoch(epoch) or int(epoch[:_DIGITS]) > unix_ms + BELIEVED_AHEAD_MS


def epoch_name(unix_ms: int, newest_seen: str | None, suffix: str) -> str:
    """Return the name of a new epoch: milliseconds, ``-``, a suffix.

    The milliseconds are the wall clock's, but at least one more than those of the newest epoch
    seen. An epoch that is too far ahead is not believed: see :func:`is_ahead`. ``suffix``: random.
    """
    if newest_seen is not None and not is_ahead(newest_seen, unix_ms):
        unix_ms = max(unix_ms, int(newest_seen[:_DIGITS]) + 1)
    return f"{unix_ms:0{_DIGITS}d}-{suffix}"


def merge(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Merge edits into one for each entity.

    It has the first ``before`` and the last ``after``. Edits that cancel each other are left out.
    """
    merged: dict[tuple[str, str], Edit] = {}
    for edit in edits:
        key = (edit.topic, edit.id)
        first = merged.get(key)
        merged[key] = edit if first is None else Edit(edit.topic, edit.id, first.before, edit.after)
    return tuple(edit for edit in merged.values() if edit.before != edit.after)


def apply(state: State, edits: Iterable[Edit]) -> None:
    """Apply ``edits`` to ``state``, in place."""
    for edit in edits:
        if edit.after is None:
            state[edit.topic].pop(edit.id, None)
        else:
            state[edit.topic][edit.id] = edit.after


def difference(before: State, after: State) -> tuple[Edit, ...]:
    """Return the edits that turn ``before`` into ``after``. Both must have the same topics."""
    edits: list[Edit] = []
    for topic, new in after.items():
        old = before[topic]
        edits.extend(
            Edit(topic, id_, old.get(id_), entity)
            for id_, entity in new.items()
            if old.get(id_) != entity
        )
        edits.extend(
            Edit(topic, id_, entity, None) for id_, entity in old.items() if id_ not in new
        )
    return tuple(edits)
