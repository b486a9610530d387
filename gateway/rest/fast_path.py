"""Answer repeated queries, such as those of pages that poll, on a fast path.

A GET that was answered once is remembered by its address and credentials, with its key and its
question. When the same GET comes again, it is answered from there, without routing and parsing.
Status, headers and body are the same as on the normal path. Everything unusual takes the normal
path: a changed key table, a spent budget, a refusal, a page from another origin, a client that
wants to wait.

Under uvicorn :class:`FastPathProtocol` answers as soon as a request's headers are there. Under
other servers :class:`QueryFastPath` does, as the ASGI application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.responses import guarded
from gateway.rest.endpoint import REPEATABLE
from gateway.rest.query_responses import answer_headers, matches
from gateway.transport.compression import takes_gzip
from gateway.transport.http_protocol import MOST_HEADERS, TimeoutHttpProtocol
from monitor.shared.timestamps import moment

if TYPE_CHECKING:
    from gateway.auth.api_keys import ApiKey, KeyTable
    from gateway.auth.shared_rate_limiter import RateLimiter
    from gateway.fanout.watched_queries import Question
    from gateway.pbx_context import PbxContext
    from gateway.queries.answer_cache import Answer
    from monitor.shared.changes import Position

MOST: Final = 4_096
"""Requests that are remembered, at most. When there are more, all are forgotten."""
MOST_BYTES: Final = 32 * 1024 * 1024
"""Bytes that are remembered, at most. When there are more, all are forgotten.

An answer that several requests share is counted once."""
LONGEST_NAME_BYTES: Final = 1_024
"""Bytes of the name of a remembered request, at most.

Longer requests take the normal path, so that padded ones cannot fill this memory."""
_OVERHEAD_BYTES: Final = 2_048
"""Bytes that a remembered request takes beside its name and its answer's body, about."""
_BEARER: Final = b"bearer "

_LONG_WAY: Final = (
    b"origin",
    b"prefer",
    b"callmon-min-position",
    b"content-length",
    b"transfer-encoding",
    b"range",
)
_READ: Final = (b"authorization", b"x-api-key", b"if-none-match", b"accept-encoding")
_MATTERS: Final = dict.fromkeys(_READ, True) | dict.fromkeys(_LONG_WAY, False)
"""Header that makes a difference → whether it is read here; else the request is unusual."""
_Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
_Name: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes]
"""Path, query, the headers with the key, and the encoding of the answer."""
_GZIP: Final = b"gzip"


@dataclass(slots=True, eq=False)
class _Known:
    """Remember a request that was answered, and its answer at the position of the last time."""

    key: ApiKey
    view: PbxContext
    question: Question
    tally: list[int]
    """Fast answers to its command; all requests of the command share this counter."""
    version: int
    expires: float | None
    gzip: bool = False
    """Whether the client takes a compressed answer."""
    position: Position | None = None
    stale_since: str | None = None
    answer: Answer | None = None
    body: bytes = b""
    """The answer as it is sent to this client."""
    held: tuple[bytes, ...] = ()
    """What it holds of the answer, in both forms if it needs both."""
    headers: _Headers = ()
    """Headers of a 304. An answer with a body has ``of_body`` besides."""
    of_body: _Headers = ()
    lines: bytes = b""
    """The same headers, encoded as the lines of a response."""
    lines_of_body: bytes = b""


