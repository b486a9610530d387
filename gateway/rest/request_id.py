"""Give each command an id under which the logs of gateway and monitor name it.

The request's ``X-Request-Id`` is taken if it can stand in a log line. Otherwise a new id is
made. The response carries the id, so that the caller may log it too.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from starlette.requests import Request

HEADER: Final = "X-Request-Id"
TRACE: Final = "callmon.trace"
"""Scope entry with the request's id, for the log."""

_FIT = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")


def begin(request: Request) -> str:
    """Give this request its id, and return it."""
    given = request.headers.get(HEADER, "")
    trace: str = given if _FIT.fullmatch(given) else secrets.token_hex(8)
    request.scope[TRACE] = trace
    return trace


def trace_of(request: Request) -> str:
    """Return the request's id; an empty text if it has none, as queries have not."""
    return str(request.scope.get(TRACE, ""))
