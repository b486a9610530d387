"""Values compared and ordered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.simulator.xapi.odata.filter import parse_orderby
from monitor.simulator.xapi.odata.operators import ODataError, call, equal, ordered, truth
from tests.monitor.simulator.xapi.odata.test_filter import _ROWS


def test_rows_are_ordered_by_several_keys_with_null_first() -> None:
    rows = [{"a": 2, "b": "x"}, {"a": None, "b": "y"}, {"a": 1, "b": "x"}, {"a": 1, "b": "Z"}]
    assert parse_orderby("a, tolower(b) desc")(rows) == [rows[1], rows[3], rows[2], rows[0]]
    assert parse_orderby("a desc,b asc")(rows) == [rows[0], rows[3], rows[2], rows[1]]


def test_rows_that_have_no_order_are_an_error() -> None:
    with pytest.raises(ODataError):
        parse_orderby("a")([{"a": {}}, {"a": {}}])
    with pytest.raises(ODataError):
        parse_orderby("a")([{"a": 1}, {"a": "x"}])


@given(st.lists(_ROWS, max_size=8), st.booleans(), st.booleans())
def test_an_order_is_pythons(
    rows: list[dict[str, Any]], first_down: bool, second_down: bool
) -> None:
    def key(name: str) -> Callable[[dict[str, Any]], Any]:
        return lambda row: (row[name] is not None, row[name] or ("" if name == "T" else 0))

    expected = sorted(rows, key=key("T"), reverse=second_down)
    expected = sorted(expected, key=key("N"), reverse=first_down)
    words = {True: "desc", False: "asc"}
    assert parse_orderby(f"N {words[first_down]},T {words[second_down]}")(rows) == expected


NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, True, True),
        (None, None, True),
        (None, "a", False),
        ("2026-03-04T14:00:00+02:00", NOON, True),
        (NOON, "2026-03-04T12:00:00", True),
        ("a", "A", False),
    ],
)
def test_values_are_the_same_whatever_way_they_are_written(
    one: object, other: object, same: bool
) -> None:
    assert equal(one, other) is same


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (True, 1), ("a", NOON), ([], "a")])
def test_values_of_different_types_are_not_compared(one: object, other: object) -> None:
    with pytest.raises(ODataError):
        equal(one, other)


@pytest.mark.parametrize("word", ["lt", "le", "gt", "ge"])
def test_null_is_neither_smaller_nor_greater(word: str) -> None:
    assert not ordered(word, None, 1)
    assert not ordered(word, 1, None)
    assert not ordered(word, None, None)


def test_what_has_no_order_is_an_error() -> None:
    with pytest.raises(ODataError, match="cannot be compared by 'lt'"):
        ordered("lt", {}, {})
    with pytest.raises(ODataError, match="boolean is expected"):
        truth(1)


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        ("substring", ["hello", 1], "ello"),
        ("substring", ["hello", -3, 2], "he"),
        ("substring", ["hello", 1, -1], ""),
        ("substring", ["hello", 9], ""),
        ("indexof", ["hello", "x"], -1),
        ("contains", [None, "x"], None),
        ("length", [""], 0),
    ],
)
def test_functions_take_any_numbers_and_null_makes_null(
    function: str, values: list[object], expected: object
) -> None:
    assert call(function, values) == expected


def test_an_argument_of_another_type_is_an_error() -> None:
    with pytest.raises(ODataError, match="No function signature for 'tolower'"):
        call("tolower", [5])
