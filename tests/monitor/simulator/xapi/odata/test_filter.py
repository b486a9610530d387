from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.simulator.xapi.odata.filter import ODataError, parse_filter, parse_orderby, split

ROW = {
    "Id": 5,
    "Number": "101",
    "Name": "O'Brien, Anna",
    "AllowLanOnly": True,
    "Nothing": None,
    "Tags": ["MS", "AI"],
    "Gateway": {"Name": "skyetel", "Lines": 10},
    "Groups": [
        {"GroupId": 3, "Rights": {"RoleName": "users"}},
        {"GroupId": 9, "Rights": {"RoleName": "managers"}},
    ],
    "StartedAt": "2026-03-04T03:15:00.1234567Z",
    "Type": "Extension",
}


def matches(text: str, row: dict[str, Any] | None = None) -> bool:
    return parse_filter(text).matches(ROW if row is None else row)


@pytest.mark.parametrize(
    "text",
    [
        "Number eq '101'",
        "Number ne '102'",
        "Number  eq  '101' ",
        "Id gt 4 and Id ge 5 and Id lt 6 and Id le 5",
        "Id eq 5.0",
        "Id gt -5",
        "Id in (5)",
        "Number in ('100','101')",
        "Number in ( '101' )",
        "not (Number in ('1', '2'))",
        "AllowLanOnly",
        "AllowLanOnly eq true",
        "not (AllowLanOnly eq false)",
        "Name eq 'O''Brien, Anna'",
        "contains(Name,'Brien')",
        "startswith(tolower(Name),'o''b')",
        "endswith(toupper(Name),'ANNA') eq true",
        "length(trim(concat(' ',Number))) eq 3",
        "indexof(Number,'1') eq 0",
        "substring(Number,1) eq '01'",
        "substring(Number,1,1) eq '0'",
        "Nothing eq null",
        "Number ne null",
        "null eq null",
        "Gateway/Name eq 'skyetel' and Gateway/Lines ge 10",
        "Tags/any(t: t eq 'MS')",
        "Tags/any()",
        "Groups/any(g: g/GroupId eq 3 and g/Rights/RoleName eq 'users')",
        "Groups/all(g: g/GroupId gt Id or g/GroupId eq 3)",
        "StartedAt gt 2026-03-04T03:15:00Z and StartedAt lt 2026-03-04T05:15:01+02:00",
        "2026-03-04T03:15:00Z lt StartedAt",
        "Type eq Pbx.PeerType'Extension'",
        "Number EQ '101' AND NOT (Id LT 5)",
        "not(Id eq 6)",
        "not not AllowLanOnly",
        "Id lt 6 eq true",
        "Nothing in (1, null)",
        "Id in (5.0,-1.5e1)",
        "(Id eq 1 or Id eq 5) and (Number eq '101')",
        "Id eq 1 or Id eq 5 and Number eq '101'",
        " or ".join(f"Id eq {i}" for i in range(2000)),
    ],
)
def test_an_expression_takes_the_row(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "Number eq '102'",
        "Nothing gt 1",
        "Nothing le 1",
        "contains(Nothing,'a')",
        "not contains(Nothing,'a')",
        "Nothing eq 'a' or Id eq 6",
        "Gateway/Missing eq 1",
        "Nothing/any(x: x eq 1)",
        "Missing eq 'x'",
        "Groups/all(g: g/GroupId eq 3)",
    ],
)
def test_an_expression_leaves_the_row(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Number",
        "Number eq",
        "Number eq 101",
        "Id eq '5'",
        "Number is '101'",
        "contains(Number",
        "contains(Number)",
        "contains(Id,'5')",
        "frobnicate(Number)",
        "year(StartedAt) eq 2026",
        "Id add 1 eq 6",
        "Number eq 'a",
        "Id gt 'a'",
        "AllowLanOnly gt false and Id",
        "StartedAt gt 2026-13-04T03:15:00Z",
        "Name gt 2026-03-04T03:15:00Z",
        "Id eq 5;drop",
        "Gateway / Name eq 'skyetel'",
        "length (Number) eq 3",
        "length(Number,Number) eq 3",
        "substring(Number) eq 'x'",
        "Number in ()",
        "Number in ('101',)",
        "Tags/all()",
        "Id eq " + "9" * 5_000,
        "not " * 10_000 + "AllowLanOnly",
        " eq ".join(["true"] * 10_000),
        "Gateway" + "/a" * 10_000,
        "(" * 100_000,
    ],
)
def test_what_is_wrong_is_an_error(text: str) -> None:
    with pytest.raises(ODataError):
        matches(text)


