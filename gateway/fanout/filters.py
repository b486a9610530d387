"""Parse the stream's ``filter``: what a subscriber wants of what its key may see. Pure.

- A field that does not apply to a topic does not restrict that topic.
- All fields that apply must match. A field matches if any one of its values does.
- Extensions carry their queues, groups and extension groups. Calls carry those of their legs. So
  each entity is judged by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Final, get_args

from monitor.shared.entities.statistics import ExtensionStats, QueueStats
from monitor.shared.entities.topics import (
    Call,
    CallState,
    Direction,
    EndedCall,
    Entity,
    Extension,
    ExtensionGroup,
    Line,
    Queue,
    RingGroup,
)

MOST_VALUES: Final = 1_000
"""Values in all fields together."""
LONGEST_VALUE: Final = 64
_VALUE_BYTES: Final = 100
"""Bytes of a value beside its characters: its object, and its place in the set."""
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "direction": get_args(Direction),
    "state": get_args(CallState),
}
"""Fields that take only these values."""


class BadFilter(ValueError):
    """Signal that something is not a filter; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """Hold a filter by the protocol's fields; None: the field was not given."""

    ext: frozenset[str] | None = None
    queue: frozenset[str] | None = None
    group: frozenset[str] | None = None
    line: frozenset[str] | None = None
    extgroup: frozenset[str] | None = None
    direction: frozenset[str] | None = None
    state: frozenset[str] | None = None
    call: frozenset[str] | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes the filter takes in memory."""
        kinds = (
            self.ext,
            self.queue,
            self.group,
            self.line,
            self.extgroup,
            self.direction,
            self.state,
            self.call,
        )
        return 500 + sum(
            _VALUE_BYTES + len(value) for kind in kinds if kind is not None for value in kind
        )

    def __call__(self, topic: str, entity: Entity) -> bool:
        """Return whether the filter accepts this entity, given as it is shown to the subscriber."""
        match entity:
            case Call():
                return self._call(entity) and _has(self.state, (entity.state,))
            case EndedCall():
                return self._call(entity)
            case Extension():
                return (
                    _has(self.ext, (entity.num,))
                    and _has(self.queue, entity.queues)
                    and _has(self.group, entity.groups)
                    and _has(self.extgroup, entity.extgroups)
                )
            case Queue() | QueueStats():
                return _has(self.queue, (entity.num,))
            case ExtensionStats():
                return _has(self.ext, (entity.num,))
            case RingGroup():
                return _has(self.group, (entity.num,))
            case Line():
                return _has(self.line, (entity.num,))
            case ExtensionGroup():
                return _has(self.extgroup, (entity.name,))
        return True

    def _call(self, call: Call | EndedCall) -> bool:
        return (
            _has(self.ext, call.extensions)
            and _has(self.queue, call.queues)
            and _has(self.group, call.groups)
            and _has(self.line, call.lines)
            and _has(self.extgroup, call.extgroups)
            and _has(self.direction, (call.direction,))
            and _has(self.call, (str(call.call_id),))
        )


FIELDS: Final = tuple(field.name for field in fields(EntityFilter))


def filter_of(given: Mapping[str, Collection[object]]) -> EntityFilter | None:
    """Return the filter with these values for each field; None if no field is given.

    Raises BadFilter if a field or a value is wrong.
    """
    known: dict[str, frozenset[str]] = {}
    if sum(map(len, given.values())) > MOST_VALUES:  # checked before any single value is
        raise BadFilter(f"A filter has at most {MOST_VALUES} values.")
    for name, values in given.items():
        if name not in FIELDS:
            raise BadFilter(
                f"A filter has no field {name[:LONGEST_VALUE]!r}; it has {', '.join(FIELDS)}."
            )
        if not values:
            raise BadFilter(f"The filter's {name} is empty; leave it out to see everything.")
        known[name] = frozenset(_value(name, value) for value in values)
    return EntityFilter(**known) if known else None


def _value(field: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        value = str(value)
    if not isinstance(value, str) or not value or len(value) > LONGEST_VALUE:
        raise BadFilter(
            f"The filter's {field} must be a list of texts of at most {LONGEST_VALUE} characters."
        )
    words = WORDS.get(field)
    if words is not None and value not in words:
        raise BadFilter(f"The filter's {field} takes {', '.join(words)}, but not {value!r}.")
    return value


def _has(wanted: frozenset[str] | None, present: Collection[str]) -> bool:
    return wanted is None or not wanted.isdisjoint(present)
