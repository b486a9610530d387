"""Hold the PBX's address book and look contacts up by number. Pure.

100,000 contacts are normal, so numbers are found through an index over their last digits. The index
is made at the first look-up and follows every change made through :class:`Book`. ``revision`` grows
with each change: a list made from the book is valid as long as ``revision`` stays the same.
"""

from __future__ import annotations

import re
from typing import Literal

from monitor.simulator.pbx_data.templates import CONTACT_PHONES, Entity

_TAIL = 4
_NO_DIGITS = re.compile(r"\D+")


class Book:
    """Hold contacts by Id. Change them only through the methods."""

    def __init__(self) -> None:
        self.contacts: dict[int, Entity] = {}
        self.revision = 0
        self._next_id = 1
        self._by_tail: dict[str, set[int]] | None = None

    def add(self, contact: Entity) -> Entity:
        """Store a contact under the next free Id and write that Id into it."""
        contact["Id"] = self._next_id
        self._next_id += 1
        self.contacts[contact["Id"]] = contact
        self._index(contact)
        self.revision += 1
        return contact

    def update(self, contact_id: int, values: Entity) -> None:
        """Set properties of a contact. Raises KeyError if there is none."""
        contact = self.contacts[contact_id]
        self._unindex(contact)
        contact.update(values)
        self._index(contact)
        self.revision += 1

    def remove(self, contact_id: int) -> None:
        """Delete a contact. Raises KeyError if there is none."""
        self._unindex(self.contacts.pop(contact_id))
        self.revision += 1

    def find(self, number: str, match: Literal["exact", "tail"]) -> list[Entity]:
        """Return the contacts that have a number, sorted by Id.

        ``match``: ``exact`` compares all digits; with ``tail`` one number may also end with the
        other.
        """
        digits = _digits(number)
        if not digits:
            return []
        found = []
        for contact_id in sorted(self._candidates(digits, match)):
            contact = self.contacts[contact_id]
            if any(_matches(digits, theirs, match) for theirs in _numbers(contact)):
                found.append(contact)
        return found

    def _candidates(self, digits: str, match: Literal["exact", "tail"]) -> set[int]:
        if self._by_tail is None:
            self._by_tail = {}
            for contact in self.contacts.values():
                self._index(contact)
        found = set(self._by_tail.get(digits[-_TAIL:], ()))
        if match == "tail" and len(digits) < _TAIL:
            for tail, ids in self._by_tail.items():
                if tail.endswith(digits):
                    found |= ids
        if match == "tail":
            for length in range(1, min(_TAIL, len(digits))):
                found |= self._by_tail.get(digits[-length:], set())
        return found

    def _index(self, contact: Entity) -> None:
        if self._by_tail is not None:
            for digits in _numbers(contact):
                self._by_tail.setdefault(digits[-_TAIL:], set()).add(contact["Id"])

    def _unindex(self, contact: Entity) -> None:
        if self._by_tail is not None:
            for digits in _numbers(contact):
                self._by_tail[digits[-_TAIL:]].discard(contact["Id"])


def _matches(digits: str, theirs: str, match: Literal["exact", "tail"]) -> bool:
    return digits == theirs or (
        match == "tail" and (theirs.endswith(digits) or digits.endswith(theirs))
    )


def _numbers(contact: Entity) -> set[str]:
    return {
        digits
        for name in CONTACT_PHONES
        if (text := contact.get(name)) and (digits := _digits(text))
    }


def _digits(text: str) -> str:
    return _NO_DIGITS.sub("", text)
