"""Test which values parameters take, and the sentences of their refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadParameter,
    BadRequest,
    DuplicateParameter,
    MissingParameter,
    UnknownParameter,
)
from gateway.parameters import Arguments, Kind, Parameter, check, quoted

KINDS: dict[Kind, tuple[list[str], list[str]]] = {
    "dn": (["101", "HOL", "*62", "a-b_c.d", "Ж1"], ["1 2", "1,2", "'", "1" * 65, "1\n", "/"]),
    "dns": (["", " ", "101", "101,102", " 101 , 102 "], [",", "101,", "1 2", "101;102", "1\x00"]),
    "phone": (["101", "+49 (30) 1-2", "x1"], ["-", "x", "٣", "1\x07"]),
    "destination": (["101", "+49 (30) 1-2", "HOL", "crmintegration", "٣٠"], ["-", " ", "1\x07"]),
    "whole": (
        ["0", "007", "9007199254740991"],
        ["-1", "+1", "1.0", "1e3", "1 2", "٣", "9007199254740992", "²"],
    ),
    "text": (["a", "O'Brien; -- ✓", "x" * 1000], ["x" * 1001, "a\nb", "\x7f", "\ud800"]),
    "sql": (["select\n\t1\r\n", "a"], ["x" * 1001, "\x00", "\udfff"]),
    "choice": (["on", "off"], ["onn", "o n", "o"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_takes_what_it_says_and_nothing_else(kind: Kind) -> None:
    parameter = Parameter("p", kind, "", allowed=("on", "off") if kind == "choice" else ())
    good, bad = KINDS[kind]
    for value in good:
        assert check([parameter], [("p", value)], "c").text("p") == value
    for value in bad:
        with pytest.raises(BadParameter, match=r"^c: p = ") as caught:
            check([parameter], [("p", value)], "c")
        assert str(caught.value).endswith(f"was given, but it takes {parameter.takes}.")
        assert str(caught.value).isprintable()


NUM = Parameter("num", "dn", "", required=True)
COUNT = Parameter("count", "whole", "")


def test_arguments_come_in_the_parameters_order_whatever_the_requests() -> None:
    one = check([NUM, COUNT], [("count", "3"), ("num", "1")], "c")
    assert one == check([NUM, COUNT], [("num", "1"), ("count", "3")], "c")
    assert hash(one) == hash(Arguments((("num", "1"), ("count", "3"))))
    assert (one.text("num"), one.whole("count"), one.optional("count")) == ("1", 3, "3")
    assert check([NUM, COUNT], [("num", "1")], "c").optional("count") is None


def test_a_mistake_is_named() -> None:
    with pytest.raises(
        MissingParameter,
        match=r"^c: the parameter 'num' is missing; it takes a number such as 101\.$",
    ):
        check([NUM, COUNT], [], "c")
    with pytest.raises(MissingParameter, match="'num' is empty"):
        check([NUM], [("num", "")], "c")
    with pytest.raises(
        UnknownParameter,
        match=r"^c has no parameter 'nun'; it takes num, count\. Did you mean 'num'\?$",
    ):
        check([NUM, COUNT], [("nun", "1")], "c")
    with pytest.raises(UnknownParameter, match=r"^c takes no parameters, but 'x' was given\.$"):
        check([], [("x", "1")], "c")
    with pytest.raises(DuplicateParameter, match="'num' was given twice"):
        check([NUM], [("num", "1"), ("num", "1")], "c")


@given(st.lists(st.tuples(st.text() | st.sampled_from(["num", "count"]), st.text()), max_size=4))
def test_whatever_comes_is_taken_or_refused_in_printable_words(
    pairs: list[tuple[str, str]],
) -> None:
    try:
        arguments = check([NUM, COUNT], pairs, "c")
    except BadRequest as error:
        str(error).encode()
    else:
        assert dict(pairs) == dict(arguments.values)


def test_long_and_unprintable_text_is_quoted_short_and_escaped() -> None:
    assert quoted("x" * 100) == f"'{'x' * 60}…'"
    assert quoted("a\x1b[31m") == r"'a\x1b[31m'"
    assert quoted("Анна") == "'Анна'"


@pytest.mark.parametrize("kind", ["dn", "phone", "whole", "choice"])
def test_an_optional_value_that_is_left_empty_was_not_given(kind: Kind) -> None:
    parameter = Parameter("p", kind, "", allowed=("on", "off") if kind == "choice" else ())
    assert check((parameter,), [("p", "")], "c").optional("p") is None


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("choice", "on ", "on"),  # as in the document's "external={on/off} &recording=…"
        ("choice", "On", "on"),
        ("choice", "OFF", "off"),
        ("dn", " 101 ", "101"),
        ("whole", "3 ", "3"),
        ("text", " Ann ", " Ann "),
    ],
)
def test_spaces_and_capitals_that_mean_nothing_are_no_mistake(
    kind: Kind, given: str, meant: str
) -> None:
    parameter = Parameter("p", kind, "", allowed=("on", "off") if kind == "choice" else ())
    # and the document's "{}& enabled={0/1}" has a space in the name
    assert check((parameter,), [(" p", given)], "c").optional("p") == meant


def test_an_empty_text_is_a_value() -> None:
    assert check((Parameter("p", "text", ""),), [("p", "")], "c").optional("p") == ""


@pytest.mark.parametrize("name", ["_", "contact", "timeout"])
def test_what_clients_of_the_original_add_means_nothing(name: str) -> None:
    assert check((), [(name, "123")], "c").values == ()
