from __future__ import annotations

from monitor.pbx.facts import (
    ContactChanged,
    ContactsRead,
    DirectoryRead,
)
from monitor.pbx.xapi.directory_cache import DirectoryCache
from monitor.pbx.xapi.directory_patch import DirectoryPatch
from monitor.shared.entities.topics import Contact
from tests.monitor.pbx.xapi.test_directory_patch import NAMED, READ, names


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
