"""Show only some fields of each entity, and tell which ones changed: ``fields``, ``patch``. Pure.

- A field that an entity does not have does not matter to it.
- The fields that identify an entity always come, also where nobody asked for them.
- What is selected of two entities may be equal though the entities differ. Then nothing changed
  for those who watch it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from gateway.fanout.filters import EntityFilter
from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.statistics import ExtensionStats, PbxStats, QueueStats
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    FLEET_TOPICS,
    TOPICS,
    Call,
    Contact,
    EndedCall,
    Entity,
    Extension,
    ExtensionGroup,
    Ivr,
    Line,
    Queue,
    RingGroup,
    System,
)

MOST_FIELDS: Final = 1_000
"""Names in one selection."""
_LONGEST_NAME: Final = 64
_LONGEST_LIST: Final = 800
"""Characters of the list of names in an error."""
_NAME_BYTES: Final = 100
"""Bytes of a name beside its characters: its object, and its place in the set."""

KEYS: Final[Mapping[type[Entity], tuple[str, ...]]] = {
    System: (),
    Call: ("callID",),
    Extension: ("num",),
    Queue: ("num",),
    RingGroup: ("num",),
    Ivr: ("num",),
    Line: ("num",),
    ExtensionGroup: ("name",),
    EndedCall: ("callID", "startedAt"),
    QueueStats: ("num",),
    ExtensionStats: ("num",),
    PbxStats: (),
    Contact: ("id",),
    PbxSummary: ("name",),
}
"""Fields that identify an entity in its topic."""

_KINDS: Final[Mapping[str, type[Entity]]] = {**TOPICS, **BOOK_TOPICS, **FLEET_TOPICS}

Shown: TypeAlias = Entity | dict[str, Any]
"""An entity as a view shows it: whole, or only some of its fields by their names on the wire."""
ShownState: TypeAlias = dict[str, dict[str, Shown]]
"""topic → id → entity as it is shown."""


class BadFields(ValueError):
    """Signal that something is not a selection of fields; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class FieldSelection:
    """Hold the names, as on the wire, of the fields that are wanted."""

    names: frozenset[str]

    @property
    def size(self) -> int:
        """Return about how many bytes the selection takes in memory."""
        return 500 + sum(_NAME_BYTES + len(name) for name in self.names)

    def of(self, entity: Entity) -> dict[str, Any]:
        """Return what is selected of the entity."""
        return {
            name: getattr(entity, attribute)
            for attribute, name in _selected(type(entity), self.names)
        }

    def differ(self, before: Entity, after: Entity) -> bool:
        """Return whether what is selected of two states of an entity differs."""
        return any(
            getattr(before, attribute) != getattr(after, attribute)
            for attribute, _ in _selected(type(after), self.names)
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Hold all that a subscription selects of what its key may see."""

    filter: EntityFilter | None
    fields: FieldSelection | None

    @property
    def size(self) -> int:
        """Return about how many bytes it takes in memory."""
        parts = (self.filter, self.fields)
        return sum(part.size for part in parts if part is not None)


def changed_fields(before: Shown, after: Shown) -> Iterator[str]:
    """Yield the names, as on the wire, of the fields in which two states of an entity differ.

    Both show the same fields.
    """
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = fields_of(before), fields_of(after)
        yield from (name for name, value in new.items() if old.get(name) != value)
        return
    for attribute, name in _attributes(type(after)):
        if getattr(before, attribute) != getattr(after, attribute):
            yield name


def fields_of(entity: Shown) -> dict[str, Any]:
    """Return what is shown of an entity, by the names on the wire."""
    if isinstance(entity, dict):
        return entity
    return {name: getattr(entity, attribute) for attribute, name in _attributes(type(entity))}


@lru_cache(maxsize=64)
def _attributes(kind: type[Entity]) -> tuple[tuple[str, str], ...]:
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))


@lru_cache(maxsize=512)  # sets of up to a hundred names, which outlive who asked for them
def _selected(kind: type[Entity], names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    keys = KEYS.get(kind, ())
    return tuple(
        (attribute, name) for attribute, name in _attributes(kind) if name in names or name in keys
    )


@lru_cache(maxsize=64)
def names_of(topic: str) -> tuple[str, ...]:
    """Return the names of the fields of a topic's entities."""
    return tuple(name for _, name in _attributes(_KINDS[topic]))


def selection_of(given: object, topics: Collection[str]) -> FieldSelection | None:
    """Return the selection of these fields from these topics; None if it is None.

    Raises BadFields if it is wrong, or if none of the topics has a field of such a name.
    """
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > MOST_FIELDS:
        raise BadFields(f"fields must be a list of at most {MOST_FIELDS} names of fields.")
    if not given:
        raise BadFields("fields is empty; leave it out to get whole entities.")
    known = {name: name for topic in topics for name in names_of(topic)}
    for name in given:
        if not isinstance(name, str) or name not in known:
            raise BadFields(_unknown(name, topics))
    return FieldSelection(frozenset(known[name] for name in given))  # not the client's own texts


def _unknown(name: object, topics: Collection[str]) -> str:
    asked = repr(name[:_LONGEST_NAME]) if isinstance(name, str) else "that is not text"
    there = "; ".join(
        f"{topic} has {', '.join(names_of(topic))}" for topic in _KINDS if topic in topics
    )
    if len(there) > _LONGEST_LIST:
        there = f"{there[:_LONGEST_LIST]}…"
    return f"No topic here has a field {asked}; {there}."
