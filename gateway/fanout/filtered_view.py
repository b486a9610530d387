"""Compute what a subscription sees: its view now, and the change since a position. Pure.

A view decides about each entity by that entity alone. An entity is in the view if its topic is
subscribed, the key may see it, and the subscription's filter accepts it. Of an entity in the view
it shows all, or the fields that were asked for.

So an entity enters or leaves a view only by its own changes. What brings a subscriber from any
position to now is therefore a function of the log's edits:

- An entity that looked the same in the view at every position since then is left out.
- Any other entity is sent whole if it is in the view now, and removed if it is not.
- A view may ask for patches. Then an entity that was in the view at every position since then is
  patched: all fields that changed at any of them are sent, as they are now. So a patch holds for
  every position in between too.

Merging for slow clients, catching up and resuming all use this one function. Its result holds
for every position between the one asked for and now. So a client that is ahead of the one asked
for may apply it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.fanout.field_selection import (
    FieldSelection,
    Shown,
    ShownState,
    changed_fields,
    fields_of,
)
from gateway.fanout.filters import EntityFilter
from gateway.visibility import EVERYTHING, Visibility
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import FLEET_TOPICS, Entity, State


class History(Protocol):
    """Describe what a view needs of a space: its state and its recent changes.

    A replica has them.
    """

    @property
    def state(self) -> State:
        """Return the state at ``position``."""

    @property
    def position(self) -> Position | None:
        """Return the position of the state; None until a state was loaded."""

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        """Return the present epoch's changes after ``seq``; None if the log does not reach back.

        ``to``: the last position wanted; None: up to now.
        """


@dataclass(frozen=True, slots=True)
class Delta:
    """Hold what brings a view from a position to a later one.

    ``upsert``: the entities that came or changed. ``remove``: the ids of those that left, by
    topic. ``patch``: topic → id → the fields that changed, of entities that are in neither.
    """

    upsert: ShownState
    remove: dict[str, list[str]]
    patch: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Return whether the view did not change."""
        return not self.upsert and not self.remove and not self.patch


@dataclass(frozen=True, slots=True)
class FilteredView:
    """Represent a view: its topics, what the key may see of them, the filter and fields of that.

    Equal views get the same bytes. ``patch``: of entities that it has already, send only the fields
    that changed.
    """

    topics: frozenset[str]
    visibility: Visibility
    filter: EntityFilter | None = None
    fields: FieldSelection | None = None
    patch: bool = False

    @property
    def whole(self) -> bool:
        """Return whether it shows everything of its topics that the key may see."""
        return self.filter is None and self.fields is None and not self.visibility.limits.any

    def shown(self, topic: str, entity: Entity | None) -> Shown | None:
        """Return the entity as this view shows it, or None if the view does not have it.

        The filter sees only what the key may see. If it saw the whole entity, the entity's presence
        would reveal hidden values. It sees fields that were not asked for.
        """
        seen = self._seen(topic, entity)
        return seen if seen is None or self.fields is None else self.fields.of(seen)

    def _seen(self, topic: str, entity: Entity | None) -> Entity | None:
        """Return the entity with all its fields, or None if the view does not have it."""
        if entity is None or topic not in self.topics:
            return None
        seen = self.visibility.shown(topic, entity)
        if seen is None or not (self.filter is None or self.filter(topic, seen)):
            return None
        return seen

    def snapshot(
        self,
        history: History,
        candidates: Callable[[FilteredView, str], Iterable[str]] | None = None,
    ) -> ShownState:
        """Return everything in the view now, with every topic of the view that the space has.

        ``candidates``: returns ids among which are all that the view has of a topic; None: all ids
        are looked at.
        """
        return {
            topic: self._shown_of(
                topic, entities, entities if candidates is None else candidates(self, topic)
            )
            for topic, entities in history.state.items()
            if topic in self.topics
        }

    def _shown_of(
        self, topic: str, entities: Mapping[str, Entity], ids: Iterable[str]
    ) -> dict[str, Shown]:
        everything = self.visibility == EVERYTHING and topic not in FLEET_TOPICS
        if self.filter is None and self.fields is None and everything:
            return dict(entities)
        return {
            id_: seen for id_ in ids if (seen := self.shown(topic, entities.get(id_))) is not None
        }

    def delta(self, changes: Iterable[Change]) -> Delta:
        """Return what brings a view from before the first of these changes to after the last.

        The changes are successive. The result also holds for a start at any position within
        them.
        """
        latest: dict[tuple[str, str], Shown | None] = {}
        patched: dict[tuple[str, str], set[str] | None] = {}
        """Fields that changed; None: it was not in the view all the time."""
        for topic, id_, before, after in self._edits(changes):
            if before != after:  # else it is unchanged, and so is its entry in ``latest``
                latest[topic, id_] = after
                if self.patch:
                    _note(patched, (topic, id_), before, after)
        delta = Delta({}, {})
        for (topic, id_), entity in latest.items():
            if entity is None:
                delta.remove.setdefault(topic, []).append(id_)
            elif (names := patched.get((topic, id_))) is not None:
                values = fields_of(entity)
                delta.patch.setdefault(topic, {})[id_] = {
                    name: value for name, value in values.items() if name in names
                }
            else:
                delta.upsert.setdefault(topic, {})[id_] = entity
        return delta

    def affected_by(self, change: Change) -> bool:
        """Return whether this change alters anything in the view."""
        return any(self._altered_by(edit) for edit in change.edits if edit.topic in self.topics)

    def _altered_by(self, edit: Edit) -> bool:
        before, after = self._seen(edit.topic, edit.before), self._seen(edit.topic, edit.after)
        if self.fields is None or before is None or after is None:
            return before != after
        return self.fields.differ(before, after)  # nothing is built: thousands may ask this

    def _edits(
        self, changes: Iterable[Change]
    ) -> Iterable[tuple[str, str, Shown | None, Shown | None]]:
        for change in changes:
            for edit in change.edits:
                if edit.topic in self.topics:
                    yield (
                        edit.topic,
                        edit.id,
                        self.shown(edit.topic, edit.before),
                        self.shown(edit.topic, edit.after),
                    )


def _note(
    patched: dict[tuple[str, str], set[str] | None],
    place: tuple[str, str],
    before: Shown | None,
    after: Shown | None,
) -> None:
    """Note which fields an edit changed; None once the entity came or left by an edit."""
    names = patched.get(place, set())
    if names is None or before is None or after is None:
        patched[place] = None
        return
    names.update(changed_fields(before, after))
    patched[place] = names
