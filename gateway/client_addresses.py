"""Find out which client a request is from, and limit how much one address may hold open.

Behind a proxy it is the proxy that connects. The proxy names its client in ``X-Forwarded-For``.
That is believed only from the proxies that the settings name, by address, network or name.

- The header is read from its end, where the nearest proxy wrote. The first address that is not a
  proxy's is the client's. What is not an address is not taken for one. Only as many entries are
  looked at as a chain of proxies writes.
- Names of proxies are looked up again and again, as a proxy's address changes where containers
  run.
- Requests in progress and streams are counted by the client's address, IPv6 by network. One
  address may hold a limited number. This host itself may hold any number.
- Of one address only a few are begun between two looks at what others have sent. So hundreds of
  requests that come at once from one address do not delay another's.
- Of WebSocket handshakes a few are begun of all addresses together, in rotation, before anything
  is made for them. Most refusals are given before a handshake begins. So hundreds of handshakes
  that come at once delay neither requests nor streams.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.errors import TooManyConnections, shown
from gateway.fair_share import RequestTurns
from gateway.responses import refuse
from gateway.stream.admission import Denial, deny
from gateway.transport.ip_addresses import Address, held_by, parsed

MOST_HOPS: Final = 8
"""Addresses of ``X-Forwarded-For`` that are looked at, from its end."""
LOOK_UP_EVERY_S: Final = 5.0
HANDSHAKES_A_TURN: Final = 4
"""WebSocket handshakes of all addresses that are begun in one turn; they take a few
milliseconds."""
_HERE: Final = ""
"""Stands for this host's own addresses, whose requests are not counted but have turns too."""
_HEADERS: Final = (b"x-forwarded-for", b"x-forwarded-proto")
_SCHEMES: Final = {
    b"http": ("http", "ws"),
    b"https": ("https", "wss"),
    b"ws": ("http", "ws"),
    b"wss": ("https", "wss"),
}

_log = structlog.get_logger(__name__)


class TrustedProxies:
    """Hold the proxies that are believed.

    ``allowed``: addresses, networks and names, separated by commas; ``*``: all.
    """

    def __init__(self, allowed: str) -> None:
        words = [word.strip() for word in allowed.split(",") if word.strip()]
        self.all = "*" in words
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: list[str] = []
        for word in words:
            try:
                self._networks.append(ip_network(word, strict=False))
            except ValueError:
                self._names.append(word)
        self._named: frozenset[Address] = frozenset()

    def trusts(self, host: str) -> bool:
        """Return whether this address is a trusted proxy's."""
        if self.all:
            return True
        address = parsed(host)
        return address is not None and (
            address in self._named or any(address in network for network in self._networks)
        )

    def name_client(self, scope: Scope) -> None:
        """Put client and scheme into the scope as a trusted proxy names them."""
        peer = scope.get("client")
        if peer is not None and self.trusts(peer[0]):
            self._believe(scope)

    def _believe(self, scope: Scope) -> None:
        hops: list[bytes] = []
        for name, value in scope["headers"]:
            if name == _HEADERS[0]:
                hops += (
                    value.split(b",") if self.all else value.rsplit(b",", MOST_HOPS)[-MOST_HOPS:]
                )
            elif name == _HEADERS[1] and (schemes := _SCHEMES.get(value.strip())) is not None:
                scope["scheme"] = schemes[scope["type"] == "websocket"]
        client = self._client(hops[:1] if self.all else hops[-MOST_HOPS:])
        if client is not None:
            scope["client"] = (client, 0)

    def _client(self, hops: Iterable[bytes]) -> str | None:
        """Return the client's address: the nearest that is not a trusted proxy's.

        Returns None if that entry is not an address.
        """
        found: Address | None = None
        for hop in reversed([*hops]):
            found = parsed(hop.decode("latin-1"))
            if found is None or not self.trusts(str(found)):
                break
        return None if found is None else str(found)

    async def run(self) -> None:
        """Look up the names until cancelled."""
        while True:
            await self.look_up()
            await asyncio.sleep(LOOK_UP_EVERY_S)

    async def look_up(self) -> None:
        """Look up the names now. The old addresses of a name that is not found are dropped."""
        found: set[Address] = set()
        for name in self._names:
            if name == "*":
                continue
            try:
                rows = await asyncio.get_running_loop().getaddrinfo(
                    name, None, type=socket.SOCK_STREAM
                )
            except OSError as error:
                _log.warning("proxy_name_unresolved", name=name, reason=str(error))
                continue
            found.update(address for row in rows if (address := parsed(str(row[4][0]))) is not None)
        self._named = frozenset(found)


class ClientAddress:
    """Put the client's address and scheme into each scope, and count what each address holds.

    ``per_address``: requests in progress and streams of one address; 0: any number.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, per_address: int) -> None:
        self._app = app
        self._proxies = proxies
        self._per_address = per_address
        self._held: Counter[str] = Counter()
        self._turns = RequestTurns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or stream."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._proxies.name_client(scope)
        holder = None if scope.get("client") is None else held_by(scope["client"][0])
        if holder is None or not self._per_address:
            await self._turns.turn(holder or _HERE)
            await self._app(scope, receive, send)
            return
        if self._held[holder] >= self._per_address:
            await _refuse(scope, receive, send)
            return
        self._held[holder] += 1
        try:
            await self._turns.turn(holder)
            await self._app(scope, receive, send)
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


class Handshakes:
    """Begin WebSocket handshakes in turns, or refuse them before they begin.

    ``refusal``: returns the response to a handshake that is refused at once; None: begin it.
    """

    def __init__(
        self, proxies: TrustedProxies, refusal: Callable[[Scope], Response | None]
    ) -> None:
        self._proxies = proxies
        self._refusal = refusal
        self._turns = RequestTurns(most=HANDSHAKES_A_TURN)

    def begin(self, scope: Scope, work: Callable[[], bool]) -> bool:
        """Call ``work`` when the handshake has its turn.

        ``work`` returns whether it used the turn: not if its client is gone. Returns whether it
        was called at once.
        """
        self._proxies.name_client(scope)
        client = scope.get("client")
        holder = None if client is None else held_by(client[0])
        return self._turns.begin(holder or _HERE, work)

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response if the handshake is refused before it begins."""
        return self._refusal(scope)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = TooManyConnections("There are too many requests and streams from this address.")
    row = shown(error)
    if scope["type"] == "websocket":
        await deny(
            WebSocket(scope, receive, send),
            Denial(row.status, row.code, row.close, str(error), error.headers),
        )
    else:
        await refuse(error, scope["method"])(scope, receive, send)
