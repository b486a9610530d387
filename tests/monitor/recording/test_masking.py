"""Test that equal values have equal substitutes, and that no substitute reveals its value."""

from __future__ import annotations

import re
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.recording.masking import Mask

DNS = {"101", "102", "800", "10000", "777"}
NUMBERS = st.text(alphabet=string.digits, min_size=1, max_size=15)
SALTS = st.binary(min_size=16, max_size=16)


@given(salt=SALTS, number=NUMBERS)
def test_a_number_gets_another_of_its_length_that_is_no_dn(salt: bytes, number: str) -> None:
    other = Mask(salt, DNS).number(number)
    if number in DNS:
        assert other == number
    else:
        assert other != number
        assert len(other) == len(number)
        assert other.isdigit()
        assert other not in DNS


@given(salt=SALTS, number=st.text(alphabet=string.digits, min_size=7, max_size=15))
def test_no_digit_of_an_outside_number_stays_in_its_place(salt: bytes, number: str) -> None:
    assert all(old != new for old, new in zip(number, Mask(salt, DNS).number(number), strict=True))


@given(
    salt=SALTS,
    numbers=st.sets(st.text(alphabet=string.digits, min_size=7, max_size=9), max_size=30),
)
def test_different_numbers_stay_different(salt: bytes, numbers: set[str]) -> None:
    mask = Mask(salt, DNS)
    assert len({mask.number(number) for number in numbers}) == len(numbers)


@given(
    salt=SALTS,
    prefix=st.sampled_from(["+49", "0049", "0"]),
    end=st.text(string.digits, min_size=7, max_size=10),
)
def test_numbers_that_end_alike_end_alike_afterwards(salt: bytes, prefix: str, end: str) -> None:
    mask = Mask(salt, DNS)
    assert mask.number(prefix + end).endswith(mask.number(end))


@given(salt=SALTS, text=st.text(max_size=40))
def test_a_text_keeps_its_length_and_the_kinds_of_its_letters(salt: bytes, text: str) -> None:
    other = Mask(salt, DNS).text(text)
    assert len(other) == len(text)
    for old, new in zip(text, other, strict=True):
        if unicodedata.category(old) in ("Lu", "Ll"):
            assert unicodedata.category(new) in (unicodedata.category(old), "Ll")
        elif unicodedata.category(old)[0] not in "LMN":
            assert new == old


@pytest.mark.parametrize("name", ["John Smith", "Мария Петрова", "Ödön Őszi", "李小龍"])
def test_the_same_name_is_the_same_whatever_stands_around_it(name: str) -> None:
    mask = Mask(b"some salt or other", DNS)
    first, *last = name.split()
    assert mask.text(f"101 {name} (Sales)") == f"101 {mask.text(name)} ({mask.text('Sales')})"
    if last:
        assert mask.text(f"{last[0]}, {first}") == f"{mask.text(last[0])}, {mask.text(first)}"
    assert not set(mask.text(name).split()) & set(name.split())


def test_another_salt_makes_another_substitute() -> None:
    assert Mask(b"a" * 16).number("4915112345678") != Mask(b"b" * 16).number("4915112345678")


def test_who_hides_his_number_stays_hidden() -> None:
    mask = Mask(b"salt", ["10000"])
    assert mask.value("anonymous") == "anonymous"
    for word in ("Anonymous", "Restricted", "unavailable"):
        assert mask.text(f"10000 skyetel ({word})").endswith(f"({word})")


def test_the_words_that_the_pbx_itself_writes_stay() -> None:
    mask = Mask(b"salt", ["10000", "SP11", "crmintegration"])
    assert mask.text("SP11 Shared").startswith("SP11 ")
    assert mask.text("crmintegration") == "crmintegration"
    assert mask.text("MakeCall") == "MakeCall"
    masked = mask.text("10000 skyetel (sip:+49301234567@sip.example)")
    assert re.search(r" [(]sip:[+][0-9]{11}@sip[.]", masked)
    assert "+49301234567" not in masked
