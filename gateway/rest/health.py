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
    described: Container[str] | None = None,
) -> Readiness:
    """Return whether the gateway can give live answers now, and the health of PBXs.

    ``draining``: true while the gateway closes its connections. ``rejected``: what it left out on
    Redis, which keeps it from nothing. ``described``: the PBXs whose health is told; None: all.
    A stranger is told none, and may ask a gateway of hundreds.
    """
    left_out = RejectedValues() if rejected is None else rejected
    health = {
        name: _health(view, left_out.reasons(name))
        for name, view in pbxs.items()
        if described is None or name in described
    }
    counted = [view for view in pbxs.values() if _is_followed(view)]
    own = all(_is_on_bus(view) and view.loaded for view in counted)
    live = len(counted) < len(pbxs) or any(_is_live(view) for view in counted)
    return Readiness(keys_loaded and own and live and not draining, keys_loaded, draining, health)


def _is_followed(view: PbxContext) -> bool:
    return view.demand.always or (view.demand.followed and view.loaded)


def _is_on_bus(view: PbxContext) -> bool:
    return view.live_feed.connected and view.book_feed.connected


def _stale_since(view: PbxContext) -> str | None:
    return view.live.stale_since or view.book.stale_since


def _is_heard(view: PbxContext) -> bool:
    return view.live.position is not None and _stale_since(view) is None


def _is_live(view: PbxContext) -> bool:
    system = _system(view)
    return _is_heard(view) and system is not None and system.connection == "connected"


def _system(view: PbxContext) -> System | None:
    return table(view.live.state, "system", System).get(SYSTEM_ID)


def readiness_response(state: Readiness, *, known: bool, method: str) -> Response:
    """Return 200 when ready, else 503.

    ``known``: whether the request shows a key that holds. Else only the word is told.
    """
    told: Ready | Readiness = state if known else Ready(state.ready, state.draining)
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
    live, book, system = view.live, view.book, _system(view)
    return PbxHealth(
        bus=_is_on_bus(view),
        snapshot=view.loaded,
        monitor=_is_heard(view),
        pbx=system is not None and system.connection == "connected",
        position=None if live.position is None else str(live.position),
        book_position=None if book.position is None else str(book.position),
        stale_since=_stale_since(view),
        monitor_name="" if system is None else system.monitor,
        connection="unknown" if system is None else system.connection,
        reason="" if system is None else system.reason,
        rejected=tuple(rejected),
        followed=_is_followed(view),
    )
