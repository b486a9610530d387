"""Listen for the simulated PBX: uvicorn inside the running event loop, which can be cut off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Collection, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.shared.host_names import LOOPBACK, as_named, host_in, is_address
from monitor.shared.http_server import EmbeddedServer, bind, in_url
from monitor.simulator.tls import CertificateFiles

_SEND_BUFFER_BYTES: Final = 64 * 1024
"""Bytes that the kernel buffers for one client. Few, to notice soon that a client does not read."""
_TICK_S: Final = 1.0
"""Seconds between updates of the Date header."""
_LINGER_S: Final = 1.0
"""Maximum seconds to wait for the end of a refused socket."""
_ALL_ADDRESSES: Final = ("0.0.0.0", "::")
_LARGEST_MESSAGE_BYTES: Final = 64 * 1024
"""Maximum bytes of one WebSocket message from a client. The real limit is not published."""


class _Server(EmbeddedServer):
    """Run uvicorn so that it can be cut off at once."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket) -> None:
        super().__init__(config, bound)
        self._leaves = asyncio.Event()

    async def stop(self) -> None:
        """Stop at once. Without this, uvicorn would check only now and then whether to stop."""
        self._leaves.set()
        await super().stop()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._leaves.wait()


class HostCheck:
    """Refuse requests that name another host than the allowed ones, or none, with 403.

    ``addresses``: also allow every address. No page of another site comes under one.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str], *, addresses: bool = False) -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or one socket."""
        host = host_in(scope["headers"])
        if host in self._allowed or (self._addresses and is_address(host)):
            await self._app(scope, receive, send)
            return
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_REFUSED)),
        ]
        await send({"type": f"{kind}.start", "status": 403, "headers": headers})
        await send({"type": f"{kind}.body", "body": _REFUSED})
        if scope["type"] == "websocket":
            await refused_socket_ended(receive)


async def refused_socket_ended(receive: Receive) -> None:
    """Wait until a refused socket's connection ends. Otherwise uvicorn would log an error."""
    ends = 0  # one disconnect is the refusal itself, the other the connection
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while ends < 2:
                ends += (await receive())["type"] == "websocket.disconnect"


_REFUSED: Final = (
    b"The simulated PBX does not answer for the host that the header Host names. "
    b"callmon simulate has the option --allowed-host.\n"
)


class Listener:
    """Listen at one address, and answer only requests that name one of our hosts.

    These are the loopback's, the one that it listens on, and ``hosts``, in any way of writing. If
    it listens on all addresses, requests may name any address, and this computer's name.

    The port is kept once it is chosen, so that after a restart clients find it at the same place.
    """

    def __init__(
        self,
        host: str,
        port: int,
        certificate: CertificateFiles | None = None,
        headers: dict[str, str] | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        """Raise ValueError if one of the hosts is not a host."""
        self.host, self.port = host, port
        self._everywhere = host in _ALL_ADDRESSES
        more = (socket.gethostname(),) if self._everywhere else (host,)
        self._hosts = {as_named(one) for one in (*LOOPBACK, *hosts)}
        for one in more:
            with contextlib.suppress(ValueError):  # no request can name it
                self._hosts.add(as_named(one))
        self._certificate = certificate
        self._headers = list((headers or {}).items())
        self._app: ASGIApp | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Return the URL for clients. If it listens on all addresses, the URL names localhost."""
        host = "localhost" if self._everywhere else self.host
        return f"{'https' if self._certificate else 'http'}://{in_url(host)}:{self.port}"

    def serve(self, app: ASGIApp) -> None:
        """Set the application to serve. Call it before :meth:`start`."""
        self._app = app

    async def start(self) -> None:
        """Listen. Returns when clients can connect, at once if it listens already.

        Raises StartFailed if the address cannot be bound, and RuntimeError before :meth:`serve`.
        """
        if self._server is not None:
            return
        if self._app is None:
            msg = "nothing to serve yet"
            raise RuntimeError(msg)
        bound = bind(self.host, self.port, send_buffer_bytes=_SEND_BUFFER_BYTES)
        self.port = bound.getsockname()[1]
        own = bound.getsockname()[0]  # of a name, the address that it stands for
        checked = HostCheck(self._app, {*self._hosts, as_named(own)}, addresses=self._everywhere)
        self._server = _Server(self._config(checked), bound)
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening and cut every connection, as when the process dies.

        Does nothing if it does not listen.
        """
        if self._server is not None:
            self.cut()
            server, self._server = self._server, None
            await server.stop()
            for late in list(server.server_state.connections):  # accepted meanwhile
                late.transport.abort()

    def cut(self, client: tuple[str, int] | None = None) -> int:
        """Abort all connections, or only that of one client's address. Return how many were cut."""
        connections = list(self._server.server_state.connections) if self._server else []
        victims = [
            one for one in connections if client is None or getattr(one, "client", None) == client
        ]
        for victim in victims:
            victim.transport.abort()
        return len(victims)

    def reload(self) -> None:
        """Read the certificate's files again, for new connections."""
        context = self._server.config.ssl if self._server is not None else None
        if context is not None and self._certificate is not None:
            context.load_cert_chain(self._certificate.certificate, self._certificate.key)

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        files = self._certificate
        return uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=_LARGEST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=self._headers,
            timeout_graceful_shutdown=2,
            ssl_certfile=files.certificate if files else None,
            ssl_keyfile=str(files.key) if files else None,
        )
