r"""Find the functions that a statement calls, and which of them it must not call.

PostgreSQL lets everybody call functions that write a message into the log of changes, take locks,
read or send any data, or run other statements. All of these are VOLATILE in its catalogue. A
function that only computes need not be VOLATILE. So the rules are:

- A statement may call functions that are not volatile.
- It may call the few volatile functions in :data:`ALLOWED`, if only PostgreSQL's own have the name.
- It must not call a function that runs with its owner's rights (SECURITY DEFINER).
- It must not call a function that runs SQL from its arguments, makes a document of whole tables, or
  takes a transaction's number.
- It must not use an aggregate, an operator or a default argument that calls such a function.
  Casts and domains call functions too: see :mod:`monitor.pbx.database.privileges`.
- It must not read a view, or a table with a row security policy, that calls such a function, at
  any depth. Nor may it read a foreign table: nobody here sees what another server does for it.
  Materialised views call nothing when they are read, and the views that came with PostgreSQL are
  trusted. What a function calls in its body is vouched for by its author, who declared it.

The catalogue's ``pg_depend`` does not tell which of PostgreSQL's own functions a view calls, as
nobody could drop those. So the stored trees of views, policies and defaults are searched for the
numbers of functions, operators and relations. PostgreSQL's time limit bounds the search.

The names are found by PostgreSQL's rules for tokens (its documentation, "Lexical Structure"), in
one pass. ``(0.1).pg_sleep`` is a call too. A schema before a name is not looked at: it counts
whatever schema the function is in. A text goes on in the quotes of the next line, with the
rules of its first part: ``e'a'``, line break, ``'\''`` is one text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Final

import asyncpg

ALLOWED: Final = frozenset(
    (
        "array_sample", "array_shuffle", "bernoulli", "clock_timestamp", "gen_random_uuid",
        "pg_database_size", "pg_indexes_size", "pg_is_in_recovery", "pg_relation_size", "pg_sleep",
        "pg_table_size", "pg_total_relation_size", "random", "random_normal", "system", "timeofday",
        "uuidv4", "uuidv7",
    )
)  # fmt: skip
"""Volatile functions that leave nothing behind.

