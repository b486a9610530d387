"""Test SQL on a real PostgreSQL: answers, refusals; nothing can be changed or used up or left."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import asyncpg
import pytest

from monitor.pbx.database import client, values
from monitor.pbx.database.allowed_functions import called_in
from monitor.pbx.database.client import DatabaseSettings
from monitor.pbx.http_client.secret import Secret, text_of
from monitor.shared.errors import CommandRefused, PbxUnreachable
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import postgres

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def inventory(admin: asyncpg.Connection) -> list[tuple[object, ...]]:
    """Return all that a statement could change: relations and rows, functions, roles, objects."""
    relations = await admin.fetch(
        "SELECT n.nspname, relname, relkind, relacl::text FROM pg_class c JOIN pg_namespace n ON "
        "n.oid = relnamespace "
        "WHERE nspname !~ '^pg_|^information_schema$' ORDER BY 1, 2"
    )
    counts = [
        (
            name,
            await admin.fetchval(
                f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{name}" t'
            ),
        )
        for _, name, kind, _ in relations
        if kind == b"r"
    ]
    sequences = await admin.fetch("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
    rest = await admin.fetchrow(
        "SELECT (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_authid), "
        "(SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_namespace WHERE "
        "nspname !~ '^pg_t')"
    )
    assert rest is not None
    return [*map(tuple, relations), *counts, *map(tuple, sequences), tuple(rest)]


async def test_the_next_connection_takes_a_password_that_was_exchanged(
    settings: DatabaseSettings,
) -> None:
    password = Secret("the old one")
    database = ReadDatabase(replace(settings, password=password))
    with pytest.raises(CommandRefused):
        await database.check()
    password.exchange(text_of(settings.password))
    assert "may only read" in await database.check()


async def code_of(database: ReadDatabase, sql: str, count: int = 0) -> str:
    with pytest.raises(CommandRefused) as caught:
        await database.answer(sql, count)
    assert caught.value.kind == "bad"
    assert str(caught.value).endswith("."), str(caught.value)
    return caught.value.code


async def test_the_documented_example_is_answered(database: ReadDatabase) -> None:
    sql = (
        "select recording_url, cl_participants_id from recordings where recording_url like '101%';"
    )
    assert await database.answer(sql, 3) == {
        "count": 2,
        "rows": [
            {
                "recording_url": "101/[Smith, John]_101-7196403939_20260224201047(789).wav",
                "cl_participants_id": 11,
            },
            {
                "recording_url": "101/[Smith, John]_101-7196400001_20260301090000(790).wav",
                "cl_participants_id": None,
            },
        ],
    }


async def test_the_tables_values_are_readable(database: ReadDatabase) -> None:
    answer = await database.answer(
        "select start_time, archived, transcription, cdr_id from recordings where id_recording = 2",
        0,
    )
    assert answer["rows"] == [
        {
            "start_time": "2026-03-01T09:00:00Z",
            "archived": False,
            "transcription": None,
            "cdr_id": "00000000-01dc-688a-2607-57e500000c10",
        }
    ]
    answer = await database.answer(
        "select time_start, ts_waiting, from_displayname from callcent_queuecalls", 0
    )
    assert answer["rows"] == [
        {
            "time_start": "2026-02-24T20:10:00",
            "ts_waiting": "00:00:00.543344",
            "from_displayname": "Desk 2, Front",
        }
    ]
    answer = await database.answer(
        "select sum(billing_cost) cost, sum(billing_duration) during, count(*) from "
        "cl_participants",
        0,
    )
    assert answer["rows"] == [{"cost": 43837.5, "during": "34:47:30", "count": 500}]


@pytest.mark.parametrize(
    ("count", "rows"), [(0, 100), (1, 1), (3, 3), (200, 200), (201, 201), (10**12, 500)]
)
async def test_count_is_the_most_rows_and_none_means_a_hundred(
    database: ReadDatabase, count: int, rows: int
) -> None:
    answer = await database.answer("select id from cl_participants order by id", count)
    assert answer == {"count": rows, "rows": [{"id": n} for n in range(1, rows + 1)]}


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as n",
        " \n select 1 as n ; ",
        "select 1 as n; -- that is all",
        "/* one */ SELECT 1 AS n -- two",
        "values (1)",
        "table one_row",
        "with t as (select 1 as n) select n from t",
        "(select 1 as n)",
    ],
)
async def test_every_form_of_a_query_passes(
    database: ReadDatabase, admin: asyncpg.Connection, sql: str
) -> None:
    await admin.execute("CREATE TABLE IF NOT EXISTS one_row AS SELECT 1 AS n")
    await admin.execute(f"GRANT SELECT ON one_row TO {pbx_database.READER}")
    assert [list(row.values()) for row in (await database.answer(sql, 0))["rows"]] == [[1]]


async def test_no_rows_are_no_failure(database: ReadDatabase) -> None:
    assert await database.answer("select 1 where false", 0) == {"count": 0, "rows": []}


NO_QUERY = [
    "",
    ";",
    "-- nothing",
    "insert into recordings (call_type) values (1)",
    "update recordings set emailed = true",
    "delete from recordings",
    "truncate recordings",
    "drop table recordings",
    "create table made (n int)",
    "create temporary table made (n int)",
    "select * into made from recordings",
    "with gone as (delete from recordings returning *) select * from gone",
    "with made as (insert into recordings (call_type) values (1) returning *) select * from made",
    "select 1; select 2",
    "select 1; drop table recordings",
    "select 1; commit; drop table recordings",
    "select 1;; delete from recordings; --",
    "copy recordings to program 'touch /tmp/callmon-was-here'",
    "copy recordings to stdout",
    "copy recordings from program 'id'",
    "set transaction read write",
    "commit",
    "rollback; delete from recordings",
    "begin",
    "do $$ begin delete from recordings; end $$",
    "call something()",
    "explain analyze delete from recordings",
    "explain select 1",
    "show all",
    "set role postgres",
    "reset all",
    "lock table recordings",
    "listen anything",
    "notify anything",
    "prepare p as delete from recordings",
    "execute p",
    "declare c cursor for select 1",
    "vacuum",
    "grant all on recordings to public",
    "alter role callmon superuser",
    "fetch all from answer",
    "close answer",
]


@pytest.mark.parametrize("sql", NO_QUERY)
async def test_what_is_not_one_query_is_refused_and_changes_nothing(
    database: ReadDatabase, admin: asyncpg.Connection, sql: str
) -> None:
    before = await inventory(admin)
    assert await code_of(database, sql) == "sql_not_a_query"
    assert await inventory(admin) == before


@pytest.mark.parametrize("nothing", ["/**/", "--\n", "(", "/*", " "])
async def test_a_refusal_reads_comments_and_parentheses_once(
    database: ReadDatabase, nothing: str
) -> None:
    assert await code_of(database, nothing * 40 + "!") in {"sql_not_a_query", "sql_error"}


@pytest.mark.parametrize(
    "sql",
    [
        "/* a /* nested */ comment */ select 1 +",
        "-- a line\n(select 1 +)",
        "/**/((/**/ values (1,",
        "with x as (",
    ],
)
async def test_a_query_with_a_mistake_is_told_as_one(database: ReadDatabase, sql: str) -> None:
    assert await code_of(database, sql) == "sql_error"


SIDE_EFFECTS = [
    ("select * from recordings for update", "read-only"),
    ("select 1 / 0", "division by zero"),
    ("select nothing from recordings", "does not exist"),
    ("select * from nothing", "does not exist"),
    ("select passwd from pg_shadow", "permission denied"),
    ("select $1", "placeholder"),
    ("select 1 from recordings where", "syntax error"),
    *(
        (f"select {call}", f"may not call {name}")
        for call, name in {
            "nextval('recordings_id_recording_seq')": "nextval",
            "setval('recordings_id_recording_seq', 900)": "setval",
            "lo_create(4711)": "lo_create",
            "lo_from_bytea(4711, 'x')": "lo_from_bytea",
            "set_config('transaction_read_only', 'off', true)": "set_config",
            "set_config('statement_timeout', '0', false)": "set_config",
            "query_to_xml('delete from recordings', true, true, '')": "query_to_xml",
            "pg_read_file('postgresql.conf')": "pg_read_file",
            "pg_ls_dir('.')": "pg_ls_dir",
            "lo_import('/etc/passwd')": "lo_import",
            "lo_export(1, '/tmp/callmon-was-here')": "lo_export",
            "pg_reload_conf()": "pg_reload_conf",
            "pg_switch_wal()": "pg_switch_wal",
            "pg_create_restore_point('x')": "pg_create_restore_point",
            "pg_drop_replication_slot('x')": "pg_drop_replication_slot",
            "pg_logical_emit_message(false, 'x', 'y')": "pg_logical_emit_message",
            "pg_notify('anything', 'x')": "pg_notify",
            "pg_advisory_lock(4711)": "pg_advisory_lock",
            "pg_terminate_backend(pg_backend_pid())": "pg_terminate_backend",
            "pg_sleep_for('1 s')": "pg_sleep_for",
            "pg_stat_reset()": "pg_stat_reset",
            "ts_stat('select 1')": "ts_stat",
            "database_to_xml(true, true, '')": "database_to_xml",
            "writes()": "writes",
            "reads_as_its_owner()": "reads_as_its_owner",
            # in other ways of writing it
            "PG_Notify ('anything', 'x')": "pg_notify",
            "pg_catalog . \"pg_notify\" /* ( */ --\n ('anything', 'x')": "pg_notify",
            "(interval '1 s').pg_sleep_for": "pg_sleep_for",
            "(array[interval '1 s'])[1] . pg_sleep_for as x": "pg_sleep_for",
            "U&\"pg\\005fnotify\"('anything', 'x')": "U&",
            "U&\"pg!005fnotify\" uescape '!' ('anything', 'x')": "U&",
            "$a$ ' $a$, pg_notify('anything', 'x')": "pg_notify",
            "E'\\'', pg_notify('anything', 'x'), '--'": "pg_notify",
            "'\\', pg_notify('anything', 'x'), '--'": "pg_notify",
            "1 --\r, pg_notify('anything', 'x')": "pg_notify",
            "1 from pg_notify('anything', 'x')": "pg_notify",
            "e'a'\n'\\'', pg_notify('anything', 'x'), '--'": "pg_notify",
            "e'a' -- a text goes on\r\t-- in a later line\n '\\'', pg_notify('anything', "
            "'x'), '--'": "pg_notify",
            "(5::bigint).pg_advisory_lock_shared\u00a0": "pg_advisory_lock_shared",
            f"{'n' * 63}_and_more()": "n" * 63,
        }.items()
    ),
]


@pytest.mark.parametrize(("sql", "says"), SIDE_EFFECTS)
async def test_functions_with_side_effects_have_none(
    database: ReadDatabase, admin: asyncpg.Connection, sql: str, says: str
) -> None:
    body = "returns int language plpgsql as $$ begin delete from recordings; return 1; end $$"
    await admin.execute(f"CREATE OR REPLACE FUNCTION writes() {body}")
    await admin.execute(
        "CREATE OR REPLACE FUNCTION reads_as_its_owner() RETURNS text LANGUAGE sql STABLE "
        "SECURITY DEFINER "
        "AS 'select rolpassword from pg_authid limit 1'"
    )
    await admin.execute(f"CREATE OR REPLACE FUNCTION {'n' * 63}() {body}")
    before = await inventory(admin)
    with pytest.raises(CommandRefused, match=re.escape(says)):
        await database.answer(sql, 0)
    assert await inventory(admin) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select 'pg_notify(1)' as x",
        "select $$ pg_notify(1) $$ as x",
        "select 1 as x -- pg_notify(1)",
        "select /* /* pg_notify( */ set_config( */ 1 as x",
        "select 1 as pg_notify",
        'select "a""pg_notify(" from (select 1 as "a""pg_notify(") t',
        "select e'\\' pg_notify(1)' as x",
        (
            "select count(*), now(), random(), upper('x'), clock_timestamp() from recordings "
            "tablesample system (100)"
        ),
        "select pg_size_pretty(pg_total_relation_size('recordings')), pg_sleep(0)",
    ],
)
async def test_what_only_looks_like_a_call_or_computes_is_answered(
    database: ReadDatabase, sql: str
) -> None:
    assert (await database.answer(sql, 0))["count"] == 1


_TELLS = "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('x', 'y'); RETURN $1; END $$"
UNWRITTEN = {
    "an operator": (
        (
            f"CREATE FUNCTION tells(int, int) RETURNS int {_TELLS}; "
            "CREATE OPERATOR @@# (LEFTARG = int, RIGHTARG = int, FUNCTION = tells)"
        ),
        ["select 1 @@# 2", "select 1 operator(public.@@#) 2", "select 1 @@# -2"],
        "the operator @@#",
        "DROP FUNCTION tells(int, int) CASCADE",
    ),
    "an operator on a function of PostgreSQL": (
        "CREATE OPERATOR @@# (RIGHTARG = bigint, FUNCTION = pg_try_advisory_lock)",
        ["select @@# 4711"],
        "the operator @@#",
        "DROP OPERATOR @@# (NONE, bigint)",
    ),
    "an operator that LIKE stands for": (
        (
            f"CREATE FUNCTION tells(int, int) RETURNS int {_TELLS}; "
            "CREATE OPERATOR ~~ (LEFTARG = int, RIGHTARG = int, FUNCTION = tells)"
        ),
        ["select 1 like 2"],
        "the operator ~~",
        "DROP FUNCTION tells(int, int) CASCADE",
    ),
    "an aggregate": (
        (
            f"CREATE FUNCTION tells(int, int) RETURNS int {_TELLS}; "
            "CREATE AGGREGATE all_of(int) (SFUNC = tells, STYPE = int, INITCOND = '0')"
        ),
        ["select all_of(1)"],
        "all_of",
        "DROP FUNCTION tells(int, int) CASCADE",
    ),
    "an aggregate's last step": (
        (
            f"CREATE FUNCTION tells(int) RETURNS int {_TELLS}; "
            "CREATE AGGREGATE all_of(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = tells)"
        ),
        ["select all_of(1)"],
        "all_of",
        "DROP FUNCTION tells(int) CASCADE",
    ),
    "a default argument": (
        (
            f"CREATE FUNCTION tells(int) RETURNS int {_TELLS}; "
            "CREATE FUNCTION twice(int DEFAULT tells(1)) RETURNS int STABLE LANGUAGE sql "
            "AS 'SELECT $1'"
        ),
        ["select twice()"],
        "twice",
        "DROP FUNCTION twice; DROP FUNCTION tells",
    ),
    "the name of an allowed function": (
        f"CREATE FUNCTION random(int) RETURNS int {_TELLS}",
        ["select random(1)", "select public.random(1)"],
        "random",
        "DROP FUNCTION public.random(int)",
    ),
    "an allowed function with its owner's rights": (
        (
            "CREATE FUNCTION uuidv7(int) RETURNS int STABLE SECURITY DEFINER LANGUAGE sql "
            "AS 'SELECT 1'"
        ),
        ["select uuidv7(1)"],
        "uuidv7",
        "DROP FUNCTION public.uuidv7(int)",
    ),
    "SQL in an argument": (
        (
            "CREATE EXTENSION tablefunc; CREATE FUNCTION turned(text) RETURNS SETOF record "
            "STABLE STRICT LANGUAGE c AS '$libdir/tablefunc', 'crosstab'"
        ),
        [
            f"select * from {name}($$select 'a'::text, 'b'::text, pg_notify('x', 'y')::text$$) "
            "as t (a text, b text)"
            for name in ("crosstab", "public . crosstab", "turned")
        ],
        "t",
        "DROP FUNCTION turned; DROP EXTENSION tablefunc",
    ),
}


@pytest.mark.parametrize("way", UNWRITTEN)
async def test_what_is_called_in_another_way_than_by_its_name_is_found(
    database: ReadDatabase, admin: asyncpg.Connection, way: str
) -> None:
    made, statements, says, gone = UNWRITTEN[way]
    await admin.execute(made)
    try:
        for sql in statements:
            await admin.execute(sql)  # it is valid, and would be carried out
            with pytest.raises(CommandRefused, match=f"may not call .*{re.escape(says)}") as caught:
                await database.answer(sql, 0)
            assert caught.value.code == "sql_function_refused"
    finally:
        await admin.execute(gone)
    assert (await database.answer("select random() + 1 - -1 where 'a' like 'a'", 0))["count"] == 1


async def test_no_query_takes_a_transactions_number(
    database: ReadDatabase, admin: asyncpg.Connection
) -> None:
    sql = "select pg_snapshot_xmax(pg_current_snapshot())::text"
    before = await admin.fetchval(sql)
    for name in ("txid_current", "pg_current_xact_id"):
        assert await code_of(database, f"select {name}()") == "sql_function_refused"
    assert await admin.fetchval(sql) == before


@pytest.mark.parametrize("wrong", ["\0", "\ud800"])
async def test_characters_that_no_text_has_are_an_error_of_the_sql(
    database: ReadDatabase, wrong: str
) -> None:
    with pytest.raises(
        CommandRefused, match=rf"U\+{ord(wrong):04X} as character 9, .*leave it out"
    ):
        await database.answer(f"select '{wrong}'", 0)
    assert await code_of(database, f"select pg_notify{wrong}('a', 'b')") == "sql_error"


PIECES = (
    *(
        "'",
        "''",
        "e'",
        "E'",
        "u&'",
        "b'",
        "n'",
        '"',
        'u&"',
        "\\",
        "\\'",
        "$$",
        "$a$",
        "$1",
        "/*",
        "*/",
        "--",
        "//*",
    ),
    *(
        "\n",
        "\r",
        " ",
        "\t",
        "a",
        "e",
        "1",
        "0x",
        "1e",
        "_",
        ",",
        "||",
        "-",
        "*",
        "zz_called()",
        "é",
        "\u00a0",
    ),
)
TEXT_PIECES = ("'", "\n", "\\'", "--\n", ", zz_called()", ", ", "\\", " ")


async def test_what_the_server_takes_for_a_call_is_found(admin: asyncpg.Connection) -> None:
    """Parse random pieces on a server without ``zz_called``: our check must have found it first."""
    chance, reached = Random(11), 0
    while reached < 300:
        pieces = chance.choices(PIECES, k=chance.randint(1, 9))
        if chance.random() < 0.5:
            pieces = ["e'", *chance.choices(TEXT_PIECES, k=chance.randint(1, 9))]
        sql = f"select {''.join(pieces)}, zz_called()"
        sql += chance.choice(("", "--'", " -- $$", "/* ' */", ", ''", ", e'\\''"))
        try:
            await admin.prepare(sql)
        except asyncpg.UndefinedFunctionError as error:
            if "function zz_called() does not exist" in str(error):
                reached += 1
                assert "zz_called" in called_in(sql), sql
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            continue


async def test_a_sort_or_hash_is_given_little_memory(database: ReadDatabase) -> None:
    sql = (
        "select current_setting('work_mem') as m, current_setting('hash_mem_multiplier') as h, "
        "current_setting('max_parallel_workers_per_gather') as w"
    )
    assert (await database.answer(sql, 0))["rows"] == [{"m": "4MB", "h": "1", "w": "0"}]


class CountingExecutor(ThreadPoolExecutor):
    """Threads, and how often they were given something to do."""

    given = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.given += 1
        return super().submit(*args, **kwargs)


async def test_what_is_answered_is_read_off_the_event_loop(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = CountingExecutor(1)
    monkeypatch.setattr(client, "_ENCODER", executor)
    tree = "[" * 300 + "]" * 300
    answer = await ReadDatabase(settings).answer(f"select '{tree}'::jsonb as x", 0)
    assert json.dumps(answer["rows"][0]["x"]) == tree
    assert executor.given == 1


async def test_times_addresses_and_numbers_are_read_off_the_event_loop(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            threads.append(threading.current_thread())
            return function(*arguments)

        return noted

    for name in ("_civil", "_clock", "ip_address", "_number"):
        monkeypatch.setattr(values, name, noting(getattr(values, name)))
    await ReadDatabase(settings).answer("select current_date, localtime, '::1'::inet, 1.5", 0)
    assert len(threads) == 4
    assert threading.current_thread() not in threads


async def gone(admin: asyncpg.Connection) -> None:
    """Wait until none of our connections is left at the server."""
    await found(
        admin, f"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = '{pbx_database.READER}'"
    )


async def asleep(admin: asyncpg.Connection) -> None:
    """Wait until somebody's query sleeps at the server."""
    await found(admin, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")


async def found(admin: asyncpg.Connection, sql: str) -> None:
    while not await admin.fetchval(sql):  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "sql",
    [
        "select pg_sleep(3600)",
        "select count(*) from generate_series(1, 1000000000000)",
        "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t",
        (
            "select count(*) from cl_participants a, cl_participants b, cl_participants c, "
            "cl_participants d"
        ),
    ],
)
async def test_an_endless_query_is_stopped_at_the_server(
    settings: DatabaseSettings, admin: asyncpg.Connection, sql: str
) -> None:
    hasty = ReadDatabase(replace(settings, timeout=1.0))
    assert await code_of(hasty, sql, 10**6) == "sql_timeout"
    await gone(admin)


