"""Entries of the address book."""

from __future__ import annotations

import pytest

from monitor.shared.codec import from_json, to_json
from monitor.shared.entities.contacts import Contact


def test_all_its_numbers_are_found_and_its_mail_address_is_none() -> None:
    fields = {f"data{place}": f"+4930{place}" for place in range(10)} | {"phone": "+49171"}
    numbers = Contact(1, **fields).numbers
    assert numbers == ("+49171", *(f"+4930{place}" for place in range(10) if place != 5))


def test_what_is_empty_or_unknown_is_no_number() -> None:
    assert Contact(1, data0="", data2=None, data3="+4930").numbers == ("+4930",)
    assert Contact(1).numbers == ()


@pytest.mark.parametrize(
    ("first", "last", "company", "shown"),
    [
        ("Ada", "Lovelace", "Engines", "Ada Lovelace"),
        ("", "Lovelace", "Engines", "Lovelace"),
        ("Ada", "", "", "Ada"),
        ("", "", "Engines", "Engines"),
        ("", "", "", ""),
    ],
)
def test_a_company_is_shown_where_there_is_no_person(
    first: str, last: str, company: str, shown: str
) -> None:
    assert Contact(1, first, last, company).display_name == shown


def test_its_fields_have_their_documented_names() -> None:
    told = from_json(to_json(Contact(7, "Ada")))
    assert list(told) == [
        "id",
        "firstname",
        "lastname",
        "company",
        "tag",
        "phone",
        *(f"data{place}" for place in range(10)),
    ]
