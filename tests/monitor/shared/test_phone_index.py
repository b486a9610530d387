"""Test the three matching rules against a plain scan, and the cost of a look-up."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.entities.topics import Contact
from monitor.shared.phone_index import PhoneIndex, digits


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
