"""Listen for the simulated PBX: uvicorn inside the running event loop, which can be cut off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from monitor.shared.errors import NOT_BOUND, cannot_listen
from monitor.simulator.tls import CertificateFiles

_SEND_BUFFER: Final = 64 * 1024
"""Bytes that the kernel buffers for one client. Few, to notice soon that a client does not read."""
_TICK: Final = 1.0
"""Seconds between updates of the Date header."""
_LARGEST_MESSAGE: Final = 64 * 1024
"""Maximum bytes of one WebSocket message from a client. The real limit is not published."""


class _Server(uvicorn.Server):
    """Run uvicorn without its signal handling and with an event for when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()
        self._leaves = asyncio.Event()

    def leave(self) -> None:
        """Stop at once. Without this, uvicorn would check only now and then whether to stop."""
        self.should_exit = True
        self._leaves.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._leaves.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Listen at one address.

    The port is kept once it is chosen, so that after a restart clients find it at the same place.
    """

    def __init__(
        self,
        host: str,
        port: int,
        certificate: CertificateFiles | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.host, self.port = host, port
        self._certificate = certificate
        self._headers = list((headers or {}).items())
        self._app: ASGIApp | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Return the URL for clients. If it listens on all addresses, the URL names localhost."""
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def serve(self, app: ASGIApp) -> None:
        """Set the application to serve. Call it before :meth:`start`."""
        self._app = app

    async def start(self) -> None:
        """Listen. Returns when clients can connect, at once if it listens already.

        Raises StartFailed if the address cannot be bound, and RuntimeError before :meth:`serve`.
        """
        if self._task is not None:
            return
        if self._app is None:
            msg = "nothing to serve yet"
            raise RuntimeError(msg)
        bound = self._bind()
        self._server = server = _Server(self._config(self._app))
        self._task = task = asyncio.create_task(server.serve(sockets=[bound]), name="simulated PBX")
        listens = asyncio.create_task(server.listens.wait())
        try:
            await asyncio.wait((task, listens), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)
        if task.done():
            await task

    async def stop(self) -> None:
        """Stop listening and cut every connection, as when the process dies.

        Does nothing if it does not listen.
        """
        if self._task is None or self._server is None:
            return
        for server in self._server.servers:
            server.close()
        self.cut()
        self._server.leave()
        task, self._task = self._task, None
        await task
        self._server = None

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

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio switches Nagle's algorithm off only where it reads "TCP" here; with it a small
        # answer takes 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            bound.bind((self.host, self.port))
        except NOT_BOUND as error:
            bound.close()
            raise cannot_listen("Cannot listen on", self.host, self.port, error) from error
        self.port = bound.getsockname()[1]
        return bound

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        files = self._certificate
        return uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=_LARGEST_MESSAGE,
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
