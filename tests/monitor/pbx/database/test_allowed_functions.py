"""Names of functions in a statement, by PostgreSQL's rules for tokens; what views call.

That the server takes the same for a call is tested with a real one: see test_client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.database.allowed_functions import (
    called_in,
    first_word,
    forbidden,
    names_in,
    tokens,
)
from monitor.shared.errors import CommandRefused
from tests import pbx_database
from tests.pbx_database import ReadDatabase


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

    async def fetch(self, query: str, *args: object) -> Sequence[tuple[str, str, str]]:
        asked, allowed, *_ = args
        assert isinstance(asked, list)
        assert isinstance(allowed, list)
        found = [name for name in self.volatile if name in asked and name not in allowed]
        return [(name, "function", name) for name in found] + [
            (name, "operator", "") for name in self.operators
        ]


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


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("table t", {"table", "t"}),
        ('select * from "T", s . t -- u', {"select", "from", "T", "s", "t"}),
        ("select 'u' from t1", {"select", "from", "t1"}),
        (f"table {'n' * 70}", {"table", "n" * 63}),
    ],
)
def test_all_names_of_a_statement_are_found(sql: str, names: set[str]) -> None:
    assert names_in(sql) == names


TELLS = "CREATE FUNCTION tells(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$"
SAME = "RETURNS int STABLE LANGUAGE sql AS 'SELECT $1'"
DEFINED = f"CREATE FUNCTION tells(int) {SAME} SECURITY DEFINER"
READ = {
    "a function of PostgreSQL": (
        ["CREATE VIEW calls AS SELECT pg_notify('x', 'y')::text AS n"],
        "pg_notify by reading calls",
    ),
    "a function that runs SQL": (
        ["CREATE VIEW calls AS SELECT table_to_xml('recordings', true, true, '')::text AS n"],
        "table_to_xml by reading calls",
    ),
    "a function of somebody": (
        [TELLS, "CREATE VIEW calls AS SELECT tells(1) AS n"],
        "tells by reading calls",
    ),
    "a function with its owner's rights": (
        [DEFINED, "CREATE VIEW calls AS SELECT tells(1) AS n"],
        "tells by reading calls",
    ),
    "a view in a view": (
        [
            TELLS,
            "CREATE VIEW inner_calls AS SELECT 1 AS n WHERE tells(1) = 1",
            "CREATE VIEW middle AS WITH t AS (SELECT n FROM inner_calls) SELECT n FROM t",
            "CREATE VIEW calls AS SELECT (SELECT max(n) FROM middle) AS n",
        ],
        "tells by reading calls",
    ),
    "an operator": (
        [
            TELLS,
            "CREATE OPERATOR @@# (RIGHTARG = int, FUNCTION = tells)",
            "CREATE VIEW calls AS SELECT @@# 1 AS n",
        ],
        "tells by reading calls",
    ),
    "an aggregate over a window": (
        [
            TELLS,
            f"CREATE FUNCTION adds(int, int) {SAME}",
            "CREATE AGGREGATE told(int) (SFUNC = adds, STYPE = int, FINALFUNC = tells)",
            "CREATE VIEW calls AS SELECT told(1) OVER () AS n",
        ],
        "tells by reading calls",
    ),
    "a default of a default": (
        [
            TELLS,
            f"CREATE FUNCTION adds(int DEFAULT tells(1)) {SAME}",
            f"CREATE FUNCTION more(int DEFAULT adds()) {SAME}",
            "CREATE VIEW calls AS SELECT more() AS n",
        ],
        "tells by reading calls",
    ),
    "a policy": (
        [
            TELLS,
            "CREATE TABLE calls AS SELECT 1 AS n",
            "ALTER TABLE calls ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY seen ON calls USING (n = tells(1))",
        ],
        "tells by reading calls",
    ),
    "a policy that reads a view": (
        [
            "CREATE VIEW middle AS SELECT pg_notify('x', 'y')::text AS n",
            "CREATE TABLE calls AS SELECT 1 AS n",
            "ALTER TABLE calls ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY seen ON calls FOR SELECT USING (EXISTS (SELECT FROM middle))",
        ],
        "pg_notify by reading calls",
    ),
    "a foreign table": (
        [
            "CREATE FOREIGN DATA WRAPPER far",
            "CREATE SERVER away FOREIGN DATA WRAPPER far",
            "CREATE FOREIGN TABLE calls (n int) SERVER away",
        ],
        "another server by reading calls",
    ),
    "a table with a foreign part": (
        [
            "CREATE FOREIGN DATA WRAPPER far",
            "CREATE SERVER away FOREIGN DATA WRAPPER far",
            "CREATE TABLE calls (n int) PARTITION BY LIST (n)",
            "CREATE FOREIGN TABLE middle PARTITION OF calls DEFAULT SERVER away",
        ],
        "another server by reading calls",
    ),
}
CLEAN = """
DROP FOREIGN DATA WRAPPER IF EXISTS far CASCADE;
DO $$ DECLARE kind "char"; BEGIN
    SELECT relkind INTO kind FROM pg_class WHERE relname = 'calls';
    IF kind = 'v' THEN DROP VIEW calls; ELSIF kind = 'm' THEN DROP MATERIALIZED VIEW calls;
    ELSIF kind IN ('r', 'p') THEN DROP TABLE calls; END IF;
