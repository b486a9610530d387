"""Apply rows of the directory that were read again to a whole reading. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from monitor.pbx.facts import DepartmentRow, DirectoryRead, QueueRow, RingGroupRow, UserRow

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
