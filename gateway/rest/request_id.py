"""The id under which the logs of gateway and monitor speak of one command, and its caller too if he likes.

``X-Request-Id`` of the request is taken if it can stand in a log line; else one is made. The answer bears it.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from starlette.requests import Request

HEADER: Final = "X-Request-Id"
TRACE: Final = "callmon.trace"
"""Where in a request's scope it stands, for the log."""

_FIT = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")


def begin(request: Request) -> str:
    """The id of this request from now on."""
    given = request.headers.get(HEADER, "")
    trace: str = given if _FIT.fullmatch(given) else secrets.token_hex(8)
    request.scope[TRACE] = trace
    return trace


def trace_of(request: Request) -> str:
    """Its id; empty if it has none, as queries."""
    return str(request.scope.get(TRACE, ""))
