"""Trees of expressions: what binds more strongly, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.simulator.xapi.odata.grammar import (
    Comparison,
    FunctionCall,
    Junction,
    Literal,
    Member,
    Name,
    Negation,
    Node,
    OneOf,
    Quantifier,
    parse,
)
from monitor.simulator.xapi.odata.operators import ODataError

A, B, C, ONE = Name("a"), Name("b"), Name("c"), Literal(1)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and c", Junction("or", (A, Junction("and", (B, C))))),
        ("(a or b) and c", Junction("and", (Junction("or", (A, B)), C))),
        ("a or b or c", Junction("or", (A, B, C))),
        ("a eq 1 and b", Junction("and", (Comparison("eq", A, ONE), B))),
        ("a lt 1 eq b", Comparison("eq", Comparison("lt", A, ONE), B)),
        ("not a eq b", Comparison("eq", Negation(A), B)),
        ("not a in (1)", Negation(OneOf(A, (1,)))),
        ("not not a", Negation(Negation(A))),
        ("A EQ 1", Comparison("eq", Name("A"), ONE)),
    ],
)
def test_words_bind_as_the_standard_says(text: str, tree: Node) -> None:
    """OData 4.01 part 2, section 5.1.1.17."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-15", -15),
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        ("'it''s'", "it's"),
        ("''", ""),
        ("Pbx.PeerType'Extension'", "Extension"),
        ("TRUE", True),
        ("null", None),
        ("2026-03-04T03:15:00Z", datetime(2026, 3, 4, 3, 15, tzinfo=UTC)),
        ("2026-03-04T03:15", datetime(2026, 3, 4, 3, 15, tzinfo=UTC)),
    ],
)
def test_a_constant_has_its_type(text: str, value: object) -> None:
    found = parse(text)
    assert found == Literal(value)
    assert isinstance(found, Literal)
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a/b/c", Member(Member(A, "b"), "c")),
        ("a/any()", Quantifier(A, "any", "", None)),
        (
            "a/b/all(x: x eq 1)",
            Quantifier(Member(A, "b"), "all", "x", Comparison("eq", Name("x"), ONE)),
        ),
        ("contains(a, 'x')", FunctionCall("contains", (A, Literal("x")))),
        ("substring(a,1,1)", FunctionCall("substring", (A, ONE, ONE))),
    ],
)
def test_paths_lambdas_and_functions_are_trees_too(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a eq", "character"),
        ("a b", "character ' ' is not valid at position 1"),
        ("a eq 1)", r"'\)' was not expected in 'a eq 1\)'"),
        ("(a", "the end was not expected"),
        ("", "the end was not expected"),
        ("a in ()", "was not expected"),
        ("a in (b)", "was not expected"),
        ("all(x: x)", "function 'all' is not supported"),
        ("contains(a)", "No function signature for 'contains'"),
        ("length(a,b)", "No function signature for 'length'"),
        ("a/all()", "was not expected"),
        ("2026-02-30T00:00:00Z", "is not a date and time"),
        ("9" * 5_000, "A number is not valid"),
        ("(" * 50_000 + "a", "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_told_where_it_ends_to_be_one(text: str, says: str) -> None:
    with pytest.raises(ODataError, match=says):
        parse(text)


def test_an_error_shows_only_the_beginning_of_a_long_expression() -> None:
    with pytest.raises(ODataError) as caught:
        parse("a eq 1 or " * 5_000 + ")")
    assert len(str(caught.value)) < 300


def test_a_chain_of_thousands_is_flat() -> None:
    tree = parse(" or ".join(["a"] * 20_000))
    assert isinstance(tree, Junction)
    assert len(tree.operands) == 20_000
