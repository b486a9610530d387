"""``/metrics`` and ``/readyz``: a registry served to Prometheus, on a socket of its own, in the running event loop.

In the loop, as what is read there belongs to it; a thread would look at tables that change under its eyes.

Of a gateway with several workers (``--workers``) each process serves its own, on a port of its own. prometheus-client's
way to add up processes keeps each number in a file: it knows no collectors, so that every delivery would have to pay
for a write there, and the files of a worker that died go on being counted. A process for each target is what
Prometheus is made for: it tells a restart from a counter that fell, and adds up by ``sum``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import uvicorn
from prometheus_client import CollectorRegistry, GCCollector, Info, ProcessCollector, make_asgi_app
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.shared.errors import NOT_BOUND, cannot_listen
from monitor.shared.version import VERSION

PATH = "/metrics"
READY_PATH = "/readyz"


def new_registry(program: str) -> CollectorRegistry:
    """A registry that has what there is to know of any process: its memory, CPU time, descriptors, version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("callmon_build", "What runs here.", registry=registry)
    build.info({"version": VERSION, "program": program})
    return registry


@asynccontextmanager
async def exposed(
    registry: CollectorRegistry, host: str, port: int, troubles: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """Serve the registry while the context is entered; its address. ``port`` 0: any free one.

    ``troubles``: by name, what keeps the program from its whole work; shown at ``/readyz``. None: that is not served.
    Raises StartFailed if the address cannot be listened on.
    """
    bound = _bind(host, port)
    host, port = bound.getsockname()[:2]
    server = _MetricsServer(
        uvicorn.Config(
            _only_metrics(make_asgi_app(registry), troubles),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[bound]), name="metrics")
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        bound.close()


class _MetricsServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are left to who runs the loop."""
        yield


def _only_metrics(app: ASGIApp, troubles: Mapping[str, str] | None) -> ASGIApp:
    paths = (PATH,) if troubles is None else (PATH, READY_PATH)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in paths:
            await PlainTextResponse(f"There is nothing here but {' and '.join(paths)}.\n", 404)(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("GET it.\n", 405, {"Allow": "GET, HEAD"})(scope, receive, send)
        elif scope["path"] == READY_PATH:
            state = {"ready": not troubles, "troubles": dict(troubles or {})}
            await JSONResponse(state, 503 if troubles else 200)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return served


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except NOT_BOUND as error:
        bound.close()
        raise cannot_listen("Metrics, as [metrics] has them, cannot be served on", host, port, error) from error
    return bound