async def test_of_an_endless_answer_only_the_wanted_rows_are_made(database: ReadDatabase) -> None:
    answer = await database.answer(
        "with recursive t as (select 1 as n union all select n + 1 from t) table t", 5
    )
    assert answer["rows"] == [{"n": n} for n in range(1, 6)]


async def test_who_gives_up_leaves_nothing_behind(
    database: ReadDatabase, admin: asyncpg.Connection
) -> None:
    asked = asyncio.create_task(database.answer("select pg_sleep(1.8)", 0))
    await asleep(admin)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await gone(admin)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong"}, "refuses callmon: "),
        ({"user": "nobody-there"}, "refuses callmon: "),
        ({"name": "nothing"}, "cannot be used"),
        ({"tls": "verify"}, "has no TLS"),
    ],
)
async def test_a_wrong_setting_is_said_in_words(
    settings: DatabaseSettings, change: dict[str, str], says: str
) -> None:
    with pytest.raises(CommandRefused, match=says) as caught:
        await ReadDatabase(replace(settings, **change)).answer("select 1", 0)  # type: ignore[arg-type]
    assert caught.value.code == "sql_unavailable"
    assert pbx_database.PASSWORD not in str(caught.value)


async def test_a_database_that_is_away_is_unreachable(settings: DatabaseSettings) -> None:
    with pytest.raises(PbxUnreachable, match="cannot be reached"):
        await ReadDatabase(replace(settings, port=1)).answer("select 1", 0)