def test_an_unknown_property_is_an_error_where_properties_are_known() -> None:
    parse_filter("Tags/any(t: t eq 'MS')", {"Tags"})
    with pytest.raises(ODataError, match="'Colour'"):
        parse_filter("Colour eq 'red'", {"Tags"})
    with pytest.raises(ODataError, match="'Colour'"):
        parse_orderby("Colour", {"Tags"})


def test_what_every_match_has_is_known_beforehand() -> None:
    assert parse_filter("Number eq '101'").pinned == {"Number": "101"}
    assert parse_filter("(Id eq 5) and contains(Name,'a') and Number eq '1'").pinned == {
        "Id": 5,
        "Number": "1",
    }
    assert parse_filter("Number eq '101' or Id eq 5").pinned == {}
    assert parse_filter("not (Number eq '101')").pinned == {}


def test_a_list_is_split_outside_of_quotes_and_parentheses() -> None:
    assert split("Id, Groups($select=Id,Name;$filter=Name eq 'a,(b') ,concat(a,b)") == [
        "Id",
        "Groups($select=Id,Name;$filter=Name eq 'a,(b')",
        "concat(a,b)",
    ]
    for text in ("Id,,Name", "", "Groups(", "a')"):
        with pytest.raises(ODataError):
            split(text)


# Against plain Python: each strategy gives an expression's text with the function that it should
# be.

Case = tuple[str, Callable[[dict[str, Any]], bool | None]]

_NUMBERS = st.none() | st.integers(-3, 3)
_TEXTS = st.none() | st.sampled_from(["", "a", "A", "b'c", "Анна", "ab"])
_ROWS = st.fixed_dictionaries(
    {"N": _NUMBERS, "M": _NUMBERS, "T": _TEXTS, "B": st.none() | st.booleans()}
)
_WORDS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _quoted(value: str | int | None) -> str:
    match value:
        case None:
            return "null"
        case int():
            return str(value)
        case text:
            return "'" + text.replace("'", "''") + "'"


@st.composite
def _comparisons(draw: st.DrawFn) -> Case:
    name, values = draw(st.sampled_from([("N", _NUMBERS), ("M", _NUMBERS), ("T", _TEXTS)]))
    value: Any = draw(values)
    word = draw(st.sampled_from([*_WORDS, "eq", "ne"]))

    def oracle(row: dict[str, Any]) -> bool:
        if word in ("eq", "ne"):
            return bool((row[name] == value) is (word == "eq"))
        return row[name] is not None and value is not None and _WORDS[word](row[name], value)

    return f"{name} {word} {_quoted(value)}", oracle


@st.composite
def _calls(draw: st.DrawFn) -> Case:
    function = draw(st.sampled_from(["contains", "startswith", "endswith"]))
    part: str = draw(st.sampled_from(["", "a", "'c", "нн"]))

    def oracle(row: dict[str, Any]) -> bool | None:
        text = row["T"]
        if text is None:
            return None
        return (
            part in text.lower()
            if function == "contains"
            else bool(getattr(text.lower(), function)(part))
        )

    return f"{function}(tolower(T),{_quoted(part)})", oracle


@st.composite
def _lists(draw: st.DrawFn) -> Case:
    values = draw(st.lists(st.integers(-3, 3), min_size=1, max_size=4))
    return f"N in ({','.join(map(str, values))})", lambda row: row["N"] in values


def _negated(case: Case) -> Case:
    text, oracle = case

    def negation(row: dict[str, Any]) -> bool | None:
        value = oracle(row)
        return None if value is None else not value

    return f"not ({text})", negation


def _joined(cases: tuple[Case, str, Case]) -> Case:
    (one_text, one), word, (other_text, other) = cases
    stop = word == "or"

    def junction(row: dict[str, Any]) -> bool | None:
        values = (one(row), other(row))
        if stop in values:
            return stop
        return None if None in values else not stop

    return f"({one_text}) {word} ({other_text})", junction


_FLAGS = st.just(("B", lambda row: row["B"]))
_CASES: st.SearchStrategy[Case] = st.recursive(
    _comparisons() | _calls() | _lists() | _FLAGS,
    lambda inner: (
        inner.map(_negated) | st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(_joined)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(_CASES, st.lists(_ROWS, max_size=5))
def test_a_filter_takes_the_rows_that_python_would(case: Case, rows: list[dict[str, Any]]) -> None:
    text, oracle = case
    compiled = parse_filter(text, {"N", "M", "T", "B"})
    taken = [row for row in rows if compiled.matches(row)]
    assert taken == [row for row in rows if oracle(row) is True]
    assert all(row[name] == value for row in taken for name, value in compiled.pinned.items())


@given(st.text(max_size=30))
def test_whatever_is_asked_only_odata_errors_come(text: str) -> None:
    with contextlib.suppress(ODataError):
        matches(text)
