"""Decide which clients are let in to the stream, by WebSocket or by Server-Sent Events."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.auth.api_keys import ApiKey, KeyTable, authenticate, bearer
from gateway.auth.pbx_choice import HEADER, PbxChoice
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.errors import KeyUnknown, NoState, Refused, shown
from gateway.fair_share import KeyShare, UnsentBytes, WorkTurns
from gateway.parameters import IGNORED
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import BadMessage, Subscribe, Watch, from_address
from gateway.stream.connection import ConnectionLimits, StreamPrincipal
from monitor.shared.codec import to_json
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS
from monitor.shared.timestamps import from_unix, moment

_NOT_OF_SUBSCRIPTIONS = {"key", "ticket", *IGNORED}
"""Parameters of an address that say nothing of what is watched."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Hold the limits of the stream. Times in seconds.

    ``origins``: the browser origins from which the stream may be opened; None for all. A request
    without Origin is not judged by it, as no browser sends one. ``max_connection_age``: the
    range from which each connection's maximum age is drawn.
    """

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    connections: int = 10_000
    connections_per_key: int = 1_000
    message_burst_per_key: int = 3_000
    messages_per_second_per_key: float = 100.0
    origins: frozenset[str] | None = None
    max_connection_age: tuple[float, float] = (4 * 3600.0, 8 * 3600.0)


@dataclass(slots=True, eq=False)
class Denial(Exception):
    """Signal that a client is not let in.

    ``status``: HTTP's status. ``code``: the stable word. ``close``: the close code where no
    status can be sent. ``message``: a sentence for people.
    """

    status: int
    code: str
    close: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the denial as an HTTP response."""
        body = {"result": False, "error": {"code": self.code, "message": self.message}}
        headers = {"Cache-Control": "no-store"} | dict(self.headers)
        return Response(to_json(body), self.status, headers, "application/json")


def denial_of(error: Refused) -> Denial:
    """Return the denial that says what this refusal says."""
    row = shown(error)
    return Denial(row.status, row.code, row.close, str(error), error.headers)


async def deny(websocket: WebSocket, denial: Denial) -> None:
    """Answer a handshake with this denial.

    Where no HTTP response can be given, accept the WebSocket and close it with the denial's
    close code.
    """
    try:
        if "websocket.http.response" in websocket.scope.get("extensions", {}):
            await websocket.send_denial_response(denial.response())
            return
        await websocket.accept()
        await websocket.close(denial.close, denial.message.encode()[:120].decode(errors="ignore"))
    except WebSocketDisconnect:
        return  # the client did not wait for the answer


