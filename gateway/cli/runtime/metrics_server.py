"""Serve ``/metrics`` and ``/readyz`` on a socket of their own.

The server runs in the event loop, because the data belongs to it. A thread would read tables while
they change. So a client is limited as those of the API are: it could hold up the whole process.

A gateway with several workers (``--workers``) serves the metrics of each process on a port of its
own. prometheus-client can add up processes, but it keeps each number in a file. It knows no
collectors then, so every delivery would have to pay for a write there, and the files of a dead
worker would still be counted. Prometheus is made for one process per target: it can tell a restart
from a counter that fell, and adds up by ``sum``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry, GCCollector, Info, ProcessCollector, make_asgi_app
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.transport.http_protocol import ConnectionCounter, TimeoutHttpProtocol
from monitor.shared.http_server import EmbeddedServer, bind
from monitor.shared.version import VERSION

PATH = "/metrics"
READY_PATH = "/readyz"
MOST_CONNECTIONS: Final = 100
"""Connections that may be open at once."""


def new_registry(program: str) -> CollectorRegistry:
    """Return a registry with the metrics of any process: memory, CPU time, descriptors, version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("callmon_build", "What runs here.", registry=registry)
    build.info({"version": VERSION, "program": program})
    return registry


@asynccontextmanager
async def exposed(
    registry: CollectorRegistry,
    host: str,
    port: int,
    troubles: Mapping[str, str] | None = None,
    rejected: Callable[[], Mapping[str, str]] = dict,
) -> AsyncIterator[str]:
    """Serve the registry while the context is entered; yield its address.

    ``port`` 0: any free one. ``troubles``: name → what keeps the program from its full work, shown
    at ``/readyz``; None: ``/readyz`` is not served. ``rejected``: returns which values on Redis
    were left out, and why; they are shown there and keep nothing from being ready. Raises
    StartFailed if the address cannot be listened on.
    """
    server = EmbeddedServer(
        uvicorn.Config(
            _only_metrics(make_asgi_app(registry), troubles, rejected),
            http=partial(
                TimeoutHttpProtocol,
                connection_counter=ConnectionCounter(MOST_CONNECTIONS, 0, lambda _: False),
            ),  # type: ignore[arg-type]  # uvicorn takes any factory
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        ),
        bind(host, port, "Cannot serve metrics, as set in [metrics], on"),
    )
    try:
        await server.start()
        yield server.address + PATH
    finally:
        await server.stop()


def _only_metrics(
    app: ASGIApp, troubles: Mapping[str, str] | None, rejected: Callable[[], Mapping[str, str]]
) -> ASGIApp:
    paths = (PATH,) if troubles is None else (PATH, READY_PATH)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in paths:
            await PlainTextResponse(f"This server has only {' and '.join(paths)}.\n", 404)(
                scope, receive, send
            )
        elif scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("GET it.\n", 405, {"Allow": "GET, HEAD"})(scope, receive, send)
        elif scope["path"] == READY_PATH:
            left_out = {"rejected": dict(rejected())}
            state = {"ready": not troubles, "troubles": dict(troubles or {})} | left_out
            await JSONResponse(state, 503 if troubles else 200)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return served
