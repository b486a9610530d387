"""Run uvicorn inside an event loop that is already running, on a socket that is already bound."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from monitor.shared.errors import StartFailed
from monitor.shared.tasks import running

_CANNOT_LISTEN: Final = {
    errno.EADDRINUSE: "another program listens there already; stop it or choose another port",
    errno.EACCES: (
        "this user may not use a port below 1024; choose a higher one, with a proxy in front of "
        "it for 80 or 443"
    ),
    errno.EADDRNOTAVAIL: "this host has no such address; choose one that it has, such as 127.0.0.1",
    errno.EAFNOSUPPORT: "this host has no addresses of that kind (IPv6?); choose one that it has",
}

ACCEPTED_A_TURN: Final = 16
"""Connections that are taken in one turn of the event loop.

uvloop takes one for each listening socket. Who comes behind some hundred others would wait for as
many turns, however little is done for them."""
_TURNS_TO_CONNECT: Final = 3
"""Turns of the event loop from an accepted socket to its protocol's ``connection_made``."""


class EmbeddedServer(uvicorn.Server):
    """Run uvicorn on a bound socket. It handles no signals: the owner of the event loop does."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket) -> None:
        super().__init__(config)
        host, port = bound.getsockname()[:2]
        self.address = f"http://{in_url(host)}:{port}"
        """``http://host:port`` on which it listens."""
        self._bound = bound
        self._listening = [bound]
        self._listens = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start serving. Returns when requests are answered.

        Raises RuntimeError if the server ends instead.
        """
        self._listening += [self._bound.dup() for _ in range(ACCEPTED_A_TURN - 1)]
        self._task = asyncio.create_task(self.serve(sockets=self._listening), name="HTTP server")
        async with running(self._listens.wait()) as (listens,):
            await asyncio.wait((self._task, listens), return_when=asyncio.FIRST_COMPLETED)
        if not self._listens.is_set():
            await self.ended()

    async def ended(self) -> None:
        """Wait until the server ends by itself, which it should not. Raises RuntimeError then."""
        if self._task is not None:
            await asyncio.shield(self._task)
        raise RuntimeError("the HTTP server ended by itself")

    async def stop(self) -> None:
        """Take no more connections, let requests end, then stop, also if cancelled meanwhile."""
        self.should_exit = True
        cancelled: asyncio.CancelledError | None = None
        while self._task is not None and not self._task.done():
            try:
                await asyncio.wait((self._task,))
            except (
                asyncio.CancelledError
            ) as error:  # the server must end its own tasks all the same
                cancelled = error
        for listening in self._listening:
            listening.close()
        if cancelled is not None:
            raise cancelled

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do as uvicorn does, but first let what was just accepted become a connection.

        asyncio drops a socket unclosed if its server closes between the two.
        """
        loop = asyncio.get_running_loop()
        for listening in (one for server in self.servers for one in server.sockets):
            loop.remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Do as uvicorn does, then note that it listens."""
        await super().startup(sockets)
        self._listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def bind(
    host: str,
    port: int,
    cannot: str = "Cannot listen on",
    *,
    shared: bool = False,
    send_buffer_bytes: int | None = None,
) -> socket.socket:
    """Return a socket that is bound to this address. Raises StartFailed.

    ``cannot``: the beginning of the error's sentence. ``shared``: other processes of ours listen on
    the same port. ``send_buffer_bytes``: what the kernel buffers for one client.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where it reads "TCP" here; with it a small answer
    # takes 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if send_buffer_bytes is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        bound.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        bound.close()
        if host.startswith("["):
            why = f"write an IPv6 address without brackets: {host.strip('[]')}"
            raise StartFailed(f"{cannot} {host}:{port}: {why}.") from error
        raise StartFailed(f"{cannot} {in_url(host)}:{port}: {_reason(error)}.") from error
    return bound


def in_url(host: str) -> str:
    """Return the host as URLs have it, with brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host else host


def _reason(error: OSError | OverflowError | UnicodeError) -> str:
    code = error.errno if isinstance(error, OSError) and error.errno is not None else 0
    if isinstance(error, OverflowError):
        return "a port is at most 65535; choose a lower one"
    if isinstance(error, UnicodeError) or code < 0:  # below 0 are the resolver's codes
        return "that name is not known; choose an address of this host, such as 127.0.0.1"
    return _CANNOT_LISTEN.get(code, f"{error.strerror}; choose another port or host")