class Admission:
    """Let clients in, and count those that are in.

    ``tickets``: None if none are issued. ``clock``: POSIX seconds. ``rate_limiter``:
    counts connections and further subscriptions as reads; None: they are not limited.
    """

    def __init__(
        self,
        pbxs: Mapping[str, PbxContext],
        keys: KeyTable,
        settings: LiveSettings,
        clock: Callable[[], float],
        tickets: Tickets | None = None,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        self.draining = False
        self._pbxs = pbxs
        self._choice = PbxChoice({name: pbx.tenant for name, pbx in pbxs.items()})
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._tickets = tickets
        self._per_key: Counter[str] = Counter()
        self._rate_limiter = rate_limiter
        self._pace = WorkTurns()
        self._unsent = UnsentBytes()
        self._shares: dict[str, KeyShare] = {}

    def limit(self, settings: LiveSettings) -> None:
        """Replace the limits. Clients that are in stay in.

        The messages of a key are counted from zero again for new connections.
        """
        self._settings = settings
        self._shares.clear()

    def check(self, connection: HTTPConnection) -> None:
        """Raise Denial if the client may not come in, as far as this gateway knows by itself.

        It asks Redis nothing and counts nothing: tickets and budgets are left to :meth:`admit`.
        """
        self._check_page(connection)
        try:
            key = self._key_at_once(connection)
            if key is not None:
                self._pbx_of(key)
        except Refused as error:
            raise denial_of(error) from error
        if key is not None:
            self._check_room(key)

    async def admit(self, connection: HTTPConnection) -> tuple[ApiKey, PbxContext]:
        """Let the client in, and return its key and the PBX. Raises Denial if it may not come in.

        The caller must call :meth:`out` when the client is gone.
        """
        self._check_page(connection)
        try:
            key = self._key_at_once(connection) or await self._key_of_ticket(connection)
            pbx = self._pbx_of(key)
            version = self._keys.version
            if key.named:
                await pbx.asked_for()
            await self._count(key)
            self._check_still(key, version)
        except Refused as error:
            raise denial_of(error) from error
        self._check_room(key)
        self._refuse_while_draining()  # draining may have begun during the lookup
        self._per_key[key.digest] += 1
        return key, pbx

    def _check_page(self, connection: HTTPConnection) -> None:
        self._refuse_while_draining()
        origin, origins = connection.headers.get("origin"), self._settings.origins
        if origin is not None and origins is not None and origin not in origins:
            raise Denial(
                403, "origin_not_allowed", 4003, "The stream may not be opened from this page."
            )

    def _chosen(self, key: ApiKey, connection: HTTPConnection) -> ApiKey:
        """Return the key at the PBX that the client names.

        Raises Refused if that PBX is not served to this key, or not to this address.
        """
        key.admit(connection.client.host if connection.client is not None else "")
        named = (connection.path_params.get("pbx"), *connection.headers.getlist(HEADER))
        if key.reach:  # a ticket's
            return self._choice.chosen(key, (*named, key.pbx)) if key.named or any(named) else key
        return self._choice.chosen(key, named, of_all=True)

    def _pbx_of(self, key: ApiKey) -> PbxContext:
        """Return the PBX that was chosen for this key. Raises NoState."""
        pbx = self._pbxs[key.pbx]
        if key.named:
            _check_ready(pbx)
        return pbx

    def _check_room(self, key: ApiKey) -> None:
        if (
            self._per_key[key.digest] >= self._settings.connections_per_key
            or self._per_key.total() >= self._settings.connections
        ):
            raise Denial(
                429,
                "too_many_connections",
                4100,
                "There are too many connections.",
                {"Retry-After": "10"},
            )

    def _refuse_while_draining(self) -> None:
        if self.draining:
            raise Denial(
                503, "draining", 4200, "This gateway is shutting down.", {"Retry-After": "1"}
            )

    def out(self, key: ApiKey) -> None:
        """Count the client out."""
        self._per_key[key.digest] -= 1
        if not self._per_key[key.digest]:
            del self._per_key[key.digest]

    def principal(self, key: ApiKey) -> StreamPrincipal:
        """Return what the connection needs to know of the client with this key."""
        topics = tuple(
            topic
            for topic in (key.visibility.topics if key.named else ())
            if topic not in BOOK_TOPICS or "contacts" in key.scopes
        )
        topics += tuple(FLEET_TOPICS) if key.pbxs else ()
        expires = None if key.expires is None else moment(key.expires).timestamp()
        max_age = random.uniform(*self._settings.max_connection_age)  # noqa: S311
        count = None if self._rate_limiter is None else partial(self._rate_limiter.spend, key, None)
        return StreamPrincipal(
            *(key.name, key.visibility, topics, expires, max_age, key.scopes),
            *(self._share(key), count, key.home, key.pbxs_seen, key.named),
        )

    async def _count(self, key: ApiKey) -> None:
        """Count a connection as a read. Raises TooManyRequests if the budget is spent."""
        if self._rate_limiter is not None:
            await self._rate_limiter.spend(key, None)

    def _check_still(self, key: ApiKey, version: int) -> None:
        """Raise KeyUnknown if the key was changed or revoked since the table had this version."""
        if (
            self._keys.version != version
            and self._keys.of_digest(key.digest, from_unix(self._clock())) != key.unchosen
        ):
            raise KeyUnknown("This key was changed meanwhile; try again.")

    def _share(self, key: ApiKey) -> KeyShare:
        """Return what all connections of the key share.

        It is kept when they are gone. Else a client could renew it by coming back.
        """
        if key.digest not in self._shares:
            settings = self._settings
            self._shares[key.digest] = KeyShare(
                settings.message_burst_per_key,
                settings.messages_per_second_per_key,
                self._pace,
                asyncio.get_running_loop().time,
                self._unsent,
                settings.connections_per_key,
            )
        return self._shares[key.digest]

    def _key_at_once(self, connection: HTTPConnection) -> ApiKey | None:
        """Return the key that the client gives; None if it gives a ticket in its place."""
        given = (
            connection.path_params.get("key"),
            bearer(connection.headers.get("authorization")),
            connection.headers.get("x-api-key"),
            connection.query_params.get("key"),
        )
        ticket = connection.query_params.get("ticket")
        if ticket is None or self._tickets is None or any(given):
            held = authenticate(self._keys, given, from_unix(self._clock()), "read")
            return self._chosen(held, connection)
        if (pbx := self._pbxs.get(self._tickets.pbx_of(ticket))) is not None:
            _check_ready(pbx)  # before the ticket is spent: the next attempt needs it
        return None

    async def _key_of_ticket(self, connection: HTTPConnection) -> ApiKey:
        if self._tickets is None:
            raise KeyUnknown("No tickets are issued here.")
        key = await self._tickets.take(connection.query_params["ticket"])
        key.require("read")
        return self._chosen(key, connection)


def _check_ready(pbx: PbxContext) -> None:
    """Raise NoState if no state is loaded, unless it is loaded once somebody is let in."""
    if pbx.demand.always and not pbx.hub.ready:
        raise NoState(f"No state of the PBX {pbx.name!r} is loaded yet.")


def first_wanted(
    given: Sequence[tuple[str, str]], principal: StreamPrincipal
) -> Subscribe | Watch | None:
    """Return the subscription that stands in the address; None if there is none.

    It counts as a message of its key. Raises Denial if it is wrong or not allowed, or if the
    key's subscriptions come too fast.
    """
    try:
        wanted = from_address(
            [(name, value) for name, value in given if name not in _NOT_OF_SUBSCRIPTIONS],
            principal.rights,
        )
    except BadMessage as error:
        status, close = (403, 4003) if error.code == "not_allowed" else (400, 4000)
        raise Denial(status, error.code, close, str(error)) from error
    share = principal.share
    if (
        wanted is not None
        and share is not None
        and not share.allowance.take(asyncio.get_running_loop().time())
    ):
        text = "This key subscribes too often."
        raise Denial(429, "too_many_connections", 4100, text, {"Retry-After": "10"})
    return wanted
