"""Roles that may do more than read, or read too much: they are not used."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest

from monitor.pbx.database.client import Database, DatabaseSettings
from monitor.shared.errors import CommandRefused
from tests.monitor.pbx.database.test_client import code_of
from tests.pbx_database import ReadDatabase

pytestmark = pytest.mark.asyncio(loop_scope="module")


WRITERS = {
    "superuser": ("ALTER ROLE {} SUPERUSER", "is a superuser"),
    "role maker": ("ALTER ROLE {} CREATEROLE", "may make roles"),
    "database maker": ("ALTER ROLE {} CREATEDB", "may make databases"),
    "replication": ("ALTER ROLE {} REPLICATION", "may replicate"),
    "insert": ("GRANT INSERT ON recordings TO {}", "may change public.recordings"),
    "update of a column": (
        "GRANT UPDATE (emailed) ON recordings TO {}",
        "may change public.recordings",
    ),
    "delete for everybody": (
        "GRANT DELETE ON recordings TO PUBLIC",
        "may change public.recordings",
    ),
    "truncate": ("GRANT TRUNCATE ON recordings TO {}", "may change public.recordings"),
    "owner": ("ALTER TABLE recordings OWNER TO {}", "may change public.recordings"),
    "sequence": (
        "GRANT USAGE ON SEQUENCE cl_calls_id_seq TO {}",
        "may advance public.cl_calls_id_seq",
    ),
    "create in the schema": (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "may create in schema public",
    ),
    "create schemas": (
        "GRANT CREATE ON DATABASE database_single TO {}",
        "may create in database database_single",
    ),
    "writer of all": ("GRANT pg_write_all_data TO {}", "is a member of pg_write_all_data"),
    "programs": (
        "GRANT pg_execute_server_program TO {}",
        "is a member of pg_execute_server_program",
    ),
    "files": ("GRANT pg_read_server_files TO {}", "is a member of pg_read_server_files"),
    "member without inheriting": (
        "GRANT clerks TO {} WITH INHERIT FALSE",
        "may change public.recordings",
    ),
}


async def refusal(database: Database, says: str, code: str) -> str:
    """What is said to whoever checks the database or asks it something: the same."""
    for attempt in (database.check(), database.answer("select 1", 0)):
        with pytest.raises(CommandRefused, match=says) as caught:
            await attempt
        assert (caught.value.code, caught.value.kind) == (code, "conflict")
    return str(caught.value)


@pytest.mark.parametrize("right", WRITERS)
async def test_a_role_that_can_write_is_not_used(
    settings: DatabaseSettings, admin: asyncpg.Connection, right: str
) -> None:
    grant, says = WRITERS[right]
    role = "writer"
    for statement in (
        "CREATE ROLE clerks",
        "GRANT INSERT ON recordings TO clerks",
        f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 8",
        grant.format(role),
    ):
        await admin.execute(statement)
    writer = Database(replace(settings, user=role, password="x"))
    try:
        await refusal(writer, says, "sql_role_can_write")
    finally:
        await admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await admin.execute("REVOKE DELETE ON recordings FROM PUBLIC")
        await admin.execute("ALTER TABLE recordings OWNER TO postgres")
        for each in (role, "clerks"):
            await admin.execute(f"DROP OWNED BY {each}")
            await admin.execute(f"DROP ROLE {each}")


_TELLS = "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('x', 'y'); RETURN true; END $$"
UNWRITTEN = {
    "a cast": (
        "CREATE TYPE pair AS (a int, b int)",
        f"CREATE FUNCTION tells(pair) RETURNS boolean {_TELLS}",
        "CREATE CAST (pair AS boolean) WITH FUNCTION tells(pair)",
    ),
    "a domain": (
        f"CREATE FUNCTION tells(text) RETURNS boolean {_TELLS}",
        "CREATE DOMAIN told AS text CHECK (value <> '' AND (value = 'x' OR tells(value)))",
    ),
    "a domain's operator": (
        f"CREATE FUNCTION tells(text, text) RETURNS boolean {_TELLS}",
        "CREATE OPERATOR @@# (LEFTARG = text, RIGHTARG = text, FUNCTION = tells)",
        "CREATE DOMAIN told AS text CHECK (value @@# 'x')",
    ),
    "a domain with its owner's rights": (
        (
            "CREATE FUNCTION tells(text) RETURNS boolean STABLE SECURITY DEFINER LANGUAGE sql "
            "AS 'SELECT true'"
        ),
        "CREATE DOMAIN told AS text CHECK (tells(value))",
    ),
}


@pytest.mark.parametrize("way", UNWRITTEN)
async def test_a_role_that_may_change_something_by_a_cast_or_domain_is_not_used(
    database: Database, admin: asyncpg.Connection, way: str
) -> None:
    for statement in UNWRITTEN[way]:
        await admin.execute(statement)
    try:
        await refusal(database, r"may run tells\(.*REVOKE EXECUTE", "sql_role_can_write")
        await admin.execute("REVOKE EXECUTE ON FUNCTION tells FROM PUBLIC")
        assert "may only read" in await database.check()
    finally:
        await admin.execute("DROP FUNCTION tells CASCADE")
        await admin.execute("DROP TYPE IF EXISTS pair")
        await admin.execute("DROP DOMAIN IF EXISTS told")


async def test_a_domain_that_only_computes_is_no_reason_to_refuse_the_role(
    database: Database, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE DOMAIN dn AS text CHECK (value ~ '^[0-9]+$' AND random() < 2)")
    try:
        assert "may only read" in await database.check()
    finally:
        await admin.execute("DROP DOMAIN dn")


SECRETS = {
    "reader of all": ("GRANT pg_read_all_data TO {}", "may read pg_authid, may read pg_shadow"),
    "member without inheriting": (
        "GRANT pg_read_all_data TO {} WITH INHERIT FALSE",
        "may read pg_authid",
    ),
    "hashes alone": ("GRANT SELECT ON pg_shadow TO {}", "may read pg_shadow"),
    "a column of them": ("GRANT SELECT (rolpassword) ON pg_authid TO {}", "may read pg_authid"),
    "of other servers": (
        "GRANT SELECT (subconninfo) ON pg_subscription TO {}",
        "may read pg_subscription",
    ),
}


@pytest.mark.parametrize("right", SECRETS)
async def test_a_role_that_can_read_passwords_is_not_used(
    settings: DatabaseSettings, admin: asyncpg.Connection, right: str
) -> None:
    grant, says = SECRETS[right]
    await admin.execute("CREATE ROLE curious LOGIN PASSWORD 'x' CONNECTION LIMIT 8")
    await admin.execute(grant.format("curious"))
    curious = Database(replace(settings, user="curious", password="x"))
    try:
        await refusal(curious, says, "sql_role_reads_secrets")
    finally:
        await admin.execute("DROP OWNED BY curious")
        await admin.execute("DROP ROLE curious")


async def test_the_role_as_documented_may_only_read(database: Database) -> None:
    assert await database.check() == "PostgreSQL 18, database_single; callmon may only read"


async def test_a_role_with_one_table_may_read_that(
    settings: DatabaseSettings, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE ROLE narrow LOGIN PASSWORD 'x' CONNECTION LIMIT 8")
    await admin.execute("GRANT SELECT ON recordings TO narrow")
    narrow = ReadDatabase(replace(settings, user="narrow", password="x"))
    assert (await narrow.answer("select count(*) from recordings", 0))["rows"] == [{"count": 3}]
    assert await code_of(narrow, "select * from cl_calls") == "sql_error"


@pytest.mark.parametrize("limit", ["", "CONNECTION LIMIT 9"])
async def test_a_role_that_may_have_many_connections_is_not_used(
    settings: DatabaseSettings, admin: asyncpg.Connection, limit: str
) -> None:
    await admin.execute(f"CREATE ROLE \"Many\" LOGIN PASSWORD 'x' {limit}")
    many = Database(replace(settings, user="Many", password="x"))
    try:
        said = await refusal(many, "more than 8 connections", "sql_role_unlimited")
        remedy = said.partition("Run ")[2].partition(";")[0]
        assert remedy == 'ALTER ROLE "Many" CONNECTION LIMIT 8'
        await admin.execute(remedy)
        assert "may only read" in await many.check()
    finally:
        await admin.execute('DROP OWNED BY "Many"')
        await admin.execute('DROP ROLE "Many"')