``pg_sleep`` ends with the statement's time at the latest."""
_RUNS_SQL: Final = re.compile(
    r"(?:table|schema|database|query|cursor)_to_xml\w*|crosstab\w*|connectby|xpath_table|dblink\w*"
    r"|txid_current|pg_current_xact_id"
)
"""Functions that are refused however they are declared.

``crosstab``, ``connectby`` and ``xpath_table`` are declared STABLE by their extensions, but run any
SQL. The last two take a number for the transaction, as if it wrote."""
_UNWRITTEN: Final = frozenset(
    ("=", "<>", "<", ">", "<=", ">=", "~", "!~", "~~", "!~~", "~~*", "!~~*")
)
"""Operators that a statement may use without writing them: IN, BETWEEN, LIKE, USING, ORDER BY."""
_CALLED: Final = r"""
WITH RECURSIVE refused AS (
    SELECT oid FROM pg_catalog.pg_proc
    WHERE (
        provolatile = 'v' OR prosecdef OR (
            probin ~ 'tablefunc|pgxml' AND prosrc ~ '^(crosstab|connectby|xpath_table)'
        )
    ) AND NOT (
        pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($2::text[])
    )
), reached (root, root_kind, kind, oid) AS (
    SELECT proname::text, 'function', 'function', oid FROM pg_catalog.pg_proc
    WHERE proname = ANY ($1::text[])
    UNION
    SELECT relname::text, 'relation', 'relation', oid FROM pg_catalog.pg_class
    WHERE relname = ANY ($3::text[]) AND pg_catalog.has_any_column_privilege(oid, 'SELECT')
    UNION
    SELECT r.root, r.root_kind, more.kind, more.oid
    FROM reached r, LATERAL (
        SELECT CASE
            WHEN found[1] IS NOT NULL THEN 'relation'
            WHEN found[2] IS NOT NULL THEN 'operator'
            ELSE 'function'
        END, coalesce(found[1], found[2], found[3])::oid
        FROM (
            SELECT w.ev_action::text
            FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
            WHERE r.kind = 'relation' AND c.oid = r.oid AND c.relkind = 'v' AND w.ev_type = '1'
            UNION ALL
            SELECT polqual::text FROM pg_catalog.pg_policy
            WHERE r.kind = 'relation' AND polrelid = r.oid AND polcmd IN ('r', '*')
            UNION ALL
            SELECT proargdefaults::text FROM pg_catalog.pg_proc
            WHERE r.kind = 'function' AND oid = r.oid
        ) trees (tree), LATERAL pg_catalog.regexp_matches(
            tree,
            ':(?:relid (\d+)|\w*(?:opno|eqop|neop|sortop) (\d+)'
            '|\w*(?:funcid|fnoid|InRangeFunc|handler) (\d+))',
            'g'
        ) found
        UNION ALL
        SELECT 'relation', inhrelid FROM pg_catalog.pg_inherits
        WHERE r.kind = 'relation' AND inhparent = r.oid
        UNION ALL
        SELECT 'function', part
        FROM pg_catalog.pg_operator, LATERAL pg_catalog.unnest(
            ARRAY[oprcode, oprrest, oprjoin]::oid[]
        ) part
        WHERE r.kind = 'operator' AND oid = r.oid
        UNION ALL
        SELECT 'function', part
        FROM pg_catalog.pg_aggregate, LATERAL pg_catalog.unnest(ARRAY[
            aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn,
            aggmtransfn, aggminvtransfn, aggmfinalfn
        ]::oid[]) part
        WHERE r.kind = 'function' AND aggfnoid = r.oid
    ) more (kind, oid)
    WHERE r.oid >= 16384
)
SELECT DISTINCT r.root, r.root_kind, p.proname::text
FROM reached r JOIN pg_catalog.pg_proc p ON p.oid = r.oid
WHERE r.kind = 'function' AND (p.oid IN (SELECT oid FROM refused) OR p.proname ~ $4)
UNION
SELECT r.root, 'foreign', c.relname::text
FROM reached r JOIN pg_catalog.pg_class c ON c.oid = r.oid
WHERE r.kind = 'relation' AND c.relkind = 'f'
UNION
SELECT oprname::text, 'operator', '' FROM pg_catalog.pg_operator
WHERE oprcode::oid IN (SELECT oid FROM refused) OR oprrest::oid IN (SELECT oid FROM refused)
    OR oprjoin::oid IN (SELECT oid FROM refused)
"""
"""Query: numbers of the things that a statement uses → those that are refused.

Objects that came with PostgreSQL have numbers below 16384 (``FirstNormalObjectId``). Only what was
made later is searched."""
_SYMBOLS: Final = frozenset("+-*/<>=~!@#%^&|`?")
_SPACE: Final = " \t\n\r\f\v"
_LONGEST_NAME_BYTES: Final = 63
"""Bytes of a name that PostgreSQL keeps; it ignores the rest."""
_SMALL: Final = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
"""Capital letters → small ones, as in PostgreSQL: it changes no other letters."""
_LINE_END: Final = re.compile(r"[\r\n]")
_COMMENT_MARK: Final = re.compile(r"/\*|\*/")
_WORD: Final = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_ESCAPED: Final = ".U&"
"""Mark before a name whose letters are written as numbers.

It could be any name, so it is never allowed."""
_DOLLARS: Final = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")


async def forbidden(connection: asyncpg.Connection, sql: str) -> list[str]:
    """Return what a statement calls and must not call, in words, sorted.

    Raises asyncpg's errors.
    """
    called, symbols, names = await asyncio.to_thread(_read, sql)  # long ones take a while
    found = {name for name in called if name.startswith(_ESCAPED[1:]) or _RUNS_SQL.fullmatch(name)}
    runs_sql = f"^(?:{_RUNS_SQL.pattern})$"
    asked = sorted(called), sorted(ALLOWED), sorted(names), runs_sql
    for used, kind, refused in await connection.fetch(_CALLED, *asked):
        match kind:
            case "function":
                found.add(used)
            case "relation":
                found.add(f"{refused} by reading {used}")
            case "foreign":
                found.add(f"another server by reading {used}")
            case _ if used in _UNWRITTEN or used in symbols:
                found.add(f"the operator {used}")
    return sorted(found)


def _read(sql: str) -> tuple[set[str], str, set[str]]:
    return called_in(sql), symbols_in(sql), names_in(sql)


