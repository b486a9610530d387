"""Make JSON responses and refusals, and the headers that guard each response."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from starlette.responses import Response

from gateway.errors import INTERNAL, Refused, Shown, shown
from monitor.shared.codec import to_json

_GUARDS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
    ),
)
"""Keys may stand in addresses, so no page may tell others where it came from.

``connect-src``: a console or an extension of the browser on such an answer may ask this gateway.
"""

FAULT = "Something went wrong here; it has been logged."
"""Text for a client after a fault of our own; it says nothing more."""


class Reason(Struct, frozen=True):
    """The reason why a request failed."""

    code: str
    """A stable word."""
    message: str
    """A sentence for people; its wording may change."""


class Failure(Struct, frozen=True):
    """The body of every refusal."""

    result: bool
    """Always false."""
    error: Reason


def guarded(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return a response's headers, and those that guard it where it does not set them itself."""
    own = {name for name, _ in headers}
    return [*headers, *(guard for guard in _GUARDS if guard[0] not in own)]


def refuse(error: Refused, method: str) -> Response:
    """Return the response that says what was wrong."""
    return _failure(shown(error), str(error), method, error.headers)


def fault(method: str) -> Response:
    """Return the response to a fault of our own. It says nothing of the fault; the log does."""
    return _failure(INTERNAL, FAULT, method, {})


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None, *, head: bool = False
) -> Response:
    """Return JSON with these headers. It is not to be cached unless a header says so.

    ``head``: leave the body out, for a HEAD request.
    """
    all_headers = (
        {"Cache-Control": "no-store"} | (headers or {}) | {"Content-Length": str(len(body))}
    )
    return Response(b"" if head else body, status, all_headers, media_type="application/json")


def _failure(row: Shown, message: str, method: str, headers: dict[str, str]) -> Response:
    body = to_json(Failure(False, Reason(row.code, message)))
    return json_response(body, row.status, headers, head=method == "HEAD")
