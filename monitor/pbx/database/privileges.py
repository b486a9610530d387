"""Find out if a PostgreSQL role may do more than read, read secrets, or take many connections.

The role itself is checked, and every role that it is a member of, as a query may take on any of
these. Casts and domains may call functions whose names are not in the query. If such a function may
change something, the role must not have the right to call it. The right to make temporary tables is
accepted: they are gone with the session, and no cursor can fill one.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from monitor.pbx.database.allowed_functions import ALLOWED

NAMED_AT_MOST: Final = 5
"""Rights that are named in an answer."""

_FINDINGS: Final = r"""
WITH mine AS (
    SELECT oid, rolname FROM pg_catalog.pg_roles
    WHERE pg_catalog.pg_has_role(current_user, oid, 'MEMBER')
), spaces AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace
    WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
), relations AS (
    SELECT c.oid, pg_catalog.format('%I.%I', s.nspname, c.relname) AS name, c.relkind
    FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace
), unwritten AS (
    SELECT castfunc AS oid FROM pg_catalog.pg_cast WHERE castfunc <> 0
    UNION
    SELECT f[1]::oid
    FROM pg_catalog.pg_constraint,
        LATERAL pg_catalog.regexp_matches(conbin::text, ':(?:op)?funcid (\d+)', 'g') f
    WHERE contypid <> 0
)
SELECT 'is a superuser' FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT pg_catalog.format('may %s', what)
FROM pg_catalog.pg_roles, LATERAL (VALUES
    (rolcreaterole, 'make roles'), (rolcreatedb, 'make databases'), (rolreplication, 'replicate')
) AS rights (has, what)
WHERE rolname = current_user AND NOT rolsuper AND has
UNION ALL
SELECT pg_catalog.format('is a member of %s', rolname) FROM mine
WHERE rolname ~ '^pg_' AND rolname NOT IN
    ('pg_read_all_data', 'pg_read_all_stats', 'pg_stat_scan_tables')
UNION ALL
SELECT DISTINCT pg_catalog.format('may create in database %I', pg_catalog.current_database())
FROM mine WHERE pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CREATE')
UNION ALL
SELECT DISTINCT pg_catalog.format('may create in schema %I', s.nspname)
FROM mine, spaces s WHERE pg_catalog.has_schema_privilege(mine.oid, s.oid, 'CREATE')
UNION ALL
SELECT DISTINCT pg_catalog.format('may change %s', r.name)
FROM mine, relations r
WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f') AND (
    pg_catalog.has_table_privilege(mine.oid, r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    OR pg_catalog.has_any_column_privilege(mine.oid, r.oid, 'INSERT, UPDATE'))
UNION ALL
SELECT DISTINCT pg_catalog.format('may advance %s', r.name)
FROM mine, relations r
WHERE CASE WHEN r.relkind = 'S'
    THEN pg_catalog.has_sequence_privilege(mine.oid, r.oid, 'USAGE, UPDATE') ELSE false END
UNION ALL
SELECT pg_catalog.format(
    'may run %s by a cast or domain (declare it STABLE if it is, or REVOKE EXECUTE on it)',
    p.oid::regprocedure
)
FROM unwritten u JOIN pg_catalog.pg_proc p ON p.oid = u.oid
WHERE (p.provolatile = 'v' OR p.prosecdef)
    AND NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($1::text[]))
    AND EXISTS (
        SELECT FROM mine WHERE pg_catalog.has_function_privilege(mine.oid, p.oid, 'EXECUTE')
    )
"""

_SECRETS: Final = """
WITH mine AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(current_user, oid, 'MEMBER')
)
SELECT DISTINCT pg_catalog.format('may read %s', c.relname)
FROM mine, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname = 'pg_catalog' AND c.relname IN ('pg_authid', 'pg_shadow', 'pg_user_mapping')
    AND pg_catalog.has_any_column_privilege(mine.oid, c.oid, 'SELECT')
UNION
SELECT 'may read pg_subscription.subconninfo'
FROM mine WHERE pg_catalog.has_column_privilege(
    mine.oid, 'pg_catalog.pg_subscription', 'subconninfo', 'SELECT'
)
ORDER BY 1
"""

MOST_CONNECTIONS: Final = 8
"""Connections that the role may have at once: so many processes it can keep busy at most."""
_REMEDY: Final = """
SELECT pg_catalog.format('ALTER ROLE %I CONNECTION LIMIT %s', rolname, $1::integer)
FROM pg_catalog.pg_roles WHERE rolname = session_user AND rolconnlimit NOT BETWEEN 0 AND $1
"""


async def can_write(connection: asyncpg.Connection) -> str:
    """Return what the session's role may do besides reading, in words; empty if nothing.

    Raises asyncpg's errors.
    """
    found = [str(row[0]) for row in await connection.fetch(_FINDINGS, sorted(ALLOWED))]
    if "is a superuser" in found:
        return "is a superuser"
    more = f" and {len(found) - NAMED_AT_MOST} more" if len(found) > NAMED_AT_MOST else ""
    return ", ".join(found[:NAMED_AT_MOST]) + more


async def reads_secrets(connection: asyncpg.Connection) -> str:
    """Return which passwords the session's role may read, in words; empty if none.

    Raises asyncpg's errors.
    """
    return ", ".join([str(row[0]) for row in await connection.fetch(_SECRETS)])


async def unlimited(connection: asyncpg.Connection) -> str:
    """Return the SQL that limits the role's connections; empty if they are limited well.

    Raises asyncpg's errors.
    """
    return str(await connection.fetchval(_REMEDY, MOST_CONNECTIONS) or "")
