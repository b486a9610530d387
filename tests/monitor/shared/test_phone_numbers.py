"""Test how numbers are read: withheld, dialled, and whose they are."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.phone_numbers import (
    PhoneNumber,
    is_withheld,
    keys,
    parse,
    plain,
    readings,
    same_subscriber,
    several,
)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "anonymous", "Anonymous", "Restricted", "unavailable", "CLIR", "private-number"),
        *("+anonymous", "+", "-", "sip:@sip.example", "Unbekannt", "Скрытый номер", "N/A"),
        *("anonymous@anonymous.invalid", "sip:anonymous@anonymous.invalid;user=phone"),
        *('"Anonymous" <sip:anonymous@anonymous.invalid>', "<sip:Restricted@sip.example>"),
        "+anonymous",
    ],
)
def test_a_number_may_be_withheld(text: str) -> None:
    assert is_withheld(text)
    assert parse(text) is None


@pytest.mark.parametrize(
    "text", ["101", "+4930123", "Ann", "0", '"Anonymous" <sip:+4930123@sip.example>']
)
def test_what_says_something_is_not_withheld(text: str) -> None:
    assert not is_withheld(text)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+49 (0)30 1234567", "+49301234567"),
        ("0049 (0)30 1234567", "0049301234567"),
        ("(0)30 1234567", "0301234567"),
        ("030\u20111234567", "0301234567"),
        ("\u202a+49\u00a030\u202f1234567\u202c", "+49301234567"),
        ("tel:+49-30-1234567", "+49301234567"),
        ("tel:%2B49%2030%201234567", "+49301234567"),
        ("sip:+4930123@sip.example:5060", "+4930123"),
        ("+1 212 555 0100 ext. 42", "+12125550100"),
        ("+1 212 555 0100;ext=42", "+12125550100"),
        ("٠٣٠١٢٣٤٥٦٧", "0301234567"),
        ("*62", "*62"),
        ("#9*1", "#9*1"),
        ("Ann 42", "Ann 42"),
        ("1+2", "1+2"),
    ],
)
def test_notation_is_left_out_of_a_number(written: str, number: str) -> None:
    assert plain(written) == number


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("030 1234567 / 0171 2345678", ("030 1234567", "0171 2345678")),
        ("030 1234567; 0171 2345678", ("030 1234567", "0171 2345678")),
        ("030/1234567", ("030/1234567",)),
        ("+12125550100;ext=42", ("+12125550100;ext=42",)),
        ("Smith, 101", ("Smith, 101",)),
        ("030 1234567\n0171 2345678", ("030 1234567", "0171 2345678")),
        ("030 1234567 oder 0171 2345678", ("030 1234567", "0171 2345678")),
        ("+49 171/2345678", ("+49 171/2345678",)),
        ("+49 (0) 2241/12 34 56", ("+49 (0) 2241/12 34 56",)),
        ("0049 171/2345678", ("0049 171/2345678",)),
        ("033203/123456", ("033203/123456",)),
        ("0171/2345678 / 030/1234567", ("0171/2345678", "030/1234567")),
        ("040 123456/654321", ("040 123456", "654321")),
        ("+49301234567 +491712345678", ("+49301234567", "+491712345678")),
    ],
)
def test_a_field_may_hold_several_numbers(written: str, numbers: tuple[str, ...]) -> None:
    assert several(written) == numbers


@pytest.mark.parametrize("text", ["0", "000", "0000000000", "+0000000", "sip:0@sip.example"])
def test_nothing_but_zeros_is_nobodys_number(text: str) -> None:
    assert parse(text) is None
    assert readings(text) == ()


@pytest.mark.parametrize("before", ["*31#", "#31#", "*31*", "*67", "*67 "])
def test_what_withholds_the_own_number_is_no_part_of_the_one_that_is_dialled(before: str) -> None:
    assert parse(before + "0301234567") == PhoneNumber("", "0301234567")
    assert readings(before + "+49301234567") == readings("+49301234567")
    assert plain(before.strip() + "0301234567") == before.strip() + "0301234567", "dialled as it is"
    assert parse(before) is None


def test_a_calling_code_is_taken_off() -> None:
    assert parse("+49301234567") == PhoneNumber("49", "301234567")
    assert parse("0049301234567") == PhoneNumber("49", "301234567")
    assert parse("+12125550100") == PhoneNumber("1", "2125550100")
    assert parse("+37167123456") == PhoneNumber("371", "67123456")
    assert parse("0301234567") == PhoneNumber("", "0301234567")
    assert parse("+49") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+49301234567", "0301234567", True),
        ("+4722334455", "22334455", True),
        ("+74951234567", "84951234567", True),
        ("15153182968", "5153182968", True),
        ("+15153182968", "15153182968", True),
        ("+37051234567", "851234567", True),
        ("+5215512345678", "+525512345678", True),
        ("+5491123456789", "+541123456789", True),
        ("+5491123456789", "01123456789", True),
        ("01149301234567", "+49301234567", True),
        ("001149301234567", "+49301234567", True),
        ("810493012345678", "+493012345678", True),
        ("0111234567", "+391112345678", False),
        ("01123456789", "+23456789", False),
        ("8101234567", "+1234567", False),
        ("+390612345678", "0612345678", True),
        ("+49301234567", "+43301234567", False),
        ("+49301234567", "+493012345670", False),
        ("0301234567", "0401234567", False),
        ("+12125550100", "+13125550100", False),
        ("110", "+4930110", False),
        ("+49 (030) 1234567", "+49301234567", True),
        ("+49 030 1234567", "+49301234567", True),
        ("+39 (0)6 12345678", "+390612345678", True),
        ("06 1 234 5678", "+3612345678", True),
        ("8 0 17 123-45-67", "+375171234567", True),
        ("Office 030 1234567", "+49301234567", True),
        ("030 1234567 (home)", "+49301234567", True),
        ("+12125550100,,42#", "+12125550100", True),
        ("+49 30 1234567 Durchwahl 12", "+49301234567", True),
        ("tel:030-1234567;phone-context=+49", "0301234567", True),
        ("\uff0803\uff091234-5678", "0312345678", True),
        ("34567", "+49301234567", False),
    ],
)
def test_two_notations_may_name_one_subscriber(one: str, other: str, same: bool) -> None:
    left, right = parse(one), parse(other)
    assert left is not None
    assert right is not None
    assert same_subscriber(left, right) is same
    assert same_subscriber(right, left) is same


_numbers = st.from_regex(r"\+?[0-9]{1,14}", fullmatch=True)


@given(_numbers, _numbers)
def test_numbers_of_one_subscriber_share_a_key(one: str, other: str) -> None:
    left, right = parse(one), parse(other)
    if left is not None and right is not None and same_subscriber(left, right):
        assert keys(left) & keys(right)


def test_a_number_of_a_megabyte_is_cut_before_it_is_kept() -> None:
    for text in ("1" * 1_000_000, "+49 30 " + "1" * 1_000_000):
        number = parse(text)
        assert number is not None
        assert len(number.national) <= 200
        assert len(plain(text)) <= 200


@given(st.text(max_size=40))
def test_any_text_is_read(text: str) -> None:
    plain(text)
    several(text)
    parse(text)


def test_a_text_of_a_megabyte_costs_next_to_nothing() -> None:
    """Ten times the text may not cost a hundred times as much."""
    began = time.process_time()
    for text in ("(" * 1_000_000, "1 " * 500_000, "٠" * 1_000_000, "+49(0)" * 200_000):
        plain(text)
        parse(text)
    assert time.process_time() - began < 5.0
