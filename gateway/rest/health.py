"""Answer ``/healthz`` (the process answers) and ``/readyz`` (it can give live answers, or why not).

For each PBX: ``bus`` (both spaces are followed), ``snapshot`` (both have a state), ``monitor`` (it
was heard lately) and ``pbx`` (the monitor is connected to it). Bus and snapshot depend on this
gateway alone: without them it is not ready, and another gateway may serve better. Monitor and PBX
are the same for every gateway: because of them it is not ready only if it can give live answers
about no PBX at all. A gateway that is shutting down is not ready. A PBX that nobody asks for
(``follow = "on_demand"``), or whose state is being loaded, keeps no gateway from being ready.

Without a key the answer says only whether the gateway is ready. Names of PBXs, addresses in the
reasons of failures and the amount of traffic are not public. With a key that holds, the answer
says everything about that key's own PBXs.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.api_keys import ApiKey, KeyTable, authenticate, bearer
from gateway.errors import NoKeys
from gateway.responses import json_response
from monitor.shared.codec import to_json
from monitor.shared.entities.topics import SYSTEM_ID, System, table
from monitor.shared.redis.rejected_values import RejectedValues

if TYPE_CHECKING:
    from gateway.pbx_context import PbxContext


class PbxHealth(Struct, frozen=True, rename="camel"):
    """The health of one PBX as this gateway sees it.

    ``reason``: what is wrong with the connection to the PBX, and which values on Redis the monitor
    leaves out, in the monitor's words. ``rejected``: names of the keys on Redis whose values this
    gateway leaves out, as callmon did not write them. The log says why.
    """

    bus: bool
    snapshot: bool
    monitor: bool
    pbx: bool
    position: str | None
    book_position: str | None
    stale_since: str | None
    monitor_name: str
    connection: str
    reason: str
    rejected: tuple[str, ...] = ()
    followed: bool = True
    """False while the gateway does not follow the PBX, as nobody asks for it (``on_demand``)."""


class Ready(Struct, frozen=True):
    """The answer of ``/readyz`` without a key."""

    ready: bool
    draining: bool
    """True while the gateway shuts down."""


class Readiness(Struct, frozen=True):
    """The answer of ``/readyz`` with a key. ``pbxs``: the key's own."""

    ready: bool
    keys: bool
    draining: bool
    """True while the gateway shuts down."""
    pbxs: dict[str, PbxHealth]


class Alive(Struct, frozen=True):
    """The answer of ``/healthz``."""

    alive: bool
    version: str


def readiness(
    pbxs: Mapping[str, PbxContext],
    *,
    keys_loaded: bool,
    draining: bool = False,
    rejected: RejectedValues | None = None,
) -> Readiness:
    """Return whether the gateway can give live answers now, and the health of each PBX.

    ``draining``: true while the gateway closes its connections. ``rejected``: what it left out on
    Redis, which keeps it from nothing.
    """
    left_out = RejectedValues() if rejected is None else rejected
    health = {name: _health(view, left_out.reasons(name)) for name, view in pbxs.items()}
    counted = [one for one in health.values() if one.followed]
    own = all(one.bus and one.snapshot for one in counted)
    live = len(counted) < len(health) or any(one.monitor and one.pbx for one in counted)
    return Readiness(keys_loaded and own and live and not draining, keys_loaded, draining, health)


def readiness_response(state: Readiness, pbxs: Container[str] | None, method: str) -> Response:
    """Return 200 when ready, else 503.

    ``pbxs``: those of the key that the request shows, the only ones described; None: without a
    key.
    """
    told: Ready | Readiness = Ready(state.ready, state.draining)
    if pbxs is not None:
        own = {name: health for name, health in state.pbxs.items() if name in pbxs}
        told = Readiness(state.ready, state.keys, state.draining, own)
    return json_response(to_json(told), 200 if state.ready else 503, head=method == "HEAD")


def asker(request: Request, keys: KeyTable, now: str) -> ApiKey | None:
    """Return the key that the request shows; None without a key.

    Also None while the keys are not loaded. Raises a subclass of KeyRefused if the key does not
    hold, or not from this address.
    """
    headers, query = request.headers, request.query_params
    given = (bearer(headers.get("authorization")), headers.get("x-api-key"), query.get("key"))
    if not any(given):
        return None
    try:
        key = authenticate(keys, given, now)
    except NoKeys:
        return None
    key.admit(request.client.host if request.client is not None else "")
    return key


def alive_response(request: Request, version: str) -> Response:
    """Return 200, no matter what else is wrong."""
    return json_response(to_json(Alive(True, version)), head=request.method == "HEAD")


def _health(view: PbxContext, rejected: Mapping[str, str]) -> PbxHealth:
    live, book = view.live, view.book
    system = table(live.state, "system", System).get(SYSTEM_ID)
    stale_since = live.stale_since or book.stale_since
    return PbxHealth(
        bus=view.live_feed.connected and view.book_feed.connected,
        snapshot=live.position is not None and book.position is not None,
        monitor=live.position is not None and stale_since is None,
        pbx=system is not None and system.connection == "connected",
        position=None if live.position is None else str(live.position),
        book_position=None if book.position is None else str(book.position),
        stale_since=stale_since,
        monitor_name="" if system is None else system.monitor,
        connection="unknown" if system is None else system.connection,
        reason="" if system is None else system.reason,
        rejected=tuple(rejected),
        followed=view.demand.always or (view.demand.followed and view.loaded),
    )
