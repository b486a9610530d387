"""PostgreSQL's refusals in the words of the documented interface."""

from __future__ import annotations

import ssl

import asyncpg
import pytest

from monitor.pbx.database.error_mapping import refusal, unusable
from monitor.shared.errors import CommandRefused, PbxUnreachable

WHERE = "pbx:5432"


def code(error: Exception, sql: str = "select 1") -> str:
    """The word for it; empty if it may be tried again."""
    found = refusal(error, sql, 5.0)
    return found.code if isinstance(found, CommandRefused) else ""


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize("error", [asyncpg.QueryCanceledError("canceled"), TimeoutError()])
def test_a_query_that_was_stopped_is_told_its_time(error: Exception) -> None:
    found = refusal(error, "select 1", 2.5)
    assert isinstance(found, CommandRefused)
    assert (found.code, found.kind) == ("sql_timeout", "bad")
    assert str(found) == "The query took longer than 2.5 seconds."


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CrashShutdownError("crash"),
        ConnectionResetError("reset"),
        asyncpg.InterfaceError("the underlying connection is closed"),
    ],
)
def test_a_connection_that_was_lost_may_be_tried_again(error: Exception) -> None:
    assert isinstance(refusal(error, "select 1", 5.0), PbxUnreachable)


@pytest.mark.parametrize(
    ("sql", "error", "expected"),
    [
        ("selec 1", asyncpg.PostgresSyntaxError("syntax error"), "sql_not_a_query"),
        ("/* x */ (select 1 +)", asyncpg.PostgresSyntaxError("syntax error"), "sql_error"),
        ("VALUES (1", asyncpg.PostgresSyntaxError("syntax error"), "sql_error"),
        (
            "select 1; select 2",
            asyncpg.PostgresSyntaxError("cannot insert multiple commands into a statement"),
            "sql_not_a_query",
        ),
        (
            "with x as (delete from t returning 1) select 1",
            asyncpg.FeatureNotSupportedError("DECLARE CURSOR must not contain WITH"),
            "sql_not_a_query",
        ),
        (
            "select 1 into t",
            asyncpg.PostgresSyntaxError("SELECT ... INTO is not allowed here"),
            "sql_not_a_query",
        ),
        ("select x", asyncpg.UndefinedColumnError('column "x" does not exist'), "sql_error"),
        ("select $1", asyncpg.InterfaceError("the server expects 1 argument"), "sql_error"),
        ("select x", ValueError("year is out of range"), "sql_error"),
    ],
)
def test_a_mistake_in_a_query_is_told_from_what_is_none(
    sql: str, error: Exception, expected: str
) -> None:
    assert code(error, sql) == expected


def test_the_databases_own_words_come_with_its_hint_as_one_sentence() -> None:
    error = asyncpg.UndefinedColumnError('column "x" does not exist.')
    error.hint = "Perhaps you meant y."
    assert str(refusal(error, "select x", 5.0)) == (
        'The database refuses the SQL: column "x" does not exist. (Perhaps you meant y.).'
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), "refuses callmon: "),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), "cannot be used: "),
        (ConnectionError("PostgreSQL server rejected SSL upgrade"), "has no TLS"),
        (untrusted(), "is not trusted (self-signed certificate): give its authority as ca_file"),
    ],
)
def test_a_wrong_setting_is_told_as_one(error: Exception, says: str) -> None:
    found = unusable(error, WHERE)
    assert isinstance(found, CommandRefused)
    assert found.code == "sql_unavailable"
    assert f"at {WHERE}" in str(found)
    assert says in str(found)


@pytest.mark.parametrize(
    ("error", "says"),
    [(TimeoutError(), "(no answer in time)"), (ConnectionRefusedError("refused"), "(refused)")],
)
def test_a_database_that_is_away_may_be_tried_again(error: Exception, says: str) -> None:
    found = unusable(error, WHERE)
    assert isinstance(found, PbxUnreachable)
    assert says in str(found)
