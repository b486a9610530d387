"""Names of functions in a statement, by PostgreSQL's rules for tokens.

That the server takes the same for a call is tested with a real one: see test_client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.database.allowed_functions import called_in, first_word, forbidden, tokens


@pytest.mark.parametrize(
    ("sql", "called"),
    [
        ("select f(1), g (2)", {"f", "g"}),
        ("select F(1)", {"f"}),
        ('select "F"(1), "a""b"(1)', {"F", 'a"b'}),
        ("select (0.1).pg_sleep", {"pg_sleep", "select"}),
        ("select (0.1).pg_sleep as x", {"pg_sleep", "select"}),
        ("select schema . f /* ( */ --\n (1)", {"f"}),
        ("select 'f(1)', $$g(1)$$, $a$ $$ h(1) $a$", set()),
        ("select e'\\'f(1)', g(1)", {"g"}),
        ("select '\\', f(1), '--'", {"f"}),
        ("select e'a'\n'\\' f(1)', g(1)", {"g"}),
        ("select /* /* f( */ g( */ h(1)", {"h"}),
        ("select 1 -- f(1)\r, g(1)", {"g"}),
        ('select U&"\\0066"(1)', {'U&"\\0066"'}),
        (f"select {'n' * 70}(1)", {"n" * 63}),
        ("select f", set()),
        ("select x from t where a in (1)", {"in"}),
        ("", set()),
    ],
)
def test_what_stands_before_a_parenthesis_or_behind_a_dot_is_called(
    sql: str, called: set[str]
) -> None:
    assert called_in(sql) == called


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "select"),
        (" /* a */ -- b\n ((SELECT 1))", "select"),
        ("values (1)", "values"),
        ("'select'", ""),
        ("(/* open", ""),
        ("", ""),
    ],
)
def test_the_first_word_is_found_behind_comments_and_parentheses(sql: str, word: str) -> None:
    assert first_word(sql) == word


class Catalogue:
    """A server that knows these functions and operators as volatile.

    Or as run with their owner's rights.
    """

    def __init__(self, volatile: Sequence[str], operators: Sequence[str]) -> None:
        self.volatile = volatile
        self.operators = operators

    async def fetch(self, query: str, *args: object) -> Sequence[tuple[str, bool]]:
        asked, allowed = args
        assert isinstance(asked, list)
        assert isinstance(allowed, list)
        found = [(name, False) for name in self.volatile if name in asked and name not in allowed]
        return found + [(name, True) for name in self.operators]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select upper('x'), now()", []),
        ("select pg_notify('a', 'b'), nextval('x')", ["nextval", "pg_notify"]),
        ("select random(), clock_timestamp()", []),
        ("select table_to_xml('t', true, true, '')", ["table_to_xml"]),
        ("select query_to_xmlschema('select 1', true, true, '')", ["query_to_xmlschema"]),
        ("select * from crosstab_two('select 1'), connectby('t')", ["connectby", "crosstab_two"]),
        ("select * from xpath_table('a', 'b', 'c', 'd', 'e')", ["xpath_table"]),
        ("select txid_current(), pg_current_xact_id()", ["pg_current_xact_id", "txid_current"]),
        ("select txid_current_if_assigned()", []),
        ("select 1 @@# 2", ["the operator @@#"]),
        ("select 1 operator(public.@@#) 2", ["the operator @@#"]),
        ("select 1 -@@#- 2", ["the operator @@#"]),
        ("select '@@#', \"@@#\" -- @@#", []),
        ('select U&"\\0061"(1)', ['U&"\\0061"']),
    ],
)
async def test_what_is_volatile_and_not_known_as_harmless_is_forbidden(
    sql: str, names: list[str]
) -> None:
    server = Catalogue(["pg_notify", "nextval", "random", "clock_timestamp"], ["@@#"])
    assert await forbidden(cast("asyncpg.Connection", server), sql) == names


async def test_an_operator_that_needs_no_writing_is_forbidden_to_all() -> None:
    server = Catalogue([], ["=", "~~*"])
    found = await forbidden(cast("asyncpg.Connection", server), "select 1 in (2)")
    assert found == ["the operator =", "the operator ~~*"]


@given(st.text(st.sampled_from("'\"$aE e\\/*-(.)&U\n1é"), max_size=30))
def test_any_text_is_read_to_its_end(sql: str) -> None:
    for token in tokens(sql):
        assert token
    assert "zz" in called_in(f"select zz(1), {sql}")
