"""What a subscription may see and wants to see, now and since a position. Pure.

A view is a function of one entity alone: its topic is subscribed, the key may see it, the subscription's filter lets it
through. So an entity enters a view and leaves it by its own changes only, and what brings a subscriber from any
position to now is a function of the log's edits: an entity whose picture in the view was the same at every position
since then is left out; any other comes whole if it is in the view now, and is removed if it is not.

Merging for slow clients, catching up and resuming are that one function. It holds for every position between the one
asked for and now, so a client that is ahead of the one asked for may apply it as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.visibility import Visibility
from monitor.shared.changes import Change, Position
from monitor.shared.entities.topics import Entity, State


class History(Protocol):
    """A space as it is now and as it came to be: what a replica offers."""

    @property
    def state(self) -> State:
        """The state at ``position``."""

    @property
    def position(self) -> Position | None:
        """Where it is; None until a state was loaded."""

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        """The changes of the present epoch after ``seq``, up to ``to`` or now; None if the log does not reach back."""


class ViewFilter(Protocol):
    """What a subscriber wants to see of that which he may see. Hashable, so that equal filters share frames."""

    def __call__(self, topic: str, entity: Entity) -> bool:
        """Whether this entity, as it is shown to the subscriber, is wanted. A function of this entity alone."""

    def __hash__(self) -> int:
        """Equal filters have equal hashes."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What brings a view from a position to a later one: entities that came or changed, and ids of those that left."""

    upsert: State
    remove: dict[str, list[str]]

    @property
    def empty(self) -> bool:
        """Whether the view did not change."""
        return not self.upsert and not self.remove


@dataclass(frozen=True, slots=True)
class FilteredView:
    """Topics, what the key may see of them, and what is wanted of that. Equal views get the same bytes."""

    topics: frozenset[str]
    visibility: Visibility
    filter: ViewFilter | None = None

    def shown(self, topic: str, entity: Entity | None) -> Entity | None:
        """The entity as it stands in this view, or None if it does not.

        The filter judges what is shown: judging the whole, it would tell by an entity's presence what is hidden in it.
        """
        if entity is None or topic not in self.topics:
            return None
        seen = self.visibility.shown(topic, entity)
        return seen if seen is not None and (self.filter is None or self.filter(topic, seen)) else None

    def snapshot(self, history: History) -> State:
        """Everything in the view now, every topic of it present."""
        return {
            topic: {id_: seen for id_, entity in entities.items() if (seen := self.shown(topic, entity)) is not None}
            for topic, entities in history.state.items()
            if topic in self.topics
        }

    def delta(self, changes: Iterable[Change]) -> Delta:
        """What brings the position before the first of these successive changes, or any within, past the last."""
        latest: dict[tuple[str, str], Entity | None] = {}
        for topic, id_, before, after in self._edits(changes):
            if before != after:  # else it is what it was, also in ``latest``
                latest[topic, id_] = after
        delta = Delta({}, {})
        for (topic, id_), entity in latest.items():
            if entity is None:
                delta.remove.setdefault(topic, []).append(id_)
            else:
                delta.upsert.setdefault(topic, {})[id_] = entity
        return delta

    def affected_by(self, change: Change) -> bool:
        """Whether anything in the view changes with it."""
        return any(before != after for _, _, before, after in self._edits((change,)))

    def _edits(self, changes: Iterable[Change]) -> Iterable[tuple[str, str, Entity | None, Entity | None]]:
        for change in changes:
            for edit in change.edits:
                if edit.topic in self.topics:
                    yield edit.topic, edit.id, self.shown(edit.topic, edit.before), self.shown(edit.topic, edit.after)
