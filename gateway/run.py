"""Run the gateway process: a view of each PBX, the application over them, the HTTP server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import create_app
from gateway.auth.api_keys import ApiKey, KeyTable
from gateway.auth.key_follower import KeyFollower
from gateway.auth.pbx_choice import PbxChoice
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.client_addresses import ClientAddress, Handshakes, TrustedProxies
from gateway.config import GatewaySection
from gateway.counters import RequestCounters
from gateway.fanout.fleet import Fleet
from gateway.metrics.collector import GatewayCollector
from gateway.pbx_context import PbxContext, open_view
from gateway.rest.fast_path import FastPathProtocol, QueryFastPath
from gateway.rest.request_parser import UnauthenticatedBodies
from gateway.rest.ticket_endpoint import ticket_routes
from gateway.stream.server import StreamServer
from gateway.supervision import kept_running
from gateway.transport.held_bytes import MOST_UNFINISHED_BYTES, MOST_UNTAKEN_BYTES, HeldBytes
from gateway.transport.http_protocol import ConnectionCounter
from gateway.transport.websocket_protocol import SEND_BUFFER_BYTES, uvicorn_options
from monitor.shared.http_server import EmbeddedServer, bind
from monitor.shared.redis.rejected_values import RejectedValues, collect, collecting
from monitor.shared.tasks import end


@asynccontextmanager
async def serving(
    names: Iterable[str],
    keys: KeyTable,
    settings: GatewaySection,
    redis_of: Callable[[str], Redis],
    *,
    shared: bool = False,
    bound: Callable[[str], None] = lambda _: None,
    registry: CollectorRegistry | None = None,
    tenants: Mapping[str, str] | None = None,
) -> AsyncIterator[Gateway]:
    """Serve while the context is entered.

    On the way out subscribers are sent away first, spread over the settings' ``drain_time``. Then
    the server stops. Raises StartFailed if the address cannot be listened on. ``names``: of the
    PBXs. ``redis_of``: returns the client for a PBX's keys. ``shared``: other processes of ours
    listen on the same port. ``bound``: called with the address before anything else happens.
    ``registry``: the metrics are registered there; None: nowhere. ``tenants``: PBX → its owner, for
    keys of a tenant.
    """
    clients = {name: redis_of(name) for name in names}
    pbxs = _views(clients, settings, tenants or {})
    rate_limiter = RateLimiter(clients, settings.budgets.budgets())
    secret = settings.ticket_secret
    tickets = Tickets(
        clients,
        keys,
        time.time,
        None if secret is None else secret.get_secret_value().encode(),
        PbxChoice({name: view.tenant for name, view in pbxs.items()}),
    )
    live = StreamServer(
        pbxs,
        keys,
        settings.stream.settings(),
        tickets=tickets,
        rate_limiter=rate_limiter,
        compression=settings.compression,
    )
    requests, bodies = RequestCounters(), UnauthenticatedBodies()
    rejected = RejectedValues()
    app = create_app(
        pbxs,
        keys,
        streams=[*ticket_routes(tickets, keys, time.time, rate_limiter, bodies), *live.routes()],
        rate_limiter=rate_limiter,
        cors_origins=settings.cors_origins,
        counters=requests,
        draining=lambda: live.draining,
        bodies=bodies,
        compression=settings.compression,
        rejected=rejected,
    )
    fast_path = QueryFastPath(app, keys, rate_limiter, time.time, compression=settings.compression)
    if registry is not None:
        registry.register(
            GatewayCollector(pbxs, keys, live, requests, fast_path, rate_limiter, time.time)
        )
    proxies = TrustedProxies(settings.forwarded_allow_ips)
    await proxies.look_up()
    bound_socket = bind(
        settings.host, settings.port, shared=shared, send_buffer_bytes=SEND_BUFFER_BYTES
    )
    config = _http_config(fast_path, live, proxies, rejected, settings)
    server = Gateway(config, bound_socket, pbxs, keys, rate_limiter, live)
    bound(server.address)
    kept = {
        f"keys of {name}": KeyFollower(redis, name, keys, partial(live.revoke, pbx=name)).run
        for name, redis in clients.items()
    } | {"budgets": rate_limiter.run, "names of proxies": proxies.run}
    with collecting(rejected):
        following = [asyncio.create_task(kept_running(what, run)) for what, run in kept.items()]
    try:
        await server.start()
        try:
            yield server
        finally:  # also when cancelled: that ends the process
            await live.drain(settings.stream.drain_time if len(live) else 0.0)
    finally:
        try:
            await end(following)
        finally:
            await server.stop()


def _views(
    clients: Mapping[str, Redis], settings: GatewaySection, tenants: Mapping[str, str]
) -> dict[str, PbxContext]:
    fleet = Fleet(heartbeat=settings.heartbeat_interval)
    return {
        name: open_view(
            name,
            redis,
            heartbeat=settings.heartbeat_interval,
            log_length=settings.change_log_length,
            log_bytes=settings.change_log_bytes,
            tenant=tenants.get(name, ""),
            fleet=fleet,
            idle_s=settings.idle_time if settings.follow == "on_demand" else None,
        )
        for name, redis in clients.items()
    }


def _http_config(
    fast_path: QueryFastPath,
    live: StreamServer,
    proxies: TrustedProxies,
    rejected: RejectedValues,
    settings: GatewaySection,
) -> uvicorn.Config:
    connection_counter = ConnectionCounter(
        settings.connections,
        settings.connections_per_address,
        lambda host: not proxies.trusts(host),
    )
    unfinished, untaken = HeldBytes(MOST_UNFINISHED_BYTES), HeldBytes(MOST_UNTAKEN_BYTES)
    return uvicorn.Config(
        ClientAddress(
            _collecting(live.bypass_middleware(fast_path), rejected),
            proxies,
            settings.connections_per_address,
        ),
        interface="asgi3",
        http=partial(
            FastPathProtocol,
            fast_path,
            stall_timeout=settings.stream.stall_timeout,
            connection_counter=connection_counter,
            allowed_hosts=frozenset(settings.allowed_hosts),
            handshakes=Handshakes(proxies, live.refusal),
            unfinished=unfinished,
            untaken=untaken,
        ),  # type: ignore[arg-type]  # uvicorn takes any factory
        proxy_headers=False,  # gateway.client_addresses reads them
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
        **uvicorn_options(
            settings.stream.message_burst,
            settings.stream.messages_per_second,
            unfinished,
            untaken,
            compression=settings.compression,
        ),
    )


def _collecting(app: ASGIApp, rejected: RejectedValues) -> ASGIApp:
    """Return the application; what it and its tasks reject on Redis is collected.

    Its lifespan is among it, which runs the feeds.
    """

    def collected(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        collect(rejected)  # for the request's own task; a frame here would cost 600 bytes a client
        return app(scope, receive, send)

    return collected


class Gateway(EmbeddedServer):
    """Hold the server with its views and streams.

    They may be read, and some settings may be changed while it runs.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        bound: socket.socket,
        pbxs: Mapping[str, PbxContext],
        keys: KeyTable,
        rate_limiter: RateLimiter,
        live: StreamServer,
    ) -> None:
        super().__init__(config, bound)
        self.pbxs, self.live = pbxs, live
        self._keys, self._rate_limiter = keys, rate_limiter

    def change(self, keys: Iterable[ApiKey], settings: GatewaySection) -> None:
        """Replace keys, budgets and the stream's limits.

        The streams of keys that are no longer valid are ended.
        """
        self._rate_limiter.limit(settings.budgets.budgets())
        self.live.limit(settings.stream.settings())
        for key in self._keys.replace(keys):
            self.live.revoke(key.name, key.pbx)
