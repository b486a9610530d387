"""Test the three matching rules against a plain scan, and the cost of a look-up."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.shared import phone_numbers
from monitor.shared.entities.topics import Contact
from monitor.shared.phone_index import PhoneIndex, SubscriberIndex, digits
from tests.steps import steps


def scan(contacts: list[Contact], num: str, min_len: int | None) -> list[int]:
    """The documented rule, word by word, over every contact."""
    num = digits(num)

    def common(number: str) -> int:
        count = 0
        while count < min(len(num), len(number)) and num[-1 - count] == number[-1 - count]:
            count += 1
        return count

    if not num:
        return []
    numbers = [(c.id, digits(n)) for c in contacts for n in c.numbers if digits(n)]
    if min_len is None or min_len > len(num):
        return sorted({id_ for id_, number in numbers if number == num})
    if min_len in (0, len(num)):
        return sorted({id_ for id_, number in numbers if number.endswith(num)})
    longest = max((common(number) for _, number in numbers), default=0)
    return sorted(
        {id_ for id_, number in numbers if longest >= min_len and common(number) == longest}
    )


_number = st.text("0123+- ()", max_size=7)
_contacts = st.lists(
    st.builds(
        Contact,
        id=st.integers(1, 30),
        phone=_number,
        data0=_number,
        data3=_number,
        data5=st.just("0123"),
    ),
    max_size=25,
    unique_by=lambda contact: contact.id,
)


@given(_contacts, _number, st.none() | st.integers(0, 9))
def test_find_agrees_with_a_scan_of_all_contacts(
    contacts: list[Contact], num: str, min_len: int | None
) -> None:
    assert PhoneIndex(contacts).find(num, min_len) == scan(contacts, num, min_len)


@given(_contacts, _contacts, st.sets(st.integers(1, 30)), _number, st.none() | st.integers(0, 9))
def test_an_index_kept_up_to_date_equals_one_made_anew(
    first: list[Contact], second: list[Contact], gone: set[int], num: str, min_len: int | None
) -> None:
    index = PhoneIndex(first)
    held = {contact.id: contact for contact in first}
    for contact in second:
        index.add(contact)
        held[contact.id] = contact
    for id_ in gone:
        index.remove(Contact(id=id_))
        held.pop(id_, None)
    assert index.find(num, min_len) == scan(list(held.values()), num, min_len)
    assert len(index) == len(held)


def named_by_scan(contacts: list[Contact], num: str) -> str:
    """The one name of the contacts with this number as written, else in another notation."""
    number = phone_numbers.parse(num)
    if number is None:
        return ""
    held = {
        contact: [
            found
            for written in contact.numbers
            for part in phone_numbers.several(written)
            if (found := phone_numbers.parse(part)) is not None
        ]
        for contact in contacts
    }
    exact = [contact for contact, numbers in held.items() if number in numbers]
    names = {
        contact.display_name
        for contact in exact
        or (
            contact
            for contact, numbers in held.items()
            if any(phone_numbers.same_subscriber(number, other) for other in numbers)
        )
    }
    return names.pop() if len(names) == 1 else ""


_notation = st.sampled_from(
    ("+4930123456", "004930123456", "030123456", "30123456", "4930123456", "+730123456", "115")
)
_named = st.lists(
    st.builds(
        Contact,
        id=st.integers(1, 9),
        firstname=st.sampled_from(("", "Ann", "Bob")),
        phone=_notation | st.just(""),
        data3=_notation | st.just("030123456, 040987654"),
    ),
    max_size=6,
    unique_by=lambda contact: contact.id,
)


@given(_named, _named, st.sets(st.integers(1, 9)), _notation)
@example([Contact(1, "Ann", data3="115"), Contact(2, "Ann", data3="115")], [], {1}, "115")
def test_a_name_is_the_one_that_a_scan_of_all_contacts_finds(
    first: list[Contact], second: list[Contact], gone: set[int], num: str
) -> None:
    index = PhoneIndex(first)
    assert index.name(num) == named_by_scan(first, num)
    held = {contact.id: contact for contact in first}
    for contact in second:
        index.add(contact)
        held[contact.id] = contact
    for id_ in gone:
        index.remove(Contact(id=id_))
        held.pop(id_, None)
    assert index.name(num) == named_by_scan(list(held.values()), num)


@pytest.mark.parametrize("names", ["one name", "many names"])
@pytest.mark.parametrize("num", ["+4930123456", "030123456"], ids=["as written", "other notation"])
def test_the_name_of_a_number_costs_the_same_however_many_share_it(num: str, names: str) -> None:
    def cost(size: int) -> int:
        many = names == "many names"
        index = PhoneIndex(
            Contact(id=n, firstname=f"Ann {n if many else 0}", phone="+4930123456")
            for n in range(size)
        )
        assert index.name(num) == ("" if many else "Ann 0")
        return steps(lambda: index.name(num))

    assert cost(4_000) == cost(1_000)


def test_a_number_that_is_removed_leaves_nothing_behind() -> None:
    index: SubscriberIndex[str] = SubscriberIndex()
    number, other = phone_numbers.parse("+4930123456"), phone_numbers.parse("030123456")
    assert number is not None
    assert other is not None
    index.add(number, "a")
    index.add(number, "a")
    index.add(other, "b")
    assert (list(index.exact(other)), sorted(index.find(other))) == (["b"], ["a", "b"])
    index.remove(number, "a")
    assert sorted(index.find(other)) == ["a", "b"], "it was added twice"
    index.remove(number, "a")
    index.remove(other, "b")
    assert (index._values, index._notations) == ({}, {})


def test_a_number_written_in_another_way_still_names_its_subscriber() -> None:
    index = PhoneIndex([Contact(id=1, firstname="Anna", lastname="Weiß", phone="+49 30 1234567")])
    assert index.name("0301234567") == "Anna Weiß"
    assert index.name("+49301234567") == "Anna Weiß"
    assert index.name("1234567") == ""


def test_a_number_shared_by_two_names_names_nobody() -> None:
    index = PhoneIndex(
        [Contact(id=1, firstname="Anna", data3="555"), Contact(id=2, company="ACME", data3="555")]
    )
    assert index.find("555") == [1, 2]
    assert index.name("555") == ""


def test_a_look_up_reads_only_what_matches() -> None:
    class Counting(list[tuple[str, int]]):
        reads = 0

        def __getitem__(self, at: object) -> object:  # type: ignore[override]  # counts, then reads
            Counting.reads += 1
            return super().__getitem__(at)  # type: ignore[call-overload]  # whatever the caller asked for

    index = PhoneIndex(Contact(id=n, phone=f"+7495{n:07d}") for n in range(100_000))
    index._tails = Counting(index._tails)
    assert index.find("0012345", 7) == [12345]
    assert index.find("99990012345", 5) == [12345]
    assert Counting.reads < 200
