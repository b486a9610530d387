"""Hold what a query is answered from. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.errors import Refused
from gateway.parameters import NONE, Arguments, quoted
from gateway.visibility import EVERYTHING, Visibility
from monitor.shared.entities.topics import EntityT, State, table
from monitor.shared.phone_index import PhoneIndex


@dataclass(frozen=True, slots=True)
class QueryContext:
    """Hold the states as they are now, what the caller may see, and the query's arguments."""

    live: State
    book: State
    phonebook: PhoneIndex
    visibility: Visibility = EVERYTHING
    arguments: Arguments = NONE
    fleet: State = field(default_factory=dict)

    def all(self, topic: str, kind: type[EntityT]) -> list[EntityT]:
        """Return the topic's entities that may be seen, as they may be shown."""
        show = self.visibility.shown
        return [
            seen
            for entity in self._table(topic, kind).values()
            if (seen := show(topic, entity)) is not None
        ]

    def one(self, topic: str, kind: type[EntityT], id_: str) -> EntityT | None:
        """Return one entity as it may be shown; None if there is none or it may not be seen."""
        entity = self._table(topic, kind).get(id_)
        return None if entity is None else self.visibility.shown(topic, entity)

    def named(
        self, topic: str, kind: type[EntityT], refusal: type[Refused], what: str, by: str = "num"
    ) -> EntityT:
        """Return the entity that the argument ``by`` names, as it may be shown.

        ``what``: what it is, for people. Raises ``refusal`` if there is none or it may not be seen.
        """
        id_ = self.arguments.text(by)
        entity = self.one(topic, kind, id_)
        if entity is None:
            raise refusal(f"There is no {what} {quoted(id_)}.")
        return entity

    def _table(self, topic: str, kind: type[EntityT]) -> dict[str, EntityT]:
        for state in (self.book, self.fleet):
            if topic in state:
                return table(state, topic, kind)
        return table(self.live, topic, kind)


def in_order(numbers: Iterable[str]) -> tuple[str, ...]:
    """Return each number once, sorted by value.

    Texts that are not numbers come last, sorted as text.
    """
    return tuple(sorted(set(numbers), key=_by_value))


def _by_value(number: str) -> tuple[bool, int, str]:
    numeric = number.isascii() and number.isdigit()
    return (not numeric, int(number) if numeric else 0, number)
