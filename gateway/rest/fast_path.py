"""Answer repeated queries, such as those of pages that poll, on a fast path.

A query that was answered once is remembered by its method, its address, its credentials, its page's
origin and, of a POST, its body; with its key and its question. When the same comes again, it is
answered from there, without routing and parsing. Status, headers and body are the same as on the
normal path. Everything unusual takes the normal path: a changed key table, a spent budget, a
refusal, a client that would have to wait. So does a request for which a query must be asked anew,
once this took a few milliseconds: on the normal path the requests of a key take turns.

Under uvicorn :class:`FastPathProtocol` answers a GET as soon as its headers are there, and a POST
that came in one piece. All other forms are answered by :class:`QueryFastPath` as the ASGI
application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.responses import guarded
from gateway.rest.command_requests import is_reached
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
"""Bytes of the name of a remembered request, and of its body, at most.

Longer requests take the normal path, so that padded ones cannot fill this memory."""
ASKING_A_TURN_S: Final = 0.005
"""Seconds of asking queries anew, after which everything else has its turn."""
_PIECE_S: Final = 0.00025
"""Seconds of asking a query anew; less is not counted: another client has just asked the same."""
_OVERHEAD_BYTES: Final = 2_048
"""Bytes that a remembered request takes beside its name and its answer's body, about."""
_BEARER: Final = b"bearer "

_LONG_WAY: Final = (b"transfer-encoding", b"range")
_READ: Final = (
    b"authorization",
    b"x-api-key",
    b"callmon-pbx",
    b"if-none-match",
    b"accept-encoding",
    b"origin",
    b"prefer",
    b"callmon-min-position",
    b"content-length",
    b"content-type",
)
_MATTERS: Final = dict.fromkeys(_READ, True) | dict.fromkeys(_LONG_WAY, False)
"""Header that makes a difference → whether it is read here; else the request is unusual."""
_Ready: TypeAlias = tuple[bytes, bytes]
"""A response's head and body. The head is the status line and the header lines, with the line end
of the last one."""
_Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
_HeaderPairs: TypeAlias = Sequence[tuple[bytes, bytes]]
_Name: TypeAlias = tuple[bytes, ...]
"""Path, query, the headers with key and PBX, the page's origin and the encoding of the answer. Of a
POST also the type of its body, and then the body."""
_GZIP: Final = b"gzip"
_POST: Final = b"POST"
_ORIGIN, _ENCODING, _NAME_OF_POST = 5, 6, 9
"""Places in a request's name, and how long a POST's is without its body."""
_OF_PAGES: Final = b"access-control-"


@dataclass(slots=True)
class _Asked:
    """Hold what a request asks.

    ``tag``: its ``If-None-Match``. ``wait``: its ``Prefer``. ``position``: its
    ``Callmon-Min-Position``.
    """

    name: _Name
    tag: str
    wait: str
    position: str


