"""The stream's WebSocket address: who is let in, and how all are sent away at the end.

Where the server can answer a handshake with an HTTP response, a refusal is one, with the same body as the queries'.
Where it cannot, the connection is accepted and closed with the refusal's close code.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.auth import ApiKey, KeyTable, authenticate, bearer
from gateway.errors import NoState, Refused, UnknownPbx, shown
from gateway.frames import Encoding
from gateway.messages import BadMessage, Subscribe, subscribe_to
from gateway.pbxview import PbxView
from gateway.session import Guest, Manners, Session, farewell_reason
from monitor.model.entities import BOOK_TOPICS
from monitor.model.instants import from_unix, moment
from monitor.model.wire import to_json

SUBPROTOCOLS: dict[str, Encoding] = {"callmon.v1.json": "json", "callmon.v1.msgpack": "msgpack"}


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Limits of the stream. Times in seconds.

    ``origins``: the browser origins from which it may be opened; None for all. A request without Origin, which no
    browser sends, is not judged by it. ``oldest``: the range in which each connection's greatest age is drawn.
    """

    manners: Manners = field(default_factory=Manners)
    connections: int = 10_000
    connections_per_key: int = 1_000
    origins: frozenset[str] | None = None
    oldest: tuple[float, float] = (4 * 3600.0, 8 * 3600.0)


