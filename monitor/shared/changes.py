"""Positions and changes.

``seq`` starts at 0 with an epoch's first full state and grows by exactly one a change. An epoch belongs to one
writer's session; epochs are ordered as text. Entities come whole: a change is a set of edits, each with the entity
before and after, so that any reader can tell whether something left its view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from monitor.shared.entities.topics import Entity, State

BELIEVED_AHEAD_MS: Final = 10 * 365 * 86_400_000
"""Ten years. By so much an epoch may be ahead of a clock: it may have been begun by one that was wrong."""
LARGEST_SEQ: Final = 2**53 - 1
"""What clients that know no integers can still count to."""
_DIGITS: Final = 15
_LONGEST_SEQ: Final = 16
_EPOCH: Final = re.compile(r"[0-9]{15}-[!-~]{1,64}")


class Position(Struct, frozen=True, order=True):
    """Where in a space's history something is. Ordered: a newer epoch is greater, whatever its ``seq``."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        """``epoch/seq``, as in headers and logs."""
        return f"{self.epoch}/{self.seq}"


class Edit(Struct, frozen=True):
    """One entity's change. ``before`` null: it is new. ``after`` null: it is gone. Never both, never equal."""

    topic: str
    id: str
    before: Entity | None
    after: Entity | None


class Change(Struct, frozen=True):
    """One published change: what brings position ``seq - 1`` of its epoch to ``seq``."""

    position: Position
    at: str
    """When it was published: an instant."""
    edits: tuple[Edit, ...]
    trace: str = ""
    """The id under which both sides' logs speak of it; clients are not told."""
    heard: float = 0.0
    """POSIX seconds on the monitor's clock: when the first of what it tells was heard of; 0 if that is not known."""


def is_epoch(text: str) -> bool:
    """Whether it is the name of an epoch, as :func:`epoch_name` makes it. Others would be ordered wrongly."""
    return _EPOCH.fullmatch(text) is not None


def is_seq(text: str) -> bool:
    """Whether it is a number of a change, in plain digits."""
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_SEQ and int(text) <= LARGEST_SEQ


def is_ahead(epoch: str, unix_ms: float) -> bool:
    """Whether an epoch is so far ahead of a clock that no writer by this clock can have seen it begin.

    Somebody else wrote it, or a writer whose clock was wrong by years. Believed, it would be for ever: with the largest
    of all there is no newer one.
    """
    return not is_epoch(epoch) or int(epoch[:_DIGITS]) > unix_ms + BELIEVED_AHEAD_MS


def epoch_name(unix_ms: int, newest_seen: str | None, suffix: str) -> str:
    """The name of a new epoch: the wall clock in ms, but at least the newest epoch seen + 1, then a random suffix.

    One that is too far ahead is not believed: see :func:`is_ahead`.
    """
    if newest_seen is not None and not is_ahead(newest_seen, unix_ms):
        unix_ms = max(unix_ms, int(newest_seen[:_DIGITS]) + 1)
    return f"{unix_ms:0{_DIGITS}d}-{suffix}"


def merge(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Several edits as if they had been one: the first ``before``, the last ``after``; what cancels out is left out."""
    merged: dict[tuple[str, str], Edit] = {}
    for edit in edits:
        key = (edit.topic, edit.id)
        first = merged.get(key)
        merged[key] = edit if first is None else Edit(edit.topic, edit.id, first.before, edit.after)
    return tuple(edit for edit in merged.values() if edit.before != edit.after)


def apply(state: State, edits: Iterable[Edit]) -> None:
    """Bring ``state`` forward by ``edits``, in place."""
    for edit in edits:
        if edit.after is None:
            state[edit.topic].pop(edit.id, None)
        else:
            state[edit.topic][edit.id] = edit.after


def difference(before: State, after: State) -> tuple[Edit, ...]:
    """The edits that turn ``before`` into ``after``. Both must have the same topics."""
    edits: list[Edit] = []
    for topic, new in after.items():
        old = before[topic]
        edits.extend(Edit(topic, id_, old.get(id_), entity) for id_, entity in new.items() if old.get(id_) != entity)
        edits.extend(Edit(topic, id_, entity, None) for id_, entity in old.items() if id_ not in new)
    return tuple(edits)
