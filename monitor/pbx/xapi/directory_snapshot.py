"""What was last read of the directory and the address book, and what commands have changed since.

A whole reading takes seconds, and a command may change something meanwhile. What was read again after that is newer
than the whole reading, which was asked for before: it takes its place there too, so that nothing old comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitor.pbx.facts import ContactChanged, ContactsRead, DirectoryRead
from monitor.pbx.xapi.directory_patch import DirectoryPatch


class DirectorySnapshot:
    """Tells by ``emit`` whatever it takes in. What a reading could miss is kept until the next one begins."""

    def __init__(self, emit: Callable[[DirectoryRead | ContactsRead | ContactChanged], None]) -> None:
        self._emit = emit
        self.directory: DirectoryRead | None = None
        """None before the first reading."""
        self._contacts: ContactsRead | None = None
        self._amendments: list[DirectoryPatch] = []
        self._changes: dict[int, ContactChanged] = {}

    def directory_asked(self) -> None:
        """The whole directory is about to be read."""
        self._amendments.clear()

    def directory_read(self, read: DirectoryRead) -> None:
        """The whole directory, as asked for last."""
        for amendment in self._amendments:
            read = amendment.apply_to(read)
        self.directory = read
        self._emit(read)

    def amended(self, amendment: DirectoryPatch) -> None:
        """Some rows were read again. Before the first reading nothing is told of it."""
        self._amendments.append(amendment)
        if self.directory is not None:
            self.directory = amendment.apply_to(self.directory)
            self._emit(self.directory)

    def contacts_asked(self) -> None:
        """The whole address book is about to be read."""
        self._changes.clear()

    def contacts_read(self, read: ContactsRead) -> None:
        """The whole address book, as asked for last; told if it is another than the last one."""
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
        """One contact was read again."""
        self._changes[change.id] = change
        self._contacts = None  # the next whole reading is told whatever it says: this one is not in the last
        self._emit(change)