@dataclass(slots=True, eq=False)
class _Denial(Exception):
    status: int
    code: str
    close: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Live:
    """The stream of all PBXs. Whoever serves it calls :meth:`drain` before the HTTP server stops.

    ``clock``: POSIX seconds.
    """

    def __init__(
        self,
        pbxs: Mapping[str, PbxView],
        keys: KeyTable,
        settings: LiveSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pbxs = pbxs
        self._keys = keys
        self._settings = settings or LiveSettings()
        self._clock = clock
        self._sessions: set[Session] = set()
        self._per_key: Counter[str] = Counter()
        self._draining = False
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._sessions)

    def routes(self) -> list[BaseRoute]:
        """The stream's addresses. They go before those of the queries."""
        return [
            WebSocketRoute("/webapi/stream", self.endpoint),
            WebSocketRoute("/webapi/{key}/stream", self.endpoint),
            Route("/webapi/stream", _upgrade_required, methods=["GET"]),
            Route("/webapi/{key}/stream", _upgrade_required, methods=["GET"]),
        ]

    async def endpoint(self, websocket: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        try:
            key, pbx = self._admit(websocket)
            subprotocol, encoding = _subprotocol(websocket.scope.get("subprotocols", []))
            guest = self._guest(key)
            first = _first_subscription(websocket, guest.topics)
        except _Denial as denial:
            await _deny(websocket, denial)
            return
        self._per_key[key.digest] += 1
        try:
            session = Session(websocket, pbx, guest, encoding, self._settings.manners, self._clock)
            self._sessions.add(session)  # before it is let in, so that a revocation just now ends it too
            try:
                await websocket.accept(subprotocol=subprotocol)
                await session.run(first)
            finally:
                self._sessions.discard(session)
                self._left.set()
        except WebSocketDisconnect:
            return  # it went while it was being let in
        finally:
            self._release(key)

    def revoke(self, key_name: str, pbx: str | None = None) -> None:
        """End every conversation that was begun with this key: it no longer holds. ``pbx``: the key's; None for any."""
        for session in self._sessions:
            if session.guest.key_name == key_name and pbx in (None, session.pbx):
                session.end(4001, "key revoked")

    async def drain(self, within: float, retry_in: tuple[float, float] = (1.0, 10.0)) -> None:
        """Take nobody new, and send all away, spread over ``within`` seconds. Returns when all are gone.

        ``retry_in``: after how many seconds, drawn at random from this range, clients are to come back.
        """
        self._draining = True
        leaving = list(self._sessions)
        random.shuffle(leaving)
        for session in leaving:
            session.end(4200, farewell_reason(retry_in))
            await asyncio.sleep(within / len(leaving))
        while self._sessions:  # each ends within seconds of being asked to
            self._left.clear()
            await self._left.wait()

    def _admit(self, websocket: WebSocket) -> tuple[ApiKey, PbxView]:
        if self._draining:
            raise _Denial(503, "draining", 4200, "This gateway is shutting down.", {"Retry-After": "1"})
        origin = websocket.headers.get("origin")
        if origin is not None and self._settings.origins is not None and origin not in self._settings.origins:
            raise _Denial(403, "origin_not_allowed", 4003, "The stream may not be opened from this page.")
        try:
            key = self._key(websocket)
            key.admit(websocket.client.host if websocket.client is not None else "")
            pbx = self._pbxs.get(key.pbx)
            if pbx is None:
                raise UnknownPbx(f"The PBX {key.pbx!r} is not served here.")
            if not pbx.hub.ready:
                raise NoState(f"No state of the PBX {pbx.name!r} is loaded yet.")
        except Refused as error:
            row = shown(error)
            raise _Denial(row.status, row.code, row.close, str(error), error.headers) from error
        if (
            self._per_key[key.digest] >= self._settings.connections_per_key
            or self._per_key.total() >= self._settings.connections
        ):
            raise _Denial(429, "too_many_connections", 4100, "There are too many connections.", {"Retry-After": "10"})
        return key, pbx

    def _key(self, websocket: WebSocket) -> ApiKey:
        given = (
            websocket.path_params.get("key"),
            bearer(websocket.headers.get("authorization")),
            websocket.headers.get("x-api-key"),
            websocket.query_params.get("key"),
        )
        return authenticate(self._keys, given, from_unix(self._clock()), "read")

    def _guest(self, key: ApiKey) -> Guest:
        topics = tuple(topic for topic in key.visibility.topics if topic not in BOOK_TOPICS or "contacts" in key.scopes)
        expires = None if key.expires is None else moment(key.expires).timestamp()
        return Guest(key.name, key.visibility, topics, expires, random.uniform(*self._settings.oldest))  # noqa: S311

    def _release(self, key: ApiKey) -> None:
        self._per_key[key.digest] -= 1
        if not self._per_key[key.digest]:
            del self._per_key[key.digest]


def _subprotocol(offered: list[str]) -> tuple[str | None, Encoding]:
    for name in offered:
        if name in SUBPROTOCOLS:
            return name, SUBPROTOCOLS[name]
    if offered:
        raise _Denial(400, "unknown_subprotocol", 4000, f"Of subprotocols there are {', '.join(SUBPROTOCOLS)}.")
    return None, "json"


def _first_subscription(websocket: WebSocket, allowed: tuple[str, ...]) -> Subscribe | None:
    topics = websocket.query_params.get("topics")
    if topics is None:
        return None
    try:
        return subscribe_to([topic for topic in topics.split(",") if topic], allowed)
    except BadMessage as error:
        status, close = (403, 4003) if error.code == "not_allowed" else (400, 4000)
        raise _Denial(status, error.code, close, str(error)) from error


async def _deny(websocket: WebSocket, denial: _Denial) -> None:
    try:
        if "websocket.http.response" in websocket.scope.get("extensions", {}):
            await websocket.send_denial_response(_error(denial))
            return
        await websocket.accept()
        await websocket.close(denial.close, denial.message.encode()[:120].decode(errors="ignore"))
    except WebSocketDisconnect:
        return  # the client did not wait for the answer


async def _upgrade_required(request: Request) -> Response:
    return _error(_Denial(426, "upgrade_required", 4000, "This address speaks WebSocket.", {"Upgrade": "websocket"}))


def _error(denial: _Denial) -> Response:
    body = {"result": False, "error": {"code": denial.code, "message": denial.message}}
    return Response(to_json(body), denial.status, dict(denial.headers), "application/json")
