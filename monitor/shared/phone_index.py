"""Find contacts, or anything else, by a phone number, without a full scan. Pure.

For the documented search, numbers are kept reversed in one sorted list. So "ends with" is a range
of that list, and the number with the longest common ending stands beside the place where the
searched number would stand. For the name of a caller, numbers are kept by what two notations of one
number have in common.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from monitor.shared import phone_numbers
from monitor.shared.entities.topics import Contact
from monitor.shared.phone_numbers import PhoneNumber

T = TypeVar("T", bound=Hashable)

_NO_DIGITS: Final = re.compile("[^0-9]+")


def digits(number: str) -> str:
    """Return the number's digits without all other characters."""
    return _NO_DIGITS.sub("", number)


class SubscriberIndex(Generic[T]):
    """Find values by a phone number in any notation.

    A look-up costs as much as the number has notations here, however many values each has: some
    three for real numbers, and about a thousand at most.
    """

    def __init__(self) -> None:
        self._values: dict[PhoneNumber, dict[T, int]] = {}
        """Number → value → how often it was added."""
        self._notations: dict[str, tuple[PhoneNumber, ...]] = {}

    def add(self, number: PhoneNumber, value: T) -> None:
        """Add a value to a number; it may be added more than once."""
        values = self._values.setdefault(number, {})
        if not values:
            for key in phone_numbers.keys(number):
                self._notations[key] = (*self._notations.get(key, ()), number)
        values[value] = values.get(value, 0) + 1

    def remove(self, number: PhoneNumber, value: T) -> None:
        """Remove a value from a number as often as it was added. Raises KeyError."""
        values = self._values[number]
        values[value] -= 1
        if values[value]:
            return
        del values[value]
        if values:
            return
        del self._values[number]
        for key in phone_numbers.keys(number):
            left = tuple(other for other in self._notations.pop(key) if other != number)
            if left:
                self._notations[key] = left

    def exact(self, number: PhoneNumber) -> Collection[T]:
        """Return the values of the number in this very notation."""
        return self._values.get(number, {}).keys()

    def find(self, number: PhoneNumber) -> Iterator[T]:
        """Yield the values of the number in all notations; one may come more than once."""
        keys = phone_numbers.keys(number)
        others = dict.fromkeys(other for key in keys for other in self._notations.get(key, ()))
        for other in others:
            if phone_numbers.same_subscriber(number, other):
                yield from self._values[other]


class PhoneIndex:
    """Index contacts by number.

    ``add`` and ``remove`` cost a look-up and one shift of a list. ``find`` costs a look-up and its
    matches.
    """

    def __init__(self, contacts: Iterable[Contact] = ()) -> None:
        self._contacts: dict[int, Contact] = {}
        self._tails: list[tuple[str, int]] = []
        self._names: SubscriberIndex[str] | None = None
        """Filled when a name is asked for: a gateway asks for none."""
        for contact in contacts:
            self._contacts[contact.id] = contact
            self._tails.extend(_entries(contact))
        self._tails.sort()

    def __len__(self) -> int:
        return len(self._contacts)

    def add(self, contact: Contact) -> None:
        """Add a contact; replace the one with the same id if there is one."""
        if contact.id in self._contacts:
            self.remove(contact)
        self._contacts[contact.id] = contact
        for entry in _entries(contact):
            insort(self._tails, entry)
        if self._names is not None:
            _note(self._names, contact)

    def remove(self, contact: Contact) -> None:
        """Remove the contact with this one's id, if there is one."""
        held = self._contacts.pop(contact.id, None)
        if held is not None:
            for entry in _entries(held):
                del self._tails[bisect_left(self._tails, entry)]
            if self._names is not None:
                for number in _numbers(held):
                    self._names.remove(number, held.display_name)

    def find(self, num: str, min_len: int | None = None) -> list[int]:
        """Return the ids of the contacts that match ``num``, ascending.

        This is the documented rule of ``contact.find``. ``min_len`` None or greater than the length
        of ``num``: all digits must be equal. ``min_len`` 0 or equal to that length: a number must
        end with ``num``. Less: return the contacts that share the longest common ending, if it has
        at least ``min_len`` digits.
        """
        tail = digits(num)[::-1]
        if not tail:
            return []
        if min_len is None or min_len > len(tail):
            return self._starting_with(tail, whole=True)
        if min_len in (0, len(tail)):
            return self._starting_with(tail)
        at = bisect_left(self._tails, (tail, -1))
        common = max(
            (_shared(tail, other) for other, _ in self._tails[max(0, at - 1) : at + 1]), default=0
        )
        return self._starting_with(tail[:common]) if common >= min_len else []

    def name(self, num: str) -> str:
        """Return the name of this number in the book; empty if there is none or it is ambiguous.

        A number that is written in the same way comes before one in another notation.
        """
        number = phone_numbers.parse(num)
        if number is None:
            return ""
        if self._names is None:
            self._names = SubscriberIndex()
            for contact in self._contacts.values():
                _note(self._names, contact)
        names = self._names.exact(number) or self._names.find(number)
        name = next(iter(names), "")
        return name if all(other == name for other in names) else ""

    def _starting_with(self, tail: str, *, whole: bool = False) -> list[int]:
        found = set()
        for at in range(bisect_left(self._tails, (tail, -1)), len(self._tails)):
            other, id_ = self._tails[at]
            if other != tail if whole else not other.startswith(tail):
                break
            found.add(id_)
        return sorted(found)


def _shared(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _entries(contact: Contact) -> list[tuple[str, int]]:
    tails = {digits(number)[::-1] for number in contact.numbers}
    return [(tail, contact.id) for tail in tails if tail]


def _numbers(contact: Contact) -> Iterator[PhoneNumber]:
    for text in contact.numbers:
        for part in phone_numbers.several(text):
            number = phone_numbers.parse(part)
            if number is not None:
                yield number


def _note(names: SubscriberIndex[str], contact: Contact) -> None:
    for number in _numbers(contact):
        names.add(number, contact.display_name)
