"""Serve the address where a client asks for a ticket.

The tickets themselves are in :mod:`gateway.auth.tickets`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.auth.api_keys import KeyTable, authenticate
from gateway.auth.pbx_choice import HEADER
from gateway.auth.tickets import VALID_S, Tickets
from gateway.errors import Refused
from gateway.parameters import check
from gateway.responses import json_response, refuse
from gateway.rest.request_parser import UnauthenticatedBodies, keys_outside, parse_request
from monitor.shared.codec import to_json
from monitor.shared.timestamps import from_unix

if TYPE_CHECKING:
    from gateway.auth.shared_rate_limiter import RateLimiter


def ticket_routes(
    tickets: Tickets,
    keys: KeyTable,
    clock: Callable[[], float],
    rate_limiter: RateLimiter | None = None,
    bodies: UnauthenticatedBodies | None = None,
) -> list[BaseRoute]:
    """Return the routes that issue tickets. Put them before the routes of the queries.

    ``clock``: POSIX seconds. ``rate_limiter``: counts each ticket as a read; None: nothing is
    counted. ``bodies``: counts the bytes of bodies whose senders are not known yet; None: those of
    tickets are counted apart.
    """
    unknown = UnauthenticatedBodies() if bodies is None else bodies

    async def issue(request: Request) -> Response:
        try:
            in_path = request.path_params.get("key")
            outside = (in_path, *keys_outside(request))
            if any(outside):  # before the body is read
                authenticate(keys, outside, from_unix(clock()), "read")
            came = await parse_request(request, None if any(outside) else unknown)
            key = authenticate(keys, (in_path, *came.keys), from_unix(clock()), "read")
            key.admit(request.client.host if request.client is not None else "")
            check((), came.pairs, "ticket")
            # before it is counted: no Redis here counts for another PBX
            named = (request.path_params.get("pbx"), *request.headers.getlist(HEADER))
            key = tickets.choice.chosen(key, named, of_all=True)
            left = None if rate_limiter is None else await rate_limiter.spend(key, None)
            headers = {} if left is None else dict(left.headers)
            return json_response(
                to_json({"ticket": await tickets.issue(key), "expires_in": VALID_S}),
                headers=headers,
            )
        except Refused as error:
            return refuse(error, request.method)
        except ClientDisconnect:
            return Response(status_code=400)

    return [
        Route(f"/webapi/{begin}ticket", issue, methods=["POST"])
        for begin in ("", "{key}/", "{key}/{pbx}/")
    ]
