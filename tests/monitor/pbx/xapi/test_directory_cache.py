"""Test that readings, changes and what was known come together in one directory."""

from __future__ import annotations

from monitor.pbx.facts import (
    AgentRow,
    ContactChanged,
    ContactsRead,
    DepartmentRow,
    DirectoryRead,
    QueueRow,
    RingGroupRow,
    SystemRow,
    UserRow,
)
from monitor.pbx.xapi.directory_cache import DirectoryCache, DirectoryPatch, listing
from monitor.shared.entities.topics import Contact


def user(number: str, name: str = "") -> UserRow:
    return UserRow(int(number), number, name)


READ = DirectoryRead(
    users=(user("100"), user("101"), user("102")),
    queues=(
        QueueRow(1, "800", "Sales", (AgentRow("101"), AgentRow("100")), ("102",)),
        QueueRow(2, "801", "Empty"),
    ),
    ring_groups=(RingGroupRow(3, "600", "All", ("100", "101")), RingGroupRow(4, "601", "None")),
    ivrs=(),
    trunks=(),
    departments=(
        DepartmentRow(5, "Sales", "GRP1", ("100", "101")),
        DepartmentRow(6, "Other", "GRP2"),
    ),
    inbound_rules=(),
    system=SystemRow(),
    at=10.0,
)


NAMED = DirectoryPatch(20.0, users={"101": user("101", "Ada")})


def names(read: DirectoryRead) -> dict[str, str]:
    return {row.number: row.first_name for row in read.users}


def test_a_row_takes_its_place_and_all_else_stays() -> None:
    after = NAMED.apply_to(READ)
    assert names(after) == {"100": "", "101": "Ada", "102": ""}
    assert after.at == 20.0
    assert (after.queues, after.ring_groups, after.departments) == (
        READ.queues,
        READ.ring_groups,
        READ.departments,
    )


def test_who_comes_joins_his_departments_and_who_goes_leaves_them() -> None:
    come = DirectoryPatch(
        20.0, users={"103": user("103")}, joined={"103": frozenset((5, 99))}
    ).apply_to(READ)
    assert [row.number for row in come.users] == ["100", "101", "102", "103"]
    assert [row.members for row in come.departments] == [("100", "101", "103"), ()]
    again = DirectoryPatch(21.0, joined={"103": frozenset((5,))}).apply_to(come)
    assert [row.members for row in again.departments] == [("100", "101", "103"), ()]
    gone = DirectoryPatch(22.0, users={"100": None}).apply_to(again)
    assert [row.number for row in gone.users] == ["101", "102", "103"]
    assert [row.members for row in gone.departments] == [("101", "103"), ()]


def test_queues_and_ring_groups_are_replaced_or_gone() -> None:
    changed = QueueRow(1, "800", "Sales", (AgentRow("102"),))
    after = DirectoryPatch(20.0, queues={"800": changed}, ring_groups={"600": None}).apply_to(READ)
    assert after.queues == (changed, READ.queues[1])
    assert after.ring_groups == READ.ring_groups[1:]


def test_where_an_extension_is_listed() -> None:
    assert listing(READ, "101") == (frozenset(("800",)), frozenset(("600",)))
    assert listing(READ, "102") == (frozenset(("800",)), frozenset())
    assert listing(READ, "103") == (frozenset(), frozenset())


class Desk:
    def __init__(self) -> None:
        self.told: list[object] = []
        self.known = DirectoryCache(self.told.append)

    @property
    def last(self) -> DirectoryRead:
        last = self.told[-1]
        assert isinstance(last, DirectoryRead)
        return last


def test_a_reading_asked_for_before_a_change_does_not_bring_the_old_state_back() -> None:
    desk = Desk()
    desk.known.directory_asked()
    desk.known.directory_read(READ)
    desk.known.directory_asked()
    desk.known.amended(NAMED)
    assert names(desk.last)["101"] == "Ada"
    desk.known.amended(DirectoryPatch(21.0, users={"100": None}))
    desk.known.directory_read(READ)
    assert names(desk.last) == {"101": "Ada", "102": ""}


def test_a_reading_asked_for_after_it_is_believed() -> None:
    desk = Desk()
    desk.known.directory_read(READ)
    desk.known.amended(NAMED)
    desk.known.directory_asked()
    desk.known.directory_read(READ)
    assert desk.last == READ


def test_a_change_before_the_first_reading_is_told_with_it() -> None:
    desk = Desk()
    desk.known.directory_asked()
    desk.known.amended(NAMED)
    assert desk.told == []
    desk.known.directory_read(READ)
    assert names(desk.last)["101"] == "Ada"


BOOK = ContactsRead((Contact(1, "A"), Contact(2, "B")))


def test_an_unchanged_book_is_told_once() -> None:
    desk = Desk()
    for _ in range(2):
        desk.known.contacts_asked()
        desk.known.contacts_read(BOOK)
    assert desk.told == [BOOK]


def test_a_book_asked_for_before_changes_contains_them() -> None:
    desk = Desk()
    desk.known.contacts_asked()
    changes = [
        ContactChanged(1, None, 20.0),
        ContactChanged(2, Contact(2, "New"), 21.0),
        ContactChanged(3, Contact(3, "C"), 22.0),
        ContactChanged(4, None, 23.0),
    ]
    for change in changes:
        desk.known.contact_read(change)
    desk.known.contacts_read(BOOK)
    assert desk.told == [*changes, ContactsRead((Contact(2, "New"), Contact(3, "C")))]


def test_after_a_change_the_next_book_is_told_whatever_it_says() -> None:
    desk = Desk()
    desk.known.contacts_read(BOOK)
    desk.known.contact_read(ContactChanged(1, None, 20.0))
    desk.known.contacts_asked()
    desk.known.contacts_read(BOOK)
    assert desk.told[-1] == BOOK
