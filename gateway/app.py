"""List all routes of the gateway, and run what stands behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.auth.api_keys import KeyTable
from gateway.auth.pbx_choice import PbxChoice
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.counters import RequestCounters
from gateway.docs.document_pages import ADDRESSES, Handouts, documents
from gateway.errors import Refused, UnknownCommand, WrongMethod
from gateway.operations.operation_table import COMMANDS
from gateway.responses import fault, refuse
from gateway.rest.endpoint import WebApiEndpoint
from gateway.rest.health import alive_response, asker, readiness, readiness_response
from gateway.rest.middleware import AccessLog, SecurityHeaders
from gateway.rest.request_parser import UnauthenticatedBodies
from gateway.supervision import kept_running
from gateway.web.human_pages import pages
from monitor.shared.redis.rejected_values import RejectedValues
from monitor.shared.timestamps import from_unix
from monitor.shared.version import VERSION

if TYPE_CHECKING:
    from gateway.pbx_context import PbxContext

EXPOSED = (
    *("ETag", "Retry-After", "RateLimit", "RateLimit-Policy", "Idempotent-Replayed"),
    *("Callmon-Position", "Callmon-Stale-Since", "Preference-Applied", "X-Request-Id"),
)
"""Headers of answers that a page from another origin may read too."""


def create_app(
    pbxs: Mapping[str, PbxContext],
    keys: KeyTable,
    *,
    streams: Sequence[BaseRoute] = (),
    rate_limiter: RateLimiter | None = None,
    cors_origins: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
    counters: RequestCounters | None = None,
    draining: Callable[[], bool] = lambda: False,
    bodies: UnauthenticatedBodies | None = None,
    rejected: RejectedValues | None = None,
    compression: bool = True,
) -> Starlette:
    """Return the gateway's ASGI application.

    ``streams``: the routes of the stream. ``rate_limiter``: counts requests; None: they are not
    limited. ``cors_origins``: origins of the pages that may read answers. ``clock``: POSIX
    seconds. ``counters``: counts the requests for the metrics. ``draining``: returns whether all
    clients are being sent away. ``bodies``: counts the bytes of bodies whose senders are not known
    yet, here and for tickets. ``rejected``: what this gateway left out on Redis. ``compression``:
    whether answers are compressed for clients that take it.

    Its lifespan runs the feeds and hubs of all PBXs. Without it the views stay as they are.
    """
    handouts = Handouts()
    choice = PbxChoice({name: view.tenant for name, view in pbxs.items()})
    web_api = WebApiEndpoint(
        pbxs, keys, VERSION, clock, rate_limiter, counters, bodies, compression=compression
    )

    async def healthz(request: Request) -> Response:
        return alive_response(request, VERSION)

    async def readyz(request: Request) -> Response:
        try:
            told = asker(request, keys, from_unix(clock()))
        except Refused as error:
            return refuse(error, request.method)
        state = readiness(
            pbxs,
            keys_loaded=keys.loaded,
            draining=draining(),
            rejected=rejected,
            described=() if told is None else choice.reach(told),
        )
        return readiness_response(state, known=told is not None, method=request.method)

    app = Starlette(
        routes=[
            *pages(VERSION, handouts),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            *documents(COMMANDS.values(), VERSION, handouts),
            *streams,
            Route("/webapi", web_api),
            Route("/webapi/{address:path}", web_api),
            *(Route(f"/{name}", web_api) for name in COMMANDS),
        ],
        middleware=[
            Middleware(AccessLog, public=frozenset(ADDRESSES)),
            *_cors(cors_origins),
            Middleware(SecurityHeaders),
        ],
        exception_handlers={HTTPException: _not_served, Exception: _faulty},
        lifespan=lambda _: _running(pbxs),
    )
    app.router.redirect_slashes = False  # a redirect would repeat the key in its address
    return app


def _cors(origins: Sequence[str]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=[
                *(
                    "Authorization",
                    "X-API-Key",
                    "Idempotency-Key",
                    "Callmon-Min-Position",
                    "Callmon-Pbx",
                    "If-None-Match",
                    "Prefer",
                    "Last-Event-ID",
                ),
                *("X-Request-Id", "X-Requested-With"),
            ],
            expose_headers=EXPOSED,
            max_age=600,
        )
    ]


async def _not_served(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET, HEAD")
        return refuse(
            WrongMethod(f"{request.method} does not work here.", {"Allow": allowed}), request.method
        )
    return refuse(
        UnknownCommand("There is nothing at this address; queries are at /webapi/."), request.method
    )


async def _faulty(request: Request, error: Exception) -> Response:
    return fault(request.method)  # starlette raises the error again, and the server logs it


@asynccontextmanager
async def _running(pbxs: Mapping[str, PbxContext]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(
                _followed(view)
                if view.demand.always
                else kept_running(f"following of {name}", partial(_on_demand, view))
            )
            for name, view in pbxs.items()
        ]
        running += [
            tasks.create_task(kept_running("fleet hub", fleet.hub.run))
            for fleet in {id(view.fleet): view.fleet for view in pbxs.values()}.values()
        ]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _on_demand(view: PbxContext) -> None:
    await view.demand.run(partial(_followed, view), lambda: view.occupied, view.let_go)


async def _followed(view: PbxContext) -> None:
    """Run all that follows one PBX, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for what, run in (
            ("live feed", view.live_feed.run),
            ("book feed", view.book_feed.run),
            ("live hub", view.hub.run),
            ("book hub", view.book_hub.run),
            ("commands", view.commander.run),
            ("watched queries", view.watches.run),
        ):
            tasks.create_task(kept_running(f"{what} of {view.name}", run))
