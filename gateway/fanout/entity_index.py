"""Find the entities that a view may show without looking at all of them. Pure.

For each topic and each field of a filter there is a table: value → ids of the entities that have
it. A table is made when a view first asks for it, and follows the history from then on.

A view still decides about each candidate by itself. So the index only leaves out what cannot be in
the view.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from gateway.fanout.filtered_view import FilteredView, History
from gateway.fanout.filters import EntityFilter
from monitor.shared.changes import Position
from monitor.shared.entities.statistics import EXTENSION_STATS, QUEUE_STATS
from monitor.shared.entities.topics import Entity

_OF_CALLS: Final = {
    "ext": "extensions",
    "queue": "queues",
    "group": "groups",
    "line": "lines",
    "extgroup": "extgroups",
}
_FIELDS: Final[dict[str, dict[str, str]]] = {
    "calls": _OF_CALLS,
    "ended": _OF_CALLS,
    "extensions": {"ext": "num", "queue": "queues", "group": "groups", "extgroup": "extgroups"},
    "queues": {"queue": "num"},
    "groups": {"group": "num"},
    "lines": {"line": "num"},
    "extgroups": {"extgroup": "name"},
    QUEUE_STATS: {"queue": "num"},
    EXTENSION_STATS: {"ext": "num"},
}
"""Topic → field of a filter → attribute of the topic's entities that the field is about."""
_LIMITED: Final[dict[str, tuple[str, ...]]] = {
    "calls": ("ext", "queue", "group"),
    "ended": ("ext", "queue", "group"),
    "extensions": ("ext",),
    "queues": ("queue",),
    "groups": ("group",),
    QUEUE_STATS: ("queue",),
    EXTENSION_STATS: ("ext",),
}
"""Topic → fields of which one must have a value that a limited key lists."""
_MOST_FOLLOWED: Final = 500
"""Changes up to which the tables follow the log; after more changes they are built again."""

_Table = dict[str, dict[str, None]]


class EntityIndex:
    """Hold the tables of one space."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._at: Position | None = None
        self._tables: dict[tuple[str, str], _Table] = {}

    def candidates(self, view: FilteredView, topic: str) -> Collection[str]:
        """Return ids among which are those of all entities of the topic that the view shows."""
        self._follow()
        choices = list(_choices(view, topic))
        if not choices:
            return tuple(self._history.state[topic])
        found = [
            [
                ids
                for field, values in choice
                for value in values
                if (ids := self._table(topic, field).get(value))
            ]
            for choice in choices
        ]
        fewest = min(found, key=lambda sets: sum(map(len, sets)))
        return {id_: None for ids in fewest for id_ in ids}

    def _table(self, topic: str, field: str) -> _Table:
        table = self._tables.get((topic, field))
        if table is None:
            table = self._tables[topic, field] = {}
            attribute = _FIELDS[topic][field]
            for id_, entity in self._history.state[topic].items():
                _add(table, id_, entity, attribute)
        return table

    def _follow(self) -> None:
        """Bring the tables to the history's position."""
        now, at = self._history.position, self._at
        if now == at:
            return
        self._at = now
        if not self._tables:
            return
        near = (
            now is not None
            and at is not None
            and at.epoch == now.epoch
            and at.seq < now.seq <= at.seq + _MOST_FOLLOWED
        )
        changes = self._history.since(at.seq) if near and at is not None else None
        if changes is None:
            self._tables.clear()
            return
        for edit in (edit for change in changes for edit in change.edits):
            for field, attribute in _FIELDS.get(edit.topic, {}).items():
                table = self._tables.get((edit.topic, field))
                if table is not None:
                    _remove(table, edit.id, edit.before, attribute)
                    _add(table, edit.id, edit.after, attribute)


def _choices(view: FilteredView, topic: str) -> Iterable[list[tuple[str, Collection[str]]]]:
    """Yield what each entity in the view has: one of these values in one of these fields."""
    fields = _FIELDS.get(topic, {})
    if isinstance(view.filter, EntityFilter):
        for field in fields:
            wanted: frozenset[str] | None = getattr(view.filter, field)
            if wanted is not None:
                yield [(field, wanted)]
    limits = view.visibility.limits
    if limits.any and topic in _LIMITED:
        listed = {"ext": limits.extensions, "queue": limits.queues, "group": limits.groups}
        yield [(field, listed[field] or frozenset()) for field in _LIMITED[topic]]


def _values(entity: Entity | None, attribute: str) -> Collection[str]:
    if entity is None:
        return ()
    value: str | tuple[str, ...] = getattr(entity, attribute)
    return (value,) if isinstance(value, str) else value


def _add(table: _Table, id_: str, entity: Entity | None, attribute: str) -> None:
    for value in _values(entity, attribute):
        table.setdefault(value, {})[id_] = None


def _remove(table: _Table, id_: str, entity: Entity | None, attribute: str) -> None:
    for value in _values(entity, attribute):
        ids = table.get(value)
        if ids is not None:
            ids.pop(id_, None)
            if not ids:
                del table[value]