END $$;
DROP VIEW IF EXISTS middle, inner_calls CASCADE;
DROP FUNCTION IF EXISTS tells, adds, more CASCADE
"""


@pytest_asyncio.fixture(loop_scope="module")
async def made(admin: asyncpg.Connection) -> AsyncIterator[Callable[[list[str]], Awaitable[None]]]:
    async def make(statements: list[str]) -> None:
        for statement in statements:
            await admin.execute(statement)
        await admin.execute(f"GRANT SELECT ON calls TO {pbx_database.READER}")

    yield make
    await admin.execute(CLEAN)


@pytest.mark.parametrize("way", READ)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_calls_such_a_function_is_not_read(
    database: ReadDatabase, made: Callable[[list[str]], Awaitable[None]], way: str
) -> None:
    statements, says = READ[way]
    await made(statements)
    for sql in (
        "select n from calls",
        'table "calls"',
        "select count(*) from cl_calls where exists (select from public . CALLS)",
    ):
        with pytest.raises(CommandRefused, match=f"may not call {says}: ") as caught:
            await database.answer(sql, 0)
        assert caught.value.code == "sql_function_refused"
    assert (await database.answer("select 'calls' as \"Calls\"", 0))["count"] == 1


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE VIEW calls AS SELECT upper('x') AS n, random() AS r, now() AS t"],
        ["CREATE MATERIALIZED VIEW calls AS SELECT pg_notify('x', 'y')::text AS n"],
        [TELLS, "ALTER FUNCTION tells STABLE", "CREATE VIEW calls AS SELECT tells(1) AS n"],
        ["CREATE VIEW calls AS SELECT 1 AS n FROM pg_locks"],
        [
            "CREATE TABLE calls AS SELECT 1 AS n",
            "ALTER TABLE calls ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY seen ON calls USING (n = 1)",
            "CREATE POLICY kept ON calls FOR INSERT WITH CHECK (n = txid_current())",
        ],
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_calls_no_such_function_is_read(
    database: ReadDatabase,
    made: Callable[[list[str]], Awaitable[None]],
    statements: list[str],
) -> None:
    await made(statements)
    await database.answer("select n from calls", 0)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_name_of_a_view_that_the_role_may_not_read_is_any_name(
    database: ReadDatabase,
    admin: asyncpg.Connection,
    made: Callable[[list[str]], Awaitable[None]],
) -> None:
    await made(READ["a function of PostgreSQL"][0])
    await admin.execute(f"REVOKE SELECT ON calls FROM {pbx_database.READER}")
    assert (await database.answer("select count(*) as calls from recordings", 0))["rows"] == [
        {"calls": 3}
    ]
    with pytest.raises(CommandRefused, match="permission denied"):
        await database.answer("select * from calls", 0)


@given(st.text(st.sampled_from("'\"$aE e\\/*-(.)&U\n1é"), max_size=30))
def test_any_text_is_read_to_its_end(sql: str) -> None:
    for token in tokens(sql):
        assert token
    assert "zz" in called_in(f"select zz(1), {sql}")