async def test_a_session_that_is_ended_is_unreachable(
    settings: DatabaseSettings, admin: asyncpg.Connection
) -> None:
    asked = asyncio.create_task(
        ReadDatabase(replace(settings, timeout=30.0)).answer("select pg_sleep(20)", 0)
    )
    await asleep(admin)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    )
    with pytest.raises(PbxUnreachable, match="was lost"):
        await asked


async def test_a_server_that_is_killed_in_the_middle_is_unreachable(
    settings: DatabaseSettings,
) -> None:
    with postgres() as other:
        await pbx_database.make(other)
        doomed = ReadDatabase(replace(settings, port=other.port, timeout=30.0))
        asked = asyncio.create_task(doomed.answer("select pg_sleep(20)", 0))
        admin = await other.admin()
        await asleep(admin)
        other.process.send_signal(signal.SIGQUIT)
        with pytest.raises(PbxUnreachable):
            await asked
        admin.terminate()


@pytest.mark.parametrize(
    "sql",
    [
        "select string_agg(repeat('x', 10000), '') as x from generate_series(1, 30000)",
        "select repeat('x', 10000) as x from generate_series(1, 30000)",
        "select array_agg(n) as x from generate_series(1, 20000000) n",
        "select decode(repeat('00', 60000), 'hex') as x from generate_series(1, 15)",
    ],
    ids=["a huge row", "many rows", "a huge array", "large in JSON alone"],
)
async def test_a_huge_answer_is_cut_before_it_is_held(settings: DatabaseSettings, sql: str) -> None:
    patient = ReadDatabase(replace(settings, timeout=30.0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await code_of(patient, sql, 30_000) == "sql_too_large"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more"


async def test_the_answer_may_be_as_large_as_is_allowed(settings: DatabaseSettings) -> None:
    small = ReadDatabase(replace(settings, max_answer_bytes=4096))
    assert (await small.answer("select repeat('x', 4000) as x", 0))["count"] == 1
    assert await code_of(small, "select repeat('x', 4096) as x") == "sql_too_large"


@pytest.mark.parametrize("kind", ["json", "jsonb"])
@pytest.mark.parametrize("depth", [400, 401, 480, 600, 900, 990, 1200, 5000])
async def test_json_nested_too_deeply_is_told_as_text(
    database: ReadDatabase, kind: str, depth: int
) -> None:
    tree = "[" * depth + "]" * depth
    answer = await database.answer(f"select '{tree}'::{kind} as x", 0)
    told = answer["rows"][0]["x"]
    assert (told == json.loads(tree)) if depth <= 400 else (told == tree)


async def test_rows_nested_too_deeply_are_an_error_of_the_sql(database: ReadDatabase) -> None:
    depth = 1_500
    sql = f"select {'row(' * depth}1{')' * depth} as x"
    with pytest.raises(CommandRefused, match="nested too deeply"):
        await database.answer(sql, 0)


@contextmanager
def peak_of_objects(most_mib: int) -> Iterator[None]:
    """See that Python's objects take no more than that while the context is entered."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert peak < most_mib, f"{peak:.0f} MiB"


async def test_json_is_counted_before_it_is_read(settings: DatabaseSettings) -> None:
    patient = ReadDatabase(replace(settings, timeout=30.0))
    with peak_of_objects(20):
        assert await code_of(
            patient, "select ('[' || repeat('[],[],[],[],[],[],', 100000) || '[]]')::json"
        ) == ("sql_too_large")


NAMED = ", ".join(f'null as "{number:_>59}"' for number in range(1_600))
MANY_DIGITS = f"1.{'0' * 16_383}"


@pytest.mark.parametrize(
    "sql",
    [
        f"select array_agg({MANY_DIGITS}) as x from generate_series(1, 5000)",
        f"select array_agg(numrange(0, {MANY_DIGITS})) as x from generate_series(1, 5000)",
        f"select {NAMED} from generate_series(1, 200)",
    ],
    ids=["zeros that were not sent", "such zeros in ranges", "names in each row"],
)
async def test_what_grows_as_it_is_read_is_counted_before(
    settings: DatabaseSettings, sql: str
) -> None:
    patient = ReadDatabase(replace(settings, timeout=30.0))
    with peak_of_objects(20):
        assert await code_of(patient, sql) == "sql_too_large"


async def test_large_answers_are_read_one_after_the_other(settings: DatabaseSettings) -> None:
    patient = client.Database(replace(settings, timeout=30.0))
    sql = "select ('[' || repeat('{\"a\":0},', 60000) || '{}]')::json as x"
    with peak_of_objects(35):  # one as objects is 15
        answers = await asyncio.gather(*(patient.answer(sql, 0) for _ in range(3)))
    assert [answer[:20] for answer in answers] == [b'{"count":1,"rows":[{'] * 3
