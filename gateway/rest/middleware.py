"""Add security headers to every HTTP response, and write one log line without a key in it."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.operations.operation_table import RESERVED
from gateway.responses import guarded
from gateway.rest.endpoint import KEY_NAME, REFUSED_KEY
from gateway.rest.request_id import TRACE
from gateway.token_bucket import LogBudget

_SHOWN_PARTS = RESERVED | {
    "",
    "webapi",
    "healthz",
    "readyz",
    "static",
    "wall",
    "fleet",
    "help",
    "help.ru",
    "start",
    "vendor",
    "callmon.js",
    "callmon.d.ts",
    "theme.js",
}
_MOST_PARTS = 8
_log = structlog.get_logger(__name__)


def redacted(path: str, public: Container[str] = ()) -> str:
    """Return the path with every part that might be a key replaced by ``*``.

    A query string is never logged. ``public``: more parts that are not keys. At most 8 parts are
    shown; no address has more.
    """
    parts = path.split("/", _MOST_PARTS)[:_MOST_PARTS]
    return "/".join(
        part if part in _SHOWN_PARTS or part in RESERVED or part in public else "*"
        for part in parts
    )


class SecurityHeaders:
    """Add the security headers to every response that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_guards(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = guarded(message["headers"])
            await send(message)

        await self._app(scope, receive, with_guards)


class AccessLog:
    """Log every HTTP request: refusals at info, successes at debug, faults at warning.

    All but successes are rationed, for each key by itself and for all requests without a valid key
    together, so that nobody can fill the log. Lines of refusals without a valid key hold the
    client's address and the first digits of the refused key's digest, so that attempts to guess
    keys can be seen. ``public``: parts of paths that are not keys.
    """

    def __init__(self, app: ASGIApp, public: Container[str] = ()) -> None:
        self._app = app
        self._public = public
        self._rations: dict[str | None, LogBudget] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._line(scope, status, time.perf_counter() - started)

    def _line(self, scope: Scope, status: int, seconds: float) -> None:
        more: dict[str, object] = {}
        if status == 0 or status >= 400:
            left_out = self._left_out(scope.get(KEY_NAME))
            if left_out is None:
                return
            if KEY_NAME not in scope:
                client = scope.get("client")
                more = {"address": client[0] if client else None}
                more |= {"refused_key": scope[REFUSED_KEY]} if REFUSED_KEY in scope else {}
            more |= {"left_out": left_out} if left_out else {}
        _line(scope, redacted(scope["path"], self._public), status, seconds, more)

    def _left_out(self, key: str | None) -> int | None:
        """Return how many lines of this key's requests were left out; None: leave this out too.

        ``key``: the key's name; None: all requests without a valid key.
        """
        now = time.monotonic()
        ration = self._rations.get(key)
        if ration is None:
            ration = self._rations[key] = LogBudget(now)
        return ration.take(now)


def _line(scope: Scope, path: str, status: int, seconds: float, more: Mapping[str, object]) -> None:
    write = (
        _log.warning if status == 0 or status >= 500 else _log.info if status >= 400 else _log.debug
    )
    write(
        "http_request",
        method=scope["method"],
        path=path,
        status=status,
        ms=round(seconds * 1000, 1),
        key=scope.get(KEY_NAME),
        **({"trace": scope[TRACE]} if TRACE in scope else {}),
        **more,
    )
