"""Serve the stream's addresses: let clients in, and send all of them away at the end.

Where the server can answer a handshake with an HTTP response, a refusal is one, with the same
body as a query's refusal. Where it cannot, the connection is accepted and closed with the
refusal's close code.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.auth.api_keys import KeyTable
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.counters import StreamCounters
from gateway.errors import UnknownCommand
from gateway.fanout.frames import Encoding
from gateway.pbx_context import PbxContext
from gateway.stream.admission import (
    Admission,
    Denial,
    LiveSettings,
    denial_of,
    deny,
    first_wanted,
)
from gateway.stream.connection import GONE, farewell_reason
from gateway.stream.sse import EventsResponse, EventStream, come_back_later, is_event_source
from gateway.stream.websocket import WebSocketSession
from gateway.token_bucket import LogBudget
from gateway.transport.compression import takes_gzip

_log = structlog.get_logger(__name__)

_LAST_EVENT_ID = "lastEventId"
"""Parameter in which EventSources made of XMLHttpRequest come back with what browsers put into the
header ``Last-Event-ID``, so that a page needs no preflight."""
_PASSING = (429, 503)
"""Statuses of refusals that pass with time."""
SUBPROTOCOLS: dict[str, Encoding] = {"callmon.v1.json": "json", "callmon.v1.msgpack": "msgpack"}


class StreamServer:
    """Serve the stream of all PBXs. Its owner calls :meth:`drain` before the HTTP server stops.

    ``clock``: POSIX seconds. ``tickets``: None if none are issued. ``rate_limiter``:
    counts connections and subscriptions as reads; None: they are not limited. ``compression``:
    whether Server-Sent Events are compressed for clients that take it.
    """

    def __init__(
        self,
        pbxs: Mapping[str, PbxContext],
        keys: KeyTable,
        settings: LiveSettings | None = None,
        clock: Callable[[], float] = time.time,
        tickets: Tickets | None = None,
        rate_limiter: RateLimiter | None = None,
        *,
        compression: bool = True,
    ) -> None:
        self.counters = StreamCounters()
        self._compression = compression
        self._pbxs = pbxs
        self._settings = settings or LiveSettings()
        self._clock = clock
        self._tickets = tickets
        self._admission = Admission(pbxs, keys, self._settings, clock, tickets, rate_limiter)
        self._sessions: set[WebSocketSession | EventStream] = set()
        self._left = asyncio.Event()
        self._ration = LogBudget(time.monotonic())
        self._websocket_routes = [
            route for route in self.routes() if isinstance(route, WebSocketRoute)
        ]

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def draining(self) -> bool:
        """Return whether all clients are being sent away, and no new ones are taken."""
        return self._admission.draining

    @property
    def sessions(self) -> Collection[WebSocketSession | EventStream]:
        """Return the connections that are open; for reading only."""
        return self._sessions

    def routes(self) -> list[BaseRoute]:
        """Return the stream's routes. They must stand before those of the queries."""
        routes: list[BaseRoute] = []
        for prefix in ("/webapi", "/webapi/{key}", "/webapi/{key}/{pbx}"):
            routes += [
                WebSocketRoute(f"{prefix}/stream", self.endpoint),
                Route(f"{prefix}/stream", self._without_upgrade, methods=["GET"]),
                Route(f"{prefix}/events", self.events, methods=["GET"]),
            ]
        return routes

    def bypass_middleware(self, app: ASGIApp) -> ASGIApp:
        """Return an application that takes WebSockets past ``app`` and its middleware.

        They go straight to their endpoint. Each layer would cost memory for every connection as
        long as it lasts, and does nothing for it.
        """

        def served(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "websocket" and self._found(scope):
                return self.endpoint(WebSocket(scope, receive, send))
            return app(scope, receive, send)

        return served

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response to a handshake that is refused by what this gateway knows itself.

        None: let it begin; :meth:`endpoint` may still refuse it. A handshake that is refused here
        costs a fraction of one that is begun: no WebSocket is made, and no task is started.
        """
        try:
            if not self._found(scope):
                nothing = UnknownCommand("There is no stream at this address; see /webapi/stream.")
                raise denial_of(nothing)
            _subprotocol(scope["subprotocols"])
            self._admission.check(HTTPConnection(scope))
        except Denial as denial:
            self._count_refusal(scope, denial)
            return denial.response()
        return None

    def _found(self, scope: Scope) -> bool:
        """Return whether the address is the stream's; put what stands in it into the scope."""
        for route in self._websocket_routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return True
        return False

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one WebSocket, from its handshake to its end."""
        try:
            subprotocol, encoding = _subprotocol(websocket.scope.get("subprotocols", []))
            key, pbx = await self._admission.admit(HTTPConnection(websocket.scope))
        except Denial as denial:
            self._count_refusal(websocket.scope, denial)
            await deny(websocket, denial)
            return
        try:
            principal = self._admission.principal(key)
            # A second connection object: the WebSocket would keep in memory what it reads of the
            # handshake.
            first = first_wanted(
                HTTPConnection(websocket.scope).query_params.multi_items(), principal
            )
            session = WebSocketSession(
                websocket, pbx, principal, encoding, self._settings.limits, self._clock
            )
            self._sessions.add(
                session
            )  # before accept(), so that a revocation meanwhile ends it too
            try:
                await websocket.accept(subprotocol=subprotocol)
                self.counters.accepted["websocket"] += 1
                await session.run(first)
            finally:
                self._gone(session)
        except Denial as denial:
            self.counters.refused[denial.code] += 1
            await deny(websocket, denial)
        except WebSocketDisconnect:
            return  # the client went during the handshake
        finally:
            self._admission.out(key)

    async def _without_upgrade(self, request: Request) -> Response:
        """Return what a handshake would be refused with, else that this address is for WebSocket.

        A browser does not show its page why a handshake was refused, so the page asks here.
        """
        try:
            self._admission.check(request)
        except Denial as denial:
            self._count_refusal(request.scope, denial)
            return denial.response()
        needed = "This address is for WebSocket."
        return Denial(426, "upgrade_required", 4000, needed, {"Upgrade": "websocket"}).response()

    def _count_refusal(self, scope: Scope, denial: Denial) -> None:
        """Count a refusal. Log a client whose key was refused; rationed, as for queries."""
        self.counters.refused[denial.code] += 1
        if denial.status == 401 and (left_out := self._ration.take(time.monotonic())) is not None:
            client = scope.get("client")
            more = {"left_out": left_out} if left_out else {}
            _log.info(
                "stream_refused", code=denial.code, address=client[0] if client else None, **more
            )

    async def events(self, request: Request) -> Response:
        """Serve one stream of Server-Sent Events."""
        try:
            key, pbx = await self._admission.admit(request)
        except Denial as denial:
            return self._no_events(request, denial)
        try:
            principal = self._admission.principal(key)
            given = request.query_params.multi_items()
            first = first_wanted([pair for pair in given if pair[0] != _LAST_EVENT_ID], principal)
            if first is None:
                text = "The address must say what to watch: ?topics=calls or ?query=pbx.calls.get."
                raise Denial(400, "missing_parameter", 4000, text)
            stream = EventStream(
                pbx,
                principal,
                first,
                request.headers.get("last-event-id") or request.query_params.get(_LAST_EVENT_ID),
                self._settings.limits,
                self._clock,
                compressed=self._compressed(request),
            )
        except Denial as denial:
            self._admission.out(key)
            return self._no_events(request, denial)

        def gone() -> None:
            self._gone(stream)
            self._admission.out(key)

        self._sessions.add(stream)
        self.counters.accepted["sse"] += 1
        return EventsResponse(stream, gone)

    def _compressed(self, request: Request) -> bool:
        """Return whether events are compressed: for those that take gzip and are an EventSource.

        Many HTTP libraries offer gzip unasked, and then hand over what was decompressed in lumps.
        """
        return (
            self._compression
            and is_event_source(request.headers.get("accept", ""))
            and takes_gzip(request.headers.get("accept-encoding", ""))
        )

    def _no_events(self, request: Request, denial: Denial) -> Response:
        self.counters.refused[denial.code] += 1
        if denial.status in _PASSING and is_event_source(request.headers.get("accept", "")):
            retry_after_s = float(denial.headers.get("Retry-After", 1))
            return come_back_later(
                f"{denial.status} {denial.code}: {denial.message}", retry_after_s
            )
        return denial.response()

    def revoke(self, key_name: str, pbx: str | None = None) -> None:
        """End every connection that was opened with this key, as the key is no longer valid.

        ``pbx``: the PBX with which the key is stored; None for any.
        """
        for session in self._sessions:
            principal = session.principal
            home = session.pbx if principal.key_home is None else principal.key_home
            if principal.key_name == key_name and pbx in (None, home):
                session.end(4001, "key revoked")

    def limit(self, settings: LiveSettings) -> None:
        """Replace the limits for new connections; open ones keep their own."""
        if settings != self._settings:
            self._settings = settings
            self._admission.limit(settings)

    async def drain(self, within: float, retry_in: tuple[float, float] = (1.0, 10.0)) -> None:
        """Take no new clients, and send all away over ``within`` seconds.

        Returns when all are gone. ``retry_in``: clients are to come back after a random time in
        this range of seconds.
        """
        self._admission.draining = True
        for pbx in self._pbxs.values():
            pbx.watches.close()
        leaving = list(self._sessions)
        random.shuffle(leaving)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number, session in enumerate(leaving, 1):
            session.end(4200, farewell_reason(retry_in))
            ahead = begun + within * number / len(leaving) - loop.time()
            if (
                ahead > 0
            ):  # a busy gateway wakes up late; then it does not sleep, to be done in time
                await asyncio.sleep(ahead)
        while self._sessions:  # each ends within seconds after end()
            self._left.clear()
            await self._left.wait()

    def _gone(self, session: WebSocketSession | EventStream) -> None:
        self._sessions.discard(session)
        self.counters.ended[
            "gone" if session.closed_with in (None, GONE) else str(session.closed_with)
        ] += 1
        self._left.set()


def _subprotocol(offered: list[str]) -> tuple[str | None, Encoding]:
    for name in offered:
        if name in SUBPROTOCOLS:
            return name, SUBPROTOCOLS[name]
    if offered:
        raise Denial(
            400,
            "unknown_subprotocol",
            4000,
            f"The known subprotocols are {', '.join(SUBPROTOCOLS)}.",
        )
    return None, "json"
