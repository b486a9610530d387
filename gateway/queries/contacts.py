"""Answer the queries about the address book."""

from __future__ import annotations

from msgspec import Struct

from gateway.errors import UnknownContact
from gateway.queries.context import QueryContext
from monitor.shared.entities.topics import Contact


class Ids(Struct, frozen=True):
    """The answer of ``contact.find``."""

    ids: tuple[int, ...]


def contact_find(asked: QueryContext) -> Ids:
    """Return the contacts whose numbers match (``contact.find``); empty if there is none.

    ``min_len`` chooses the rule by which numbers match; see
    :class:`monitor.shared.phone_index.PhoneIndex`.
    """
    min_len = asked.arguments.optional("min_len")
    found = asked.phonebook.find(
        asked.arguments.text("num"), None if min_len is None else int(min_len)
    )
    # Nothing more is asked of each contact: tens of thousands may have the same ending.
    seen = asked.book.get("contacts", {}) if "contacts" in asked.visibility.topics else {}
    return Ids(tuple(id_ for id_ in found if str(id_) in seen))


def contact_get(asked: QueryContext) -> Contact:
    """Return a contact's fields (``contact.get``). Raises UnknownContact."""
    id_ = asked.arguments.whole("id")
    contact = asked.one("contacts", Contact, str(id_))
    if contact is None:
        raise UnknownContact(f"There is no contact {id_}.")
    return contact
