"""Contacts, looked up by number."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.simulator.pbx_data.address_book import Book
from monitor.simulator.pbx_data.templates import contact
from tests.monitor.simulator.pbx_data.test_directory import _DIGITS

_PHONES = st.tuples(_DIGITS, _DIGITS | st.just(""))


@settings(max_examples=150)
@given(
    st.lists(_PHONES, max_size=8),
    st.lists(st.tuples(st.integers(1, 8), _PHONES | st.none()), max_size=6),
    _DIGITS,
    st.booleans(),
)
def test_contacts_are_found_as_by_looking_at_each(
    phones: list[tuple[str, str]],
    changes: list[tuple[int, tuple[str, str] | None]],
    asked: str,
    early: bool,
) -> None:
    book = Book()
    for mobile, business in phones:
        book.add(
            contact("A", phone=f"+{mobile}") | {"Business": f"({business[:2]}) {business[2:]}"}
        )
    if early:
        book.find(asked, "exact")
    for contact_id, change in changes:
        if contact_id in book.contacts and change is None:
            book.remove(contact_id)
        elif contact_id in book.contacts and change is not None:
            book.update(contact_id, {"PhoneNumber": change[0], "Business": change[1]})

    def numbers(entry: dict[str, str]) -> set[str]:
        texts = ("".join(filter(str.isdigit, entry[name])) for name in ("PhoneNumber", "Business"))
        return {text for text in texts if text}

    exact = [key for key, entry in sorted(book.contacts.items()) if asked in numbers(entry)]
    tail = [
        key
        for key, entry in sorted(book.contacts.items())
        if any(number.endswith(asked) or asked.endswith(number) for number in numbers(entry))
    ]
    assert [entry["Id"] for entry in book.find(f"+{asked}", "exact")] == exact
    assert [entry["Id"] for entry in book.find(asked, "tail")] == tail
    assert book.find("no digits", "tail") == []
