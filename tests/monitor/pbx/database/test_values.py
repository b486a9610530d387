"""Test PostgreSQL's values as JSON: every type that a PBX's database may hold, and extremes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.database.client import DatabaseSettings
from monitor.pbx.database.values import CODECS, JsonText, jsonable, labels
from monitor.shared.errors import CommandRefused
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import Postgres, postgres

VALUES: list[tuple[str, object]] = [
    ("null", None),
    ("true", True),
    ("'t'::text", "t"),
    ("'Ünïcode Ж'::varchar", "Ünïcode Ж"),
    ("1::int2", 1),
    ("'-2147483648'::int4", -2147483648),
    ("9223372036854775807::int8", 9223372036854775807),
    ("42::oid", 42),
    ("1.5::float4", 1.5),
    ("0.1::float8", 0.1),
    ("'NaN'::float8", "NaN"),
    ("'-Infinity'::float8", "-Infinity"),
    ("12.50::numeric", 12.5),
    ("(select sum(n) from generate_series(1, 3) n)", 6),
    ("0.1::numeric", 0.1),
    ("1e30::numeric", 1e30),
    ("123456789012345678.123456789::numeric", "123456789012345678.123456789"),
    ("'NaN'::numeric", "NaN"),
    ("'Infinity'::numeric", "Infinity"),
    ("12::money::text", "$12.00"),
    ("timestamptz '2026-02-24 20:10:47.817332+02'", "2026-02-24T18:10:47.817332Z"),
    ("timestamptz '2026-02-24 20:10:47+00'", "2026-02-24T20:10:47Z"),
    ("timestamptz 'infinity'", "infinity"),
    ("timestamptz '-infinity'", "-infinity"),
    ("timestamp '294276-12-31 23:59:59.999999'", "294276-12-31T23:59:59.999999"),
    ("timestamp '0044-03-15 12:00 BC'", "0044-03-15T12:00:00 BC"),
    ("date '2026-02-28'", "2026-02-28"),
    ("date '2024-02-29'", "2024-02-29"),
    ("date 'infinity'", "infinity"),
    ("time '24:00'", "24:00:00"),
    ("time '20:10:47.8'", "20:10:47.8"),
    ("timetz '20:10:47+05:30'", "20:10:47+05:30"),
    ("timetz '20:10:47-08'", "20:10:47-08:00"),
    ("interval '42 seconds'", "00:00:42"),
    ("interval '-1.5 seconds'", "-00:00:01.5"),
    ("interval '100 hours'", "100:00:00"),
    ("interval '1 year 2 months -3 days 04:05:06'", "1 year 2 mons -3 days 04:05:06"),
    ("interval '0'", "00:00:00"),
    ("'00000000-01dc-688a-2607-57e500000c10'::uuid", "00000000-01dc-688a-2607-57e500000c10"),
    (r"'\x00ff'::bytea", r"\x00ff"),
    ("b'1010'", "1010"),
    ('\'{"a": [1, null, "x"]}\'::jsonb', {"a": [1, None, "x"]}),
    ("'[1e400]'::json", ["Infinity"]),
    ("'10.0.0.1'::inet", "10.0.0.1"),
    ("'10.0.0.0/8'::cidr", "10.0.0.0/8"),
    ("'aa:bb:cc:dd:ee:ff'::macaddr", "aa:bb:cc:dd:ee:ff"),
    ("'10.0.0.1/8'::inet", "10.0.0.1/8"),
    ("array['10.0.0.1/32'::cidr]", ["10.0.0.1/32"]),
    ("'fe80::1'::inet", "fe80::1"),
    ("'fe80::/10'::cidr", "fe80::/10"),
    ("array[1.50, null, -0.25]", [1.5, None, -0.25]),
    ("row(1.5, 'a')", [1.5, "a"]),
    ("numrange(1.5, 2)", "[1.5,2)"),
    ("array[1, null, 3]", [1, None, 3]),
    ("array[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
    ("array[timestamptz '2026-02-24 20:10:47+00', null]", ["2026-02-24T20:10:47Z", None]),
    ("array[interval '1 month']", ["1 mon"]),
    ("'{}'::text[]", []),
    ("int4range(1, 5)", "[1,5)"),
    ("'empty'::int4range", "empty"),
    ("tstzrange('2026-02-24 20:10:47+00', null)", "[2026-02-24T20:10:47Z,)"),
    ("daterange('2026-01-01', '2026-02-01')", "[2026-01-01,2026-02-01)"),
    ("'{[1,3), [5,7)}'::int4multirange", ["[1,3)", "[5,7)"]),
    ("row(1, 'a', null)", [1, "a", None]),
    (
        "(select r from (values (1, date '2026-01-01')) as v (a, b), lateral (select a, b) r)",
        [1, "2026-01-01"],
    ),
    ("point(1, 2)", [1.0, 2.0]),
    ("polygon '((0,0),(1,1))'", [[0.0, 0.0], [1.0, 1.0]]),
    ("'ringing'::call_state", "ringing"),
    ("'101'::extension", "101"),
    ("array['101']::extension[]", ["101"]),
    ("row('101', now() - now())::leg", {"dn": "101", "lasted": "00:00:00"}),
    ("'16/B374D848'::pg_lsn", "16/B374D848"),
    ("'recordings'::regclass", "recordings"),
    ("to_tsvector('simple', 'a b')", "'a':1 'b':2"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(server: Postgres) -> ReadDatabase:
    await pbx_database.make(server)
    await server.run(
        "CREATE TYPE call_state AS ENUM ('ringing', 'talking')",
        r"CREATE DOMAIN extension AS text CHECK (value ~ '^\d+$')",
        "CREATE TYPE leg AS (dn extension, lasted interval)",
        database=pbx_database.NAME,
    )
    return ReadDatabase(
        DatabaseSettings(
            "127.0.0.1", pbx_database.READER, pbx_database.PASSWORD, port=server.port, tls="off"
        )
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("sql", "value"), VALUES, ids=[sql for sql, _ in VALUES])
async def test_a_value_is_sensible_json(database: ReadDatabase, sql: str, value: object) -> None:
    answer = await database.answer(f"select {sql} as it", 0)
    assert answer == {"count": 1, "rows": [{"it": value}]}
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.asyncio(loop_scope="module")
async def test_all_that_a_server_knows_of_itself_can_be_answered(database: ReadDatabase) -> None:
    answer = await database.answer(
        "select relname from pg_class where relkind in ('r', 'v') and has_table_privilege(oid, "
        "'select') "
        "and relnamespace = 'pg_catalog'::regnamespace",
        1000,
    )
    told = 0
    for row in answer["rows"]:
        with suppress(CommandRefused):  # a function under a view that only superusers may call
            rows = await database.answer(f"select * from {row['relname']}", 20)
            assert json.loads(json.dumps(rows, allow_nan=False)) == rows
            told += 1
    assert told > 100


@pytest.mark.asyncio(loop_scope="module")
async def test_days_far_away_are_the_servers_own(database: ReadDatabase) -> None:
    """Every 997th day that PostgreSQL knows has the name that it gives to it."""
    answer = await database.answer(
        "select date '2000-01-01' + n as ours, (date '2000-01-01' + n)::text as theirs "
        "from generate_series(-2400000, 2400000, 997) n",
        10_000,
    )
    rows: list[dict[str, str]] = answer["rows"]
    assert len(rows) > 4_000
    assert [row["ours"] for row in rows] == [row["theirs"] for row in rows]


NUMBERS = [
    "0", "0.000", "-0.5", "1e-20", "1e8::numeric(20,2)", "10000", "123450000", "100000000.00010000",
    "0.00001000100010001", "-99999999999999999999.999999999999999999990000", "1e131071", "1e-16383",
    "9999.9999", "0.1234567890123456789000",
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", NUMBERS)
async def test_a_number_is_the_servers_own(database: ReadDatabase, number: str) -> None:
    answer = await database.answer(
        f"select v, v::text as t from (select {number}::numeric) n (v)", 0
    )
    ((told, text),) = [row.values() for row in answer["rows"]]
    assert Decimal(told if isinstance(told, str) else repr(told)) == Decimal(text)
    if isinstance(told, str) and "E" not in told:
        assert told == text


@given(st.lists(st.text(alphabet="ab_2", max_size=3), max_size=8))
def test_no_column_is_lost_to_another_of_its_name(names: list[str]) -> None:
    given_names = labels(names)
    assert len(set(given_names)) == len(names)
    assert [given_names[i] for i, name in enumerate(names) if name not in names[:i]] or not names


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_the_one_that_python_knows(moment: datetime) -> None:
    microseconds = (moment - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = str(jsonable(CODECS["timestamptz"][1]((microseconds,))))
    assert datetime.fromisoformat(text) == moment


@given(st.dates(), st.times())
def test_days_and_times_are_the_ones_that_python_knows(day: date, clock: time) -> None:
    assert jsonable(CODECS["date"][1](((day - date(2000, 1, 1)).days,))) == day.isoformat()
    microseconds = (
        (clock.hour * 60 + clock.minute) * 60 + clock.second
    ) * 1_000_000 + clock.microsecond
    assert time.fromisoformat(str(jsonable(CODECS["time"][1]((microseconds,))))) == clock


@pytest.mark.parametrize(
    ("kind", "ticks", "expected"),
    [
        ("date", (2**31 - 1,), "infinity"),
        ("timestamptz", (-(2**63),), "-infinity"),
        ("date", (-730_119,), "0001-01-01"),
        ("date", (-730_120,), "0001-12-31 BC"),
        ("timestamp", (-730_120 * 86_400_000_000,), "0001-12-31T00:00:00 BC"),
        ("date", (59,), "2000-02-29"),
        ("date", (2_921_940,), "10000-01-01"),
        ("timestamptz", (-1,), "1999-12-31T23:59:59.999999Z"),
        ("timetz", (72_647_800_000, -7_200), "20:10:47.8+02:00"),
        ("timetz", (0, 12_345), "00:00:00-03:25:45"),
        ("time", (86_400_000_000,), "24:00:00"),
        ("interval", (14, -3, 14_706_700_000), "1 year 2 mons -3 days 04:05:06.7"),
        ("interval", (-14, 1, -1), "-1 years -2 mons 1 day -00:00:00.000001"),
        ("interval", (0, 0, 0), "00:00:00"),
        ("interval", (12, 0, 0), "1 year"),
    ],
)
def test_times_that_python_does_not_know_are_as_postgresql_writes_them(
    kind: str, ticks: tuple[int, ...], expected: str
) -> None:
    assert jsonable(CODECS[kind][1](ticks)) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("1" * 5_000, "1" * 5_000),
        ("[" * 100_000, "[" * 100_000),
        ("[1e400, 18446744073709551616]", ["Infinity", "18446744073709551616"]),
        ("[[1]]" + " " * 500, [[1]]),
        ('{"a":' * 401 + "1" + "}" * 401, '{"a":' * 401 + "1" + "}" * 401),
        ("[" + "[],[1]," * 300 + "[]]", [[], [1]] * 300 + [[]]),
    ],
)
def test_json_that_python_cannot_read_stays_text(text: str, value: object) -> None:
    assert JsonText(text).read() == value
