"""Fields of JSON that nobody vouches for."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.parsing.json_fields import (
    LONGEST_NUMBER,
    LONGEST_TEXT,
    dn_number,
    flag,
    integer,
    objects,
    outside_number,
    posix,
    record,
    tell_too_long,
    text,
    texts,
    whole,
)
from monitor.shared import phone_numbers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("101", "101"), (101, "101"), (True, ""), (None, ""), (1.5, ""), (["101"], ""), ("", "")],
)
def test_a_number_may_stand_for_a_text(value: Any, expected: str) -> None:
    assert text({"x": value}, "x") == expected
    assert text({}, "x") == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        (" -7 ", -7),
        (7.0, 7),
        (7.5, None),
        ("7.0", None),
        ("", None),
        ("-", None),
        ("--7", None),
        ("٧", None),
        ("²", None),
        ("1_000", None),
        (True, None),
        (None, None),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (str(-(2**63)), -(2**63)),
        ("9" * 20, None),
        ("1" * 5_000, None),
        (float("inf"), None),
        (float("nan"), None),
        (1e300, None),
    ],
)
def test_an_integer_fits_in_64_bits_or_is_none(value: Any, expected: int | None) -> None:
    assert whole(value) == integer({"x": value}, "x") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (0, False),
        (1, True),
        (2, None),
        ("True", True),
        (" false ", False),
        ("yes", None),
        ("1", None),
        (1.0, None),
        (None, None),
    ],
)
def test_yes_and_no_are_nothing_else(value: Any, expected: bool | None) -> None:
    assert flag({"x": value}, "x") is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-04T03:15:00Z", 1_772_594_100.0),
        ("2026-03-04T03:15:00.1234567+00:00", 1_772_594_100.123456),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.9999999Z", None),
        ("2026-03-04T03:15:00", None),
        ("soon", None),
        (1_772_594_100, None),
        (None, None),
    ],
)
def test_nets_words_for_never_are_none(value: Any, expected: float | None) -> None:
    assert posix({"x": value}, "x") == expected


def test_objects_are_found_among_anything() -> None:
    assert list(objects([{"a": 1}, None, [], "x", {}])) == [{"a": 1}, {}]
    assert list(objects({"a": 1})) == list(objects(None)) == []
    assert record({"x": {"a": 1}}, "x") == {"a": 1}
    assert record({"x": [1]}, "x") == record({}, "x") == {}


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    whole_, long = "x" * LONGEST_TEXT, "x" * 1_000_000
    assert text({"x": whole_}, "x") == whole_
    assert text({"x": long}, "x") == "x" * (LONGEST_TEXT - 1) + "…"
    assert text({"x": 10**4_000}, "x") == "1" + "0" * (LONGEST_TEXT - 2) + "…"
    assert texts({"x": ["a", 1, long, None]}, "x") == ("a", text({"x": long}, "x"))
    assert texts({"x": long}, "x") == texts({}, "x") == ()


def test_a_dn_that_is_too_long_is_no_dn_as_its_beginning_would_be_another() -> None:
    whole_ = "1" * LONGEST_NUMBER
    assert dn_number({"x": whole_}, "x") == whole_
    assert dn_number({"x": whole_ + "1"}, "x") == ""
    assert dn_number({"x": 101}, "x") == "101"


def test_an_outside_number_that_is_too_long_is_shown_but_is_nobodys_number() -> None:
    whole_ = "1" * LONGEST_NUMBER
    assert outside_number({"x": whole_}, "x") == whole_
    cut = outside_number({"x": whole_ + "1"}, "x")
    assert cut == "1" * (LONGEST_NUMBER - 1) + "…"
    assert phone_numbers.parse(cut) is None


def test_each_field_that_is_too_long_is_told_once() -> None:
    told: list[dict[str, object]] = []

    def read() -> None:
        tell_too_long(lambda **fields: told.append(fields))
        for _ in range(3):
            text({"name": "x" * 2_000}, "name")
            dn_number({"dn": "1" * 300}, "dn")
            text({"short": "x"}, "short")

    contextvars.copy_context().run(read)
    assert told == [{"field": "name", "length": 2_000}, {"field": "dn", "length": 300}]
    text({"other": "x" * 2_000}, "other")  # another PBX's: nobody asked to be told of it here
    assert len(told) == 2


@given(JSON)
def test_no_value_whatever_breaks_a_reader(value: Any) -> None:
    row = {"x": value}
    assert isinstance(text(row, "x"), str)
    assert type(integer(row, "x")) in (int, type(None))
    assert flag(row, "x") in (True, False, None)
    found = posix(row, "x")
    assert found is None or 0 < found < 2**53
    assert all(isinstance(one, dict) for one in objects(value))
    assert isinstance(record(row, "x"), dict)
