"""Translate PostgreSQL's refusals into those of the documented interface."""

from __future__ import annotations

import ssl
from typing import Final

import asyncpg

from monitor.pbx.database.allowed_functions import first_word
from monitor.shared.errors import CommandRefused, PbxBusy, PbxUnreachable

_QUERIES: Final = frozenset({"select", "values", "with", "table"})


def refusal(error: Exception, sql: str, timeout: float) -> CommandRefused | PbxUnreachable:
    """Return what to tell the caller whose statement ended in ``error``.

    ``timeout``: the seconds that the statement had.
    """
    match error:
        case asyncpg.QueryCanceledError() | TimeoutError():
            return CommandRefused(
                "sql_timeout", f"The query took longer than {timeout:g} seconds.", "bad"
            )
        case asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError() | OSError():
            return PbxUnreachable(f"The connection to the database was lost: {error}")
        case asyncpg.PostgresSyntaxError() | asyncpg.FeatureNotSupportedError() if not _is_query(
            sql, error
        ):
            text = (
                "The SQL must be one query: a single SELECT, VALUES, TABLE or WITH that "
                "changes nothing."
            )
            return CommandRefused(
                "sql_not_a_query", f"{text} The database says: {_said(error)}", "bad"
            )
        case asyncpg.PostgresError():
            return CommandRefused(
                "sql_error", f"The database refuses the SQL: {_said(error)}", "bad"
            )
        case asyncpg.InterfaceError() if "closed" in str(error):
            return PbxUnreachable(f"The connection to the database was lost: {error}")
        case asyncpg.InterfaceError() if "argument" in str(error):
            text = "The SQL has a placeholder such as $1; write the value into it."
            return CommandRefused("sql_error", text, "bad")
    text = f"The answer holds a value that cannot be read ({error}); cast its column to text."
    return CommandRefused("sql_error", text, "bad")


def unusable(error: Exception, where: str) -> CommandRefused | PbxUnreachable:
    """Return what to tell the caller when no connection can be made."""
    match error:
        case asyncpg.TooManyConnectionsError():
            return PbxBusy(
                f"The database at {where} takes no more connections now ({error}). "
                "Nothing was done; try again later."
            )
        case asyncpg.InvalidAuthorizationSpecificationError():
            return CommandRefused(
                "sql_unavailable", f"The database at {where} refuses callmon: {error}"
            )
        case asyncpg.InvalidCatalogNameError() | asyncpg.ClientConfigurationError():
            return CommandRefused(
                "sql_unavailable", f"The database at {where} cannot be used: {error}"
            )
        case ssl.SSLCertVerificationError():
            return CommandRefused(
                "sql_unavailable",
                f"The certificate of the database at {where} is not trusted "
                f"({error.verify_message}): give its "
                'authority as ca_file, or set tls = "require" to encrypt without checking it.',
            )
        case ConnectionError() if "rejected SSL upgrade" in str(error):
            text = (
                f'The database at {where} has no TLS: turn it on there, or set tls = "off" on '
                f"a network you trust."
            )
            return CommandRefused("sql_unavailable", text)
    text = f"The database at {where} cannot be reached ({str(error) or 'no answer in time'})"
    return PbxUnreachable(
        f"{text}: see host and port, whether PostgreSQL listens there, and firewalls."
    )


def _is_query(sql: str, error: Exception) -> bool:
    """Return whether the statement is a query, even if something in it is wrong.

    False if it is no query, or if there are several.
    """
    if isinstance(error, asyncpg.FeatureNotSupportedError) and "DECLARE CURSOR" in str(error):
        return False
    if "multiple commands" in str(error) or "INTO is not allowed" in str(error):
        return False
    return first_word(sql) in _QUERIES


def _said(error: asyncpg.PostgresError) -> str:
    """Return the database's own words as a sentence, with its hint."""
    hint = getattr(error, "hint", None)
    return (
        f"{error.args[0] if error.args else error}{f' ({hint})' if hint else ''}".removesuffix(".")
        + "."
    )