class _Body:
    """Hold what was read of a request's body, so that it can be read again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[Message] = []
        self._given = 0

    async def __call__(self) -> Message:
        """Return the next message that was not returned yet, of those read or a new one."""
        message = self._read[self._given] if self._given < len(self._read) else await self._next()
        self._given += 1
        return message

    async def read(self) -> None:
        """Read the body to its end."""
        while not self._read or self._read[-1].get("more_body"):
            await self._next()

    @property
    def whole(self) -> bytes | None:
        """Return the body; None if it was not read to its end."""
        if not self._read or self._read[-1]["type"] != "http.request":
            return None
        if self._read[-1].get("more_body"):
            return None
        return b"".join(message.get("body", b"") for message in self._read)

    async def _next(self) -> Message:
        message = await self._receive()
        if not self._read or self._read[-1].get("more_body"):  # later ones are not the body's
            self._read.append(message)
        return message


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
    """True if the client takes a compressed answer."""
    of_page: dict[bytes, bytes] = field(default_factory=dict)
    """Headers for the page from another origin that asks. They are the same in each answer."""
    position: Position | None = None
    stale_since: str | None = None
    answer: Answer | None = None
    body: bytes = b""
    """The answer as it is sent to this client."""
    held: tuple[bytes, ...] = ()
    """Bytes of the answer, in both forms if both are needed."""
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
        self._posts: set[_Name] = set()
        """Names of remembered POSTs, without their bodies."""
        self._holders: dict[int, int] = {}
        self._bytes = 0
        self._tallies: dict[str, list[int]] = {}
        self._asking_s = 0.0
        """Seconds of asking queries anew in this turn."""

    @property
    def answered(self) -> Mapping[str, int]:
        """Return how many requests the fast path answered, by command."""
        return {command: tally[0] for command, tally in self._tallies.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass anything else to the application."""
        method = scope["method"] if scope["type"] == "http" else ""
        asked = None
        if method in ("GET", "HEAD", "POST"):
            asked = _asked_for(
                method == "POST",
                scope["raw_path"],
                scope["query_string"],
                scope["headers"],
                compression=self._compression,
            )
        if asked is None:
            await self._app(scope, receive, send)
            return
        body = None
        if method == "POST":
            receive = body = _Body(receive)
            if asked.name in self._posts:  # else its key must be judged before its body is taken
                await body.read()
                asked.name = (*asked.name, body.whole or b"")
        known = self._known.get(asked.name)
        client = scope.get("client")
        spent = None if known is None else self._spent(known, asked, client[0] if client else "")
        if known is None or spent is None:
            await self._pass_on(asked, body, scope, receive, send)
            return
        known.tally[0] += 1
        if method != "POST" and _has(asked.tag, known):
            headers, content = [*known.headers, *spent], b""
            await send({"type": "http.response.start", "status": 304, "headers": headers})
        else:
            headers = [*known.headers, *known.of_body, *spent]
            content = b"" if method == "HEAD" else known.body
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _pass_on(
        self, asked: _Asked, body: _Body | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have the application answer, and remember the request if it can be repeated."""
        version = self._keys.version  # read before the key is checked: it may be revoked meanwhile
        headers: list[tuple[bytes, bytes]] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers.extend(message["headers"])
            await send(message)

        of_page = bool(asked.name[_ORIGIN])  # else nothing is wanted of the headers
        await self._app(scope, receive, watched if of_page else send)
        if body is None:
            self._remember(asked.name, scope, version, headers)
        elif (content := body.whole) is not None and len(content) <= LONGEST_NAME_BYTES:
            name = asked.name[:_NAME_OF_POST]
            if len(self._posts) >= MOST:
                self._posts.clear()
            if self._remember((*name, content), scope, version, headers):
                self._posts.add(name)

    def at_once(self, url: bytes, headers: _HeaderPairs) -> _Ready | None:
        """Return a GET's response, or None if the request must take the normal path."""
        asked = self._asked_at(url, headers, post=False)
        return None if asked is None else self._ready(asked)

    def post_at_once(
        self, url: bytes, headers: _HeaderPairs
    ) -> Callable[[bytes], _Ready | None] | None:
        """Return a function from a POST's body to its response; None if none is remembered.

        The function returns None if the request must take the normal path.
        """
        asked = self._asked_at(url, headers, post=True)
        if asked is None or asked.name not in self._posts:
            return None

        def ready(body: bytes) -> _Ready | None:
            asked.name = (*asked.name, body)
            return self._ready(asked)

        return ready

    def _asked_at(self, url: bytes, headers: _HeaderPairs, *, post: bool) -> _Asked | None:
        path, _, query = url.partition(b"?")
        return _asked_for(post, path, query, headers, compression=self._compression)

    def _ready(self, asked: _Asked) -> _Ready | None:
        known = self._known.get(asked.name)
        if known is None or known.key.networks:  # its client is not known yet
            return None
        spent = self._spent(known, asked)
        if spent is None:
            return None
        known.tally[0] += 1
        budget = b"".join([b"%s: %s\r\n" % pair for pair in spent])
        if len(asked.name) <= _NAME_OF_POST and _has(asked.tag, known):
            return b"HTTP/1.1 304 Not Modified\r\n" + known.lines + budget, b""
        return (
            b"HTTP/1.1 200 OK\r\n" + known.lines + known.lines_of_body + budget,
            known.body,
        )

    def _remember(self, name: _Name, scope: Scope, version: int, headers: _HeaderPairs) -> bool:
        """Remember an answered request; return False if it cannot be repeated.

        ``headers``: those of the answer, if a page of another origin asked.
        """
        found = scope.get(REPEATABLE)
        if found is None:
            return False
        key, view, question = found
        self._forget(name)
        cost = sum(map(len, name)) + _OVERHEAD_BYTES
        if len(self._known) >= MOST or self._bytes + cost > MOST_BYTES:
            self._forget_all()
        self._bytes += cost
        expires = None if key.expires is None else moment(key.expires).timestamp()
        tally = self._tallies.setdefault(question.command.name, [0])
        gzip = name[_ENCODING] == _GZIP
        of_page = _for_page(headers)
        self._known[name] = _Known(key, view, question, tally, version, expires, gzip, of_page)
        return True

    def _forget(self, name: _Name) -> None:
        known = self._known.pop(name, None)
        if known is not None:
            self._bytes -= sum(map(len, name)) + _OVERHEAD_BYTES
            self._let_go(known)

    def _forget_all(self) -> None:
        self._known.clear()
        self._posts.clear()
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

    def _spent(
        self, known: _Known, asked: _Asked, client: str = ""
    ) -> Sequence[tuple[bytes, bytes]] | None:
        """Bring the answer up to date, count the request, and return the rate limit headers.

        Returns None if the request must take the normal path. ``client``: its address.
        """
        if known.version != self._keys.version or (
            known.expires is not None and self._clock() >= known.expires
        ):
            return None
        if known.key.networks and not known.key.admits(client):
            return None
        command = known.question.command
        position = known.view.replica_of(command.space).position
        moved = (
            known.answer is None  # also where neither has a position: the PBX was let go
            or position is not known.position
            or known.view.stale_since(command.space) != known.stale_since
        )
        if moved and not self._asked(known):
            return None
        if asked.wait and _has(asked.tag, known):
            return None
        if asked.position and not is_reached(asked.position, known.view, command):
            return None
        known.view.note_request(command.space, known.key.pbxs_seen)
        return () if self._rate_limiter is None else self._rate_limiter.read_at_once(known.key)

    def _asked(self, known: _Known) -> bool:
        """Ask the query at the present position, unless that took long enough in this turn.

        Return False if there is no answer.
        """
        if self._asking_s >= ASKING_A_TURN_S:
            return False
        began = perf_counter()
        try:
            return self._renewed(known)
        finally:
            if (spent := perf_counter() - began) >= _PIECE_S:
                if not self._asking_s:
                    asyncio.get_running_loop().call_soon(self._end_turn)  # sockets are polled first
                self._asking_s += spent

    def _end_turn(self) -> None:
        self._asking_s = 0.0

    def _renewed(self, known: _Known) -> bool:
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
        headers = {name.lower().encode(): value.encode() for name, value in pairs.items()}
        known.headers = tuple(guarded([*(headers | known.of_page).items()]))
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
        self._post: Callable[[bytes], _Ready | None] | None = None
        """From the body of a remembered POST to its response, until that body is there."""
        self._post_body = b""

    def _received(self, data: bytes) -> None:
        """Do as before; a POST whose body comes later takes the normal path."""
        super()._received(data)
        if self._post is not None:
            self._begin_post()

    def on_headers_complete(self) -> None:
        """Answer on the fast path if possible; otherwise do what uvicorn does."""
        parser, cycle = self.parser, cast("RequestResponseCycle | None", self.cycle)
        if (
            (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and self.host_allowed
            and not parser.should_upgrade()
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        ):
            method = parser.get_method()
            if method == b"GET":
                if (ready := self._fast_path.at_once(self.url, self.headers)) is not None:
                    self._answer(ready)
                    self._answered = True
                    return
            elif method == _POST and not self._add_up:
                self._post = self._fast_path.post_at_once(self.url, self.headers)
                if self._post is not None:
                    return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep the body of a remembered POST; otherwise do what uvicorn does."""
        if self._post is None:
            super().on_body(body)
        else:
            self._post_body += body  # no more than its Content-Length, which is short

    def on_message_complete(self) -> None:
        """End a request that was answered on the fast path; otherwise do what uvicorn does."""
        if self._post is not None:
            if (ready := self._post(self._post_body)) is None:
                self._begin_post()
            else:
                self._answer(ready)
                self._answered, self._post, self._post_body = True, None, b""
        if self._answered:
            self._answered = self._begun = False
        else:
            super().on_message_complete()

    def _begin_post(self) -> None:
        self._post, body, self._post_body = None, self._post_body, b""
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _answer(self, ready: _Ready) -> None:
        head, body = ready
        own = b"".join([b"%s: %s\r\n" % pair for pair in self.server_state.default_headers])
        self.transport.write(b"".join((head, own, b"\r\n", body)))
        self.on_response_complete()


def _asked_for(
    post: bool,
    path: bytes,
    query: bytes,
    headers: _HeaderPairs,
    *,
    compression: bool,
) -> _Asked | None:
    """Return what a GET, a HEAD or a POST asks; None if it is unusual.

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
    take = read.get
    authorization = take(b"authorization", b"")
    if authorization and authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    length = take(b"content-length")
    of_post: _Name = ()
    if post:
        if length is None or not _is_short(length):
            return None
        of_post = (_POST, take(b"content-type", b""))
    elif length is not None:
        return None
    gzip = compression and takes_gzip(take(b"accept-encoding", b"").decode("latin-1"))
    asked = (
        path,
        query,
        authorization,
        take(b"x-api-key", b""),
        take(b"callmon-pbx", b""),
        take(b"origin", b""),
        _GZIP if gzip else b"",
        *of_post,
    )
    if sum(map(len, asked)) > LONGEST_NAME_BYTES:
        return None
    return _Asked(
        asked,
        take(b"if-none-match", b"").decode("latin-1"),
        take(b"prefer", b"").decode("latin-1"),
        take(b"callmon-min-position", b"").decode("latin-1"),
    )


def _is_short(length: bytes) -> bool:
    """Return whether a body of this ``Content-Length`` may be remembered."""
    return length.isdigit() and len(length) <= 4 and int(length) <= LONGEST_NAME_BYTES


def _has(tag: str, known: _Known) -> bool:
    """Return whether the client has this answer already."""
    return bool(tag) and known.answer is not None and matches(tag, known.answer.etag)


def _for_page(headers: _HeaderPairs) -> dict[bytes, bytes]:
    """Return those headers of an answer that it has because a page of another origin asked."""
    return {name: value for name, value in headers if name.startswith(_OF_PAGES) or name == b"vary"}
