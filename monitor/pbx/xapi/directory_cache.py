"""Keep the last directory and address book, and what commands have changed since.

A whole reading takes seconds, and a command may change something meanwhile. Then the rows that
the command changed are read again. They are newer than the whole reading, which was asked for
before. So they replace its rows, and nothing old comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from monitor.pbx.facts import (
    ContactChanged,
    ContactsRead,
    DepartmentRow,
    DirectoryRead,
    QueueRow,
    RingGroupRow,
    UserRow,
)

_Row = TypeVar("_Row", UserRow, QueueRow, RingGroupRow)
Rows: TypeAlias = Mapping[str, _Row | None]
"""Rows by number; None if there is no such row any more."""


@dataclass(frozen=True, slots=True)
class DirectoryPatch:
    """Hold rows as they are at the time ``at`` (PBX clock, POSIX seconds).

    ``joined``: a new user's number → Ids of the user's departments.
    """

    at: float
    users: Rows[UserRow] = field(default_factory=dict)
    queues: Rows[QueueRow] = field(default_factory=dict)
    ring_groups: Rows[RingGroupRow] = field(default_factory=dict)
    joined: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def apply_to(self, read: DirectoryRead) -> DirectoryRead:
        """Return the reading with these rows in place of its own.

        Users that are gone leave their departments.
        """
        return replace(
            read,
            users=_amended(read.users, self.users, lambda row: row.number),
            queues=_amended(read.queues, self.queues, lambda row: row.number),
            ring_groups=_amended(read.ring_groups, self.ring_groups, lambda row: row.number),
            departments=tuple(self._department(row) for row in read.departments),
            at=max(read.at, self.at),
        )

    def _department(self, row: DepartmentRow) -> DepartmentRow:
        gone = {number for number, user in self.users.items() if user is None}
        come = [
            number
            for number, ids in self.joined.items()
            if row.id in ids and number not in row.members
        ]
        if not come and gone.isdisjoint(row.members):
            return row
        return replace(
            row, members=(*(number for number in row.members if number not in gone), *come)
        )


class DirectoryCache:
    """Merge reads of the directory and emit the result.

    Rows that are read again during a full read may be older in that read. They are kept, and
    applied to it, until the next full read begins.
    """

    def __init__(
        self, emit: Callable[[DirectoryRead | ContactsRead | ContactChanged], None]
    ) -> None:
        self._emit = emit
        self.directory: DirectoryRead | None = None
        """The last directory; None before the first reading."""
        self._contacts: ContactsRead | None = None
        self._amendments: list[DirectoryPatch] = []
        self._changes: dict[int, ContactChanged] = {}

    def directory_asked(self) -> None:
        """Note that the whole directory is about to be read."""
        self._amendments.clear()

    def directory_read(self, read: DirectoryRead) -> None:
        """Take in the whole directory, as asked for last, and emit it."""
        for amendment in self._amendments:
            read = amendment.apply_to(read)
        self.directory = read
        self._emit(read)

    def amended(self, amendment: DirectoryPatch) -> None:
        """Take in rows that were read again. Before the first reading nothing is emitted."""
        self._amendments.append(amendment)
        if self.directory is not None:
            self.directory = amendment.apply_to(self.directory)
            self._emit(self.directory)

    def contacts_asked(self) -> None:
        """Note that the whole address book is about to be read."""
        self._changes.clear()

    def contacts_read(self, read: ContactsRead) -> None:
        """Take in the whole address book, as asked for last; emit it if it changed."""
        if self._changes:
            found = {contact.id: contact for contact in read.contacts}
            for id_, change in self._changes.items():
                if change.contact is None:
                    found.pop(id_, None)
                else:
                    found[id_] = change.contact
            read = replace(read, contacts=tuple(found.values()))
        if read != self._contacts:
            self._contacts = read
            self._emit(read)

    def contact_read(self, change: ContactChanged) -> None:
        """Take in one contact that was read again, and emit it."""
        self._changes[change.id] = change
        self._contacts = (
            None  # so the next whole reading is emitted in any case: the last one lacks this change
        )
        self._emit(change)


def listing(read: DirectoryRead, number: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the numbers of the queues and of the ring groups that list an extension.

    A queue lists it as agent or manager, a ring group as member.
    """
    queues = (
        row.number
        for row in read.queues
        if number in row.managers or any(agent.number == number for agent in row.agents)
    )
    return frozenset(queues), frozenset(
        row.number for row in read.ring_groups if number in row.members
    )


def _amended(
    held: Iterable[_Row], changed: Rows[_Row], number: Callable[[_Row], str]
) -> tuple[_Row, ...]:
    if not changed:
        return tuple(held)
    rows: dict[str, _Row | None] = {number(row): row for row in held}
    rows.update(changed)
    return tuple(row for row in rows.values() if row is not None)
