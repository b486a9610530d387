from __future__ import annotations

import pytest

from monitor.pbx.facts import ContactChanged, ContactsRead
from monitor.shared.entities.topics import Contact
from tests.monitor.tracking.pbx_facts import Told

ADA = Contact(1, "Ada", phone="+49301234")
BOOK = ContactsRead((ADA, Contact(2, "Bob", phone="+49305678")))


def names(told: Told) -> set[str]:
    return {leg.party_name for leg in told.call(7).legs}


def ringing() -> Told:
    """Somebody calls extension 101 from a number of the address book."""
    told = Told()
    told.tell(BOOK)
    told.see("101", 1, 7, "Ringing", "10000:+49301234")
    return told


@pytest.mark.parametrize("written", ["+493055512", "+49 30 55512", "tel:+49-30-55512"])
def test_a_caller_whose_name_is_its_own_number_has_no_name(written: str) -> None:
    told = Told()
    told.see("101", 1, 7, "Ringing", "10000:+493055512", party_caller_name=written)
    assert names(told) == {""}
    told.see("101", 1, 7, "Ringing", "10000:+493055512", party_caller_name="Zoe 22")
    assert "Zoe 22" in names(told)


def test_a_caller_has_its_name_at_the_phone_that_rings_though_only_rows_tell_of_it() -> None:
    told = Told(source="activecalls")
    told.tell(BOOK)
    told.rows((7, "10000 Trunk (+49301234)", "101 Ann", "Ringing"))
    assert {leg.dn_num: leg.party_name for leg in told.call(7).legs}["101"] == "Ada"


def test_a_caller_has_its_name_at_a_phone_whose_leg_does_not_tell_who_calls() -> None:
    told = Told()
    told.tell(BOOK)
    told.rows((7, "10000 Trunk (+49301234)", "101 Ann", "Routing"))
    told.see("101", 1, 7, "Ringing", "", 4)
    assert {leg.dn_num: leg.party_name for leg in told.call(7).legs}["101"] == "Ada"


def test_a_contact_that_is_changed_is_that_one_edit_and_names_the_calls_that_go_on() -> None:
    told = ringing()
    assert "Ada" in names(told)
    edits = told.tell(ContactChanged(1, Contact(1, "Augusta", phone="+49301234"), told.now))
    assert [edit.id for edit in edits if edit.topic == "contacts"] == ["1"]
    assert "Augusta" in names(told)
    assert "Ada" not in names(told)


def test_a_contact_that_gets_another_number_names_other_calls() -> None:
    told = ringing()
    told.tell(ContactChanged(1, Contact(1, "Ada", phone="+49309999"), told.now))
    assert "Ada" not in names(told)
    told.tell(ContactChanged(2, Contact(2, "Bob", phone="+49301234"), told.now))
    assert "Bob" in names(told)


def test_a_contact_that_is_gone_names_nobody() -> None:
    told = ringing()
    told.tell(ContactChanged(1, None, told.now))
    assert set(told.tracker.book["contacts"]) == {"2"}
    assert "Ada" not in names(told)
    assert told.tell(ContactChanged(1, None, told.now)) == ()


def test_a_contact_that_is_new_joins_those_that_there_are() -> None:
    told = ringing()
    edits = told.tell(ContactChanged(3, Contact(3, "Eve", phone="1"), told.now))
    assert [(edit.topic, edit.id) for edit in edits] == [("contacts", "3")]
    assert told.tell(ContactChanged(3, Contact(3, "Eve", phone="1"), told.now)) == ()
    assert [edit.id for edit in told.tell(BOOK)] == ["3"]


def test_a_contact_before_the_first_reading_does_no_harm() -> None:
    told = Told()
    told.tell(ContactChanged(1, ADA, told.now))
    assert [edit.id for edit in told.tell(BOOK)] == ["2"]


def test_a_book_in_which_little_has_changed_is_not_indexed_anew() -> None:
    told = ringing()
    many = tuple(Contact(n, f"Eve {n}", phone=f"+4940{n:05}") for n in range(10, 400))
    told.tell(ContactsRead((*BOOK.contacts, *many)))
    index = told.tracker._pbx_state.phones
    for name, book in (
        ("Augusta", (Contact(1, "Augusta", phone="+49301234"), *BOOK.contacts[1:], *many)),
        ("Eve 9", (Contact(9, "Eve 9", phone="030 1234"), *BOOK.contacts[1:], *many[:-1])),
    ):
        told.tell(ContactsRead(book))
        assert name in names(told)
        assert told.tracker._pbx_state.phones is index
    assert index.find("4940", 0) == []
    assert len(index) == 391
    told.tell(BOOK)
    assert "Ada" in names(told)
    assert len(told.tracker._pbx_state.phones) == 2
