"""The short way for queries that are asked again and again, such as by pages that poll.

A GET that was answered once is remembered by its address and credentials: to whom it belongs, and what it asks. When it
comes again it is answered from that, past routing and parsing, with the same status, headers and body as the long way
would give. Whatever is out of the ordinary goes the long way: a changed key table, a spent budget, a refusal, a page
from another origin, a client that would wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answers import answer_headers, matches
from gateway.errors import Refused
from gateway.middleware import GUARDS
from gateway.webapi import REPEATABLE
from monitor.model.instants import moment

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.auth import ApiKey, KeyTable
    from gateway.pbxview import PbxView
    from gateway.spending import Spending
    from gateway.watching import Question
    from monitor.model.change import Position

MOST: Final = 4_096
"""Requests that are remembered; when there are more, all are forgotten."""

_LONG_WAY: Final = frozenset(
    {b"origin", b"prefer", b"callmon-min-position", b"content-length", b"transfer-encoding", b"range"}
)
_GUARDS: Final = [(name.lower().encode(), value.encode()) for name, value in GUARDS.items()]


@dataclass(slots=True, eq=False)
class _Known:
    """A request that was answered, and the answer at the position where it was asked last."""

    key: ApiKey
    view: PbxView
    question: Question
    version: int
    expires: float | None
    position: Position | None = None
    stale_since: str | None = None
    answer: Answer | None = None
    headers: list[tuple[bytes, bytes]] | None = None
    body_headers: list[tuple[bytes, bytes]] | None = None


class Repeats:
    """The ASGI application, with the short way before it. ``clock``: POSIX seconds."""

    def __init__(self, app: ASGIApp, keys: KeyTable, spending: Spending | None, clock: Callable[[], float]) -> None:
        self._app = app
        self._keys = keys
        self._spending = spending
        self._clock = clock
        self._known: dict[tuple[Any, ...], _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on whatever else the server has."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        authorization = api_key = tag = b""
        for name, value in scope["headers"]:
            if name in _LONG_WAY:
                await self._app(scope, receive, send)
                return
            if name == b"if-none-match":
                tag = value
            elif name == b"authorization":
                authorization = value
            elif name == b"x-api-key":
                api_key = value
        name_of_it = (scope["raw_path"], scope["query_string"], authorization, api_key)
        known = self._known.get(name_of_it)
        ready = None if known is None else self._ready(known, tag)
        if ready is not None:
            await send(ready[0])
            await send(ready[1])
            return
        await self._app(scope, receive, send)
        self._remember(name_of_it, scope)

    def _remember(self, name: tuple[Any, ...], scope: Scope) -> None:
        found = scope.get(REPEATABLE)
        if found is None:
            return
        key, view, question = found
        if key.networks:
            return  # where it comes from is looked at each time
        if len(self._known) >= MOST:
            self._known.clear()
        expires = None if key.expires is None else moment(key.expires).timestamp()
        self._known[name] = _Known(key, view, question, self._keys.version, expires)

    def _ready(self, known: _Known, tag: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The two messages that answer it; None if it must go the long way."""
        if known.version != self._keys.version or (known.expires is not None and self._clock() >= known.expires):
            return None
        replica = known.view.replica_of(known.question.command.space)
        moved = replica.position is not known.position or replica.stale_since != known.stale_since
        if moved and not self._asked(known):
            return None
        spent = [] if self._spending is None else self._spending.read_at_once(known.key)
        answer, headers = known.answer, known.headers
        if spent is None or answer is None or headers is None or known.body_headers is None:
            return None
        if tag and matches(tag.decode("latin-1"), answer.etag):
            return (
                {"type": "http.response.start", "status": 304, "headers": headers + spent},
                {"type": "http.response.body", "body": b""},
            )
        return (
            {"type": "http.response.start", "status": 200, "headers": known.body_headers + spent},
            {"type": "http.response.body", "body": answer.body},
        )

    @staticmethod
    def _asked(known: _Known) -> bool:
        """Ask at the position now. False if there is no answer."""
        replica = known.view.replica_of(known.question.command.space)
        try:
            answer = known.view.ask(known.question)
        except Refused:
            return False
        known.position, known.stale_since, known.answer = replica.position, replica.stale_since, answer
        pairs = answer_headers(answer, replica.stale_since)
        known.headers = [(name.lower().encode(), value.encode()) for name, value in pairs.items()] + _GUARDS
        known.body_headers = [
            *known.headers,
            (b"content-length", str(len(answer.body)).encode()),
            (b"content-type", b"application/json"),
        ]
        return True
