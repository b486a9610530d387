"""Sizes that a statement writes, and the memory that PostgreSQL takes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import asyncpg
import pytest

from monitor.pbx.database.client import DatabaseSettings
from monitor.pbx.database.giant_values import LARGEST_BYTES, GiantSize, check_sizes
from monitor.shared.errors import CommandRefused
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import postgres


@pytest.mark.parametrize(
    "sql",
    [
        "select lpad(dn, 10), rpad(dn, 20, '.') from cl_party_info",
        "select repeat('*', 40), repeat('-', 0), 'x'::char(10), b'1'::bit(8), 'a'::varchar(999999)",
        "select lpad(substring(dn, 1, (3 + 4)), 10, coalesce(a[1], ' ')) from t",
        f"select {', '.join(['format($$%s: %s (%-9s)$$, a, b, c)'] * 5)} from t",
        "select format('%-20s | %2$s', a, b), format($$%s$$, 'lpad(a, b)') from t",
        "select polygon(box '((0,0),(1,1))')",
        "select repeat from t where lpad > 3 -- repeat('x', 1000000000)",
        "select repeat('x'",
        "select 1)]",
    ],
)
def test_sizes_that_stand_there_and_make_little_are_allowed(sql: str) -> None:
    check_sizes(sql)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select repeat('x', 1000000000)", "make more than 16777216 bytes together"),
        ("select \"repeat\" ('x', 1000000000)", "make more than"),
        ("select repeat(repeat('x', 10000), 10000)", "make more than"),
        (
            "with t as (select repeat('x', 10000) as x) select repeat(x, 10000) from t",
            "make more than",
        ),
        ("select lpad('x', 5000000), rpad('x', 5000000)", "make more than"),
        ("select repeat(lpad('x', 10000), 10000)", "make more than"),
        ("select repeat('x'::char(10000), 10000)", "make more than"),
        (f"select '{{x{',x' * 9}}}'::char(9999999)[]", "make more than"),
        ("select string_to_array(lpad('', 9999, 'x'), 'x')::char(9999)[]", "make more than"),
        (f"select format('{'%1$s' * 1000}', lpad('x', 9999))", "make more than"),
        (f"select string_to_array('{'x;' * 10_000}', ';')::bpchar(9999)[]", "make more than"),
        (f"select repeat('{'x' * 60_000}', 1000)", "make more than"),
        (f"select repeat(format('{'%999s' * 60}', 1), 1000)", "make more than"),
        *(
            (f"select repeat('x', {size})", r"size for repeat .* plain number: repeat\(…, 20\)")
            for size in (
                "1e9",
                "1_000_000_000",
                "0x3B9ACA00",
                "n",
                "10 * 10",
                "(10)",
                "'10'",
                "-1",
                "length(x)",
                "",
                "9" * 19,
                "a[10]",
            )
        ),
        ("select repeat(variadic x)", "size for repeat"),
        ("select lpad('x', n, '.')", "size for lpad"),
        ("select bpchar('x'::bpchar, 1000000004, true)", r"size for bpchar .*: bpchar\(20\)"),
        ("select 'x'::bpchar('10000000')", "size for bpchar"),
        ('select "bit"(1, 1000000000)', "size for bit"),
        ("select format('%1000000000s', 'x')", "text for format .* 999 characters wide"),
        ("select format('%2$--01000s', 'x', 'y')", "text for format"),
        ("select format('%*s', 1000000000, 'x')", "text for format"),
        ("select format('%1' || '000000000s', 'x')", "text for format"),
        ("select format('%1'\n'000000000s', 'x')", "text for format"),
        ("select format(e'%\\x31000000000s', 'x')", "text for format"),
        ("select format(u&'%!0031000000000s' uescape '!', 'x')", "text for format"),
        ("select array_fill(0, array[100000000])", "may not call array_fill"),
        ("select polygon(50000000, circle '((0,0),1)')", "may not call polygon"),
    ],
)
def test_sizes_that_make_giants_or_cannot_be_judged_are_refused(sql: str, says: str) -> None:
    with pytest.raises(GiantSize, match=says) as caught:
        check_sizes(sql)
    assert str(caught.value).endswith(".")


def expression(chance: Random, depth: int) -> str:
    """Return a text in SQL that is made of others by sizes."""
    if depth == 0:
        return chance.choice(("'x'", "'äöü'", "'0123456789'", "'%'"))
    part = expression(chance, depth - 1)
    size = int(10 ** chance.uniform(0, 5.5))
    return chance.choice(
        (
            f"repeat({part}, {size})",
            f"lpad({part}, {size}, 'ж')",
            f"rpad({part}, {size}, '€')",
            f"({part})::char({size})",
            f"array_to_string(string_to_array({part}, 'x')::char({size})[], '')",
            f"format('%{min(size, 999)}s%s', {part}, {part})",
            f"({part} || {part})",
        )
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_allowed_makes_no_more_in_the_server(admin: asyncpg.Connection) -> None:
    chance, tried, largest = Random(5), 0, 0
    while tried < 200:
        sql = f"select octet_length({expression(chance, chance.randint(1, 4))})"
        try:
            check_sizes(sql)
        except GiantSize:
            continue
        tried += 1
        made = await admin.fetchval(sql)
        assert made <= LARGEST_BYTES, sql
        largest = max(largest, made)
    assert largest > LARGEST_BYTES / 100


@pytest.mark.asyncio(loop_scope="module")
async def test_a_giant_is_refused_in_words_before_anything_is_sent(
    settings: DatabaseSettings,
) -> None:
    nowhere = ReadDatabase(replace(settings, port=1))
    with pytest.raises(CommandRefused, match="use smaller numbers") as caught:
        await nowhere.answer("select length(repeat('x', 1000000000))", 0)
    assert (caught.value.code, caught.value.kind) == ("sql_function_refused", "bad")


async def test_a_server_with_a_bound_on_its_processes_ends_the_query_and_goes_on() -> None:
    """Bound memory in the way of deploy/sql.md, and make a giant that no size tells of."""
    with postgres("shared_buffers=16MB", address_space_kib=524_288) as server:
        await pbx_database.make(server)
        database = ReadDatabase(
            DatabaseSettings(
                "127.0.0.1",
                pbx_database.READER,
                pbx_database.PASSWORD,
                port=server.port,
                tls="off",
                timeout=30.0,
            )
        )
        doubled = (
            "with recursive t(n, x) as (select 0, repeat('x', 1000) union all "
            "select n + 1, x || x from t where n < 19) select max(length(x)) from t"
        )
        with pytest.raises(CommandRefused, match="out of memory") as caught:
            await database.answer(doubled, 0)
        assert caught.value.code == "sql_error"
        assert (await database.answer("select 1", 0))["count"] == 1
        assert server.process.poll() is None
