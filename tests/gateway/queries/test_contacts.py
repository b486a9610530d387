"""The queries about the address book."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.errors import UnknownContact
from gateway.operations.operation_table import COMMANDS
from gateway.queries import contacts
from gateway.queries.context import QueryContext
from gateway.visibility import EVERYTHING, Limits, Visibility
from monitor.shared.entities.topics import Entity
from monitor.shared.phone_index import PhoneIndex
from tests.gateway import world
from tests.steps import steps

LIMITED = Visibility(Limits(frozenset({"101"})))


def asked(
    name: str, arguments: dict[str, str], visibility: Visibility = EVERYTHING
) -> QueryContext:
    return world.asked(
        arguments=COMMANDS[name].check(list(arguments.items())), visibility=visibility
    )


@pytest.mark.parametrize(
    ("num", "min_len", "ids"),
    [
        ("555-1234", None, (40,)),
        ("5551234", "7", (12, 40)),
        ("5551234", "0", (12, 40)),
        ("5551234", "9", (40,)),
        ("1234", "4", (12, 40, 41)),
        ("030 555 1234", None, (12,)),
        ("0", None, ()),
    ],
)
def test_contacts_are_found_by_the_endings_of_their_numbers(
    num: str, min_len: str | None, ids: tuple[int, ...]
) -> None:
    more = {} if min_len is None else {"min_len": min_len}
    assert contacts.contact_find(asked("contact.find", {"num": num} | more)).ids == ids


def test_what_the_index_still_finds_but_the_book_has_no_more_is_left_out() -> None:
    question = asked("contact.find", {"num": "5551234", "min_len": "7"})
    del question.book["contacts"]["12"]
    assert contacts.contact_find(question).ids == (40,)


def test_of_the_contacts_that_are_found_only_the_number_is_looked_at() -> None:
    question = asked("contact.find", {"num": "1", "min_len": "0"})
    [contact] = [contact for contact in world.contacts() if contact.id == 12]
    many = {str(id_): msgspec.structs.replace(contact, id=id_, phone="1") for id_ in range(1000)}
    question = replace(
        question, book={"contacts": dict[str, Entity](many)}, phonebook=PhoneIndex(many.values())
    )
    assert len(contacts.contact_find(question).ids) == 1000
    found = steps(lambda: question.phonebook.find("1", 0))
    assert steps(lambda: contacts.contact_find(question)) < 3 * found


def test_a_contact_is_told_whole() -> None:
    [anna] = [contact for contact in world.contacts() if contact.id == 12]
    assert contacts.contact_get(asked("contact.get", {"id": "12"})) == anna
    assert contacts.contact_get(asked("contact.get", {"id": "0012"})) == anna


@pytest.mark.parametrize("id_", ["13", "0", "9007199254740991"])
def test_a_contact_that_there_is_not_is_named(id_: str) -> None:
    with pytest.raises(UnknownContact, match=f"There is no contact {id_}."):
        contacts.contact_get(asked("contact.get", {"id": id_}))


def test_a_limited_key_has_no_address_book() -> None:
    found = contacts.contact_find(
        asked("contact.find", {"num": "5551234", "min_len": "7"}, LIMITED)
    )
    assert found.ids == ()
    with pytest.raises(UnknownContact):
        contacts.contact_get(asked("contact.get", {"id": "12"}, LIMITED))
