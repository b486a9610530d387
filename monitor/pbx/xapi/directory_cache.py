"""Keep the last directory and address book, and what commands have changed since.

A whole reading takes seconds, and a command may change something meanwhile. Then the rows that
the command changed are read again. They are newer than the whole reading, which was asked for
before. So they replace its rows, and nothing old comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitor.pbx.facts import ContactChanged, ContactsRead, DirectoryRead
from monitor.pbx.xapi.directory_patch import DirectoryPatch


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