def symbols_in(sql: str) -> str:
    """Return the characters of operators in a statement, with a space for all that parts them.

    Each operator that the statement writes is a part of this text.
    """
    return "".join(piece if piece in _SYMBOLS else " " for piece in tokens(sql))


def called_in(sql: str) -> set[str]:
    """Return all names that may be functions: before a parenthesis, or behind a dot."""
    return set(map(_kept, _called_in(sql)))


def names_in(sql: str) -> set[str]:
    """Return all names and words of a statement. Each relation that it reads is among them.

    Names whose letters are written as numbers are not: see :func:`called_in`.
    """
    return {_kept(piece[1:]) for piece in tokens(sql) if len(piece) > 1}


def _kept(name: str) -> str:
    """Return what PostgreSQL keeps of a name."""
    return name.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")


def _called_in(sql: str) -> set[str]:
    names: set[str] = set()
    before = last = ""
    for piece in tokens(sql):
        if len(last) > 1 and (piece == "(" or before == "."):
            names.add(last[1:])
        if piece.startswith(_ESCAPED):
            names.add(piece[1:])
        before, last = last, piece
    if len(last) > 1 and before == ".":
        names.add(last[1:])
    return names


def first_word(sql: str) -> str:
    """Return the first word behind white space, comments and opening parentheses.

    Empty if there is none.
    """
    return next((found for found in tokens(sql) if found != "("), "")[1:]


def tokens(sql: str) -> Iterator[str]:
    """Yield each name as ``.`` and the name as PostgreSQL keeps it, all else as single characters.

    Comments and white space are left out. A text in quotes is one ``'``.
    """
    at = 0
    while at < len(sql):
        char = sql[at]
        if char in _SPACE:
            at += 1
        elif sql.startswith("--", at):
            at = end.start() if (end := _LINE_END.search(sql, at)) else len(sql)
        elif sql.startswith("/*", at):
            at = _behind_comment(sql, at)
        else:
            token, at = _token(sql, at, char)
            yield token


def _token(sql: str, at: int, char: str) -> tuple[str, int]:
    """Return the token that begins here, and where it ends."""
    if char == "'":
        return "'", _behind_quoted(sql, at, "'")
    if char == '"':
        end = _behind_quoted(sql, at, '"')
        return "." + sql[at + 1 : end - 1].replace('""', '"'), end
    if char == "$" and (tag := _DOLLARS.match(sql, at)):
        end = sql.find(tag[0], tag.end())
        return "'", len(sql) if end < 0 else end + len(tag[0])
    if word := _WORD.match(sql, at):
        name, end = word[0].translate(_SMALL), word.end()
        if name == "e" and sql.startswith("'", end):
            return "'", _behind_quoted(sql, end, "'", escapes=True)
        if name == "u" and sql.startswith('&"', end):
            end = _behind_quoted(sql, end + 1, '"')
            return _ESCAPED + sql[at + 2 : end], end
        return "." + name, end
    return char, at + 1


def _behind_quoted(sql: str, at: int, quote: str, *, escapes: bool = False) -> int:
    """Return where the quoted piece that begins here ends. It may go on in later lines."""
    at = _behind_quote(sql, at, quote, escapes)
    while escapes and (more := _next_part(sql, at)) is not None:
        at = _behind_quote(sql, more, quote, escapes)
    return at


def _next_part(sql: str, at: int) -> int | None:
    """Return where a text that ended here goes on, or None if it does not.

    It goes on at a quote in a later line. Only white space and ``--`` comments may stand between.
    """
    lines = False
    while at < len(sql):
        if sql[at] in _SPACE:
            lines = lines or sql[at] in "\r\n"
            at += 1
        elif sql.startswith("--", at):
            at = end.start() if (end := _LINE_END.search(sql, at)) else len(sql)
        else:
            return at if lines and sql[at] == "'" else None
    return None


def _behind_quote(sql: str, at: int, quote: str, escapes: bool) -> int:
    at += 1
    while at < len(sql):
        if escapes and sql[at] == "\\":
            at += 2
        elif sql[at] != quote:
            at += 1
        elif sql.startswith(quote, at + 1):
            at += 2
        else:
            return at + 1
    return len(sql)


def _behind_comment(sql: str, start: int) -> int:
    """Return where the comment that begins at ``start`` ends. PostgreSQL's comments nest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)