class QueryFastPath:
    """Serve as the ASGI application, with the fast path before it.

    ``clock``: POSIX seconds. ``compression``: whether answers are compressed for clients that take
    it.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyTable,
        rate_limiter: RateLimiter | None,
        clock: Callable[[], float],
        *,
        compression: bool = True,
    ) -> None:
        self._compression = compression
        self._app = app
        self._keys = keys
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._known: dict[_Name, _Known] = {}
        self._holders: dict[int, int] = {}
        self._bytes = 0
        self._tallies: dict[str, list[int]] = {}

    @property
    def answered(self) -> Mapping[str, int]:
        """Return how many requests the fast path answered, by command."""
        return {command: tally[0] for command, tally in self._tallies.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass anything else to the application."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        asked = self._asked_for(scope["raw_path"], scope["query_string"], scope["headers"])
        if asked is None:
            await self._app(scope, receive, send)
            return
        name, tag = asked
        known = self._known.get(name)
        spent = None if known is None else self._spent(known)
        if known is None or known.answer is None or spent is None:
            version = (
                self._keys.version
            )  # read before the key is checked, as it may be revoked meanwhile
            await self._app(scope, receive, send)
            self._remember(name, scope, version)
            return
        known.tally[0] += 1
        if _has(tag, known.answer):
            await send(
                {"type": "http.response.start", "status": 304, "headers": [*known.headers, *spent]}
            )
            await send({"type": "http.response.body", "body": b""})
        else:
            headers = [*known.headers, *known.of_body, *spent]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": known.body})

    def at_once(
        self, url: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> tuple[bytes, bytes] | None:
        """Return a response's head and body, or None if the request must take the normal path.

        The head is the status line and the header lines, with the line end of the last one.
        """
        path, _, query = url.partition(b"?")
        asked = self._asked_for(path, query, headers)
        known = None if asked is None else self._known.get(asked[0])
        spent = None if known is None else self._spent(known)
        if asked is None or known is None or known.answer is None or spent is None:
            return None
        known.tally[0] += 1
        budget = b"".join([b"%s: %s\r\n" % pair for pair in spent])
        if _has(asked[1], known.answer):
            return b"HTTP/1.1 304 Not Modified\r\n" + known.lines + budget, b""
        return (
            b"HTTP/1.1 200 OK\r\n" + known.lines + known.lines_of_body + budget,
            known.body,
        )

    def _asked_for(
        self, path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> tuple[_Name, bytes] | None:
        return _asked_for(path, query, headers, compression=self._compression)

    def _remember(self, name: _Name, scope: Scope, version: int) -> None:
        found = scope.get(REPEATABLE)
        if found is None:
            return
        key, view, question = found
        if key.networks:
            return  # the client's address must be checked each time
        self._forget(name)
        cost = sum(map(len, name)) + _OVERHEAD_BYTES
        if len(self._known) >= MOST or self._bytes + cost > MOST_BYTES:
            self._forget_all()
        self._bytes += cost
        expires = None if key.expires is None else moment(key.expires).timestamp()
        tally = self._tallies.setdefault(question.command.name, [0])
        gzip = name[-1] == _GZIP
        self._known[name] = _Known(key, view, question, tally, version, expires, gzip)

    def _forget(self, name: _Name) -> None:
        known = self._known.pop(name, None)
        if known is not None:
            self._bytes -= sum(map(len, name)) + _OVERHEAD_BYTES
            self._let_go(known)

    def _forget_all(self) -> None:
        self._known.clear()
        self._holders.clear()
        self._bytes = 0

    def _hold(self, known: _Known) -> None:
        """Count the bytes of its answer, once for all requests that share it."""
        for data in known.held:
            holders = self._holders.get(id(data), 0)  # no other has this id while it is held
            self._holders[id(data)] = holders + 1
            if not holders:
                self._bytes += len(data)

    def _let_go(self, known: _Known) -> None:
        held, known.held = known.held, ()
        for data in held:
            if id(data) not in self._holders:
                continue
            self._holders[id(data)] -= 1
            if not self._holders[id(data)]:
                del self._holders[id(data)]
                self._bytes -= len(data)

    def _spent(self, known: _Known) -> Sequence[tuple[bytes, bytes]] | None:
        """Bring the answer up to date, count the request, and return the rate limit headers.

        Returns None if the request must take the normal path.
        """
        if known.version != self._keys.version or (
            known.expires is not None and self._clock() >= known.expires
        ):
            return None
        space = known.question.command.space
        position = known.view.replica_of(space).position
        moved = position is not known.position or known.view.stale_since(space) != known.stale_since
        if moved and not self._asked(known):
            return None
        known.view.demand.asks += 1
        return () if self._rate_limiter is None else self._rate_limiter.read_at_once(known.key)

    def _asked(self, known: _Known) -> bool:
        """Ask the query at the present position. Return False if there is no answer."""
        space = known.question.command.space
        try:
            answer = known.view.ask(known.question)
        except Exception:  # a refusal, or a fault in a site's query: the normal path says which
            return False
        known.position, known.stale_since = (
            known.view.replica_of(space).position,
            known.view.stale_since(space),
        )
        packed = answer.gzipped() if known.gzip else None
        if (
            answer is not known.answer and self._known
        ):  # if all is forgotten, this one is dropped too
            self._let_go(known)
            known.held = (answer.body,) if packed is None else (answer.body, packed)
            self._hold(known)
        known.answer, known.body = answer, answer.body if packed is None else packed
        if self._bytes > MOST_BYTES:
            self._forget_all()
        pairs = answer_headers(answer, known.stale_since, compressed=packed is not None)
        known.headers = tuple(
            guarded([(name.lower().encode(), value.encode()) for name, value in pairs.items()])
        )
        known.of_body = (
            *(() if packed is None else ((b"content-encoding", _GZIP),)),
            (b"content-length", str(len(known.body)).encode()),
            (b"content-type", b"application/json"),
        )
        known.lines, known.lines_of_body = (
            b"".join(b"%s: %s\r\n" % pair for pair in headers)
            for headers in (known.headers, known.of_body)
        )
        return True


class FastPathProtocol(TimeoutHttpProtocol):
    """Speak HTTP as uvicorn does, with the fast path before it.

    Use it as ``uvicorn.Config(http=partial(FastPathProtocol, repeats))``. It takes the fast path
    only while nothing else is under way on the connection: no request, and nothing that waits to
    be sent.
    """

    def __init__(self, fast_path: QueryFastPath, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._fast_path = fast_path
        self._answered = False

    def on_headers_complete(self) -> None:
        """Answer on the fast path if possible; otherwise do what uvicorn does."""
        parser, cycle = self.parser, cast("RequestResponseCycle | None", self.cycle)
        if (
            (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and self.host_allowed
            and parser.get_method() == b"GET"
            and not parser.should_upgrade()
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and (ready := self._fast_path.at_once(self.url, self.headers)) is not None
        ):
            head, body = ready
            own = b"".join([b"%s: %s\r\n" % pair for pair in self.server_state.default_headers])
            self.transport.write(b"".join((head, own, b"\r\n", body)))
            self._answered = True
            self.on_response_complete()
            return
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request that was answered on the fast path; otherwise do what uvicorn does."""
        if self._answered:
            self._answered = self._begun = False
        else:
            super().on_message_complete()


def _asked_for(
    path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]], *, compression: bool
) -> tuple[_Name, bytes] | None:
    """Return the request's name in the memory and its ``If-None-Match``; None if it is unusual.

    A header that comes twice is unusual too: the normal path reads only one of the two, and this
    function must not guess which.
    """
    if len(headers) > MOST_HEADERS:
        return None
    read: dict[bytes, bytes] = {}
    for name, value in headers:
        read_here = _MATTERS.get(name)
        if read_here is None:
            continue
        if not read_here or name in read:
            return None
        read[name] = value
    authorization = read.get(b"authorization")
    if authorization is not None and authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    accepted = read.get(b"accept-encoding", b"")
    gzip = compression and takes_gzip(accepted.decode("latin-1"))
    api_key = read.get(b"x-api-key", b"")
    asked = (path, query, authorization or b"", api_key, _GZIP if gzip else b"")
    if sum(map(len, asked)) > LONGEST_NAME_BYTES:
        return None
    return asked, read.get(b"if-none-match", b"")


def _has(tag: bytes, answer: Answer) -> bool:
    return bool(tag) and matches(tag.decode("latin-1"), answer.etag)
