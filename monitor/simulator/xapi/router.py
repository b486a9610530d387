"""Serve the XAPI: 3CX's Configuration API, OData v4 under ``/xapi/v1``.

The client is identified before: ``request.state.role`` is the API client's role. Only
``system_admins`` and ``system_owners`` are let in. Every answer to such a request, refusals
included, is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.context import Calls, Site
from monitor.simulator.xapi.entity_sets import EMPTY, OWNERS_ONLY, REPORTS, SETS, EntitySet
from monitor.simulator.xapi.entity_types import SHAPES
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.odata.query_options import parse_options
from monitor.simulator.xapi.odata_actions import OPERATIONS
from monitor.simulator.xapi.paths import Segment, parse_path
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.system import defs, license_status, office_hours, system_status

PREFIX: Final = "/xapi/v1"
_METHODS: Final = ("GET", "POST", "PATCH", "DELETE", "PUT")
_MEDIA_TYPE: Final = "application/json; odata.metadata=minimal; odata.streaming=true"
_SINGLETONS: Final[Mapping[str, Callable[[Site], Entity]]] = {
    "SystemStatus": system_status,
    "Defs": lambda _: defs(),
    "DialCodeSettings": lambda site: site.directory.dial_codes,
    "OfficeHours": office_hours,
    "LicenseStatus": license_status,
}


def routes(
    directory: Directory, calls: Calls, switches: Switches, clock: Callable[[], float]
) -> list[BaseRoute]:
    """Return the routes of the XAPI. ``clock`` is the PBX's, in POSIX seconds."""
    site = Site(directory, calls, switches, clock)

    async def endpoint(request: Request) -> Response:
        role = getattr(request.state, "role", "")
        reply = answer(site, role, request, await request.body())
        content = None if reply.body is None else msgspec.json.encode(reply.body)
        headers = {"OData-Version": "4.0", **reply.headers}
        if content is not None:
            headers.setdefault("Content-Type", _MEDIA_TYPE)
        return Response(content, reply.status, headers)

    return [Route(f"{PREFIX}/{{path:path}}", endpoint, methods=_METHODS)]


def answer(site: Site, role: str, request: Request, body: bytes) -> XapiResponse:
    """Return the answer to a request, or the refusal."""
    try:
        return _dispatch(_asked(site, request, body), role)
    except errors.XapiError as error:
        return XapiResponse(error.status, error.body(), error.headers)
    except ODataError as error:
        message = (
            f"The query specified in the URI is not valid. {error}"
            if request.method == "GET"
            else str(error)
        )
        return XapiResponse(400, {"error": {"code": "", "message": message}})


def _asked(site: Site, request: Request, body: bytes) -> XapiRequest:
    path: str = request.path_params["path"]
    pairs = tuple(request.query_params.multi_items())
    root = f"{request.url.scheme}://{request.url.netloc}{PREFIX}"
    return XapiRequest(
        site, request.method, root, path, pairs, parse_options(pairs), _decoded(body)
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError as error:
        raise ODataError("The request body is not valid JSON.") from error


def _dispatch(asked: XapiRequest, role: str) -> XapiResponse:
    first, *rest = parse_path(asked.path)
    if role not in ("system_admins", "system_owners") or (
        role != "system_owners" and first.name in OWNERS_ONLY
    ):
        raise errors.forbidden()
    if len(rest) > 1:
        raise errors.not_found()
    below = rest[0] if rest else None
    empty = first.name in EMPTY if below is None else (first.name, below.name) in REPORTS
    if empty and first.arguments is None and asked.method == "GET":
        return asked.reply(first.name, {"value": []})
    if below is not None and below.name.startswith("Pbx."):
        return _invoke(asked, first, below)
    if first.name in _SINGLETONS and first.arguments is None:
        return _singleton(asked, first.name, below)
    served = SETS.get(first.name)
    if served is None:
        raise errors.not_found()
    if first.arguments is None:
        return _collection(asked, served, below)
    return _entity(asked, served, first, below)


def _invoke(asked: XapiRequest, owner: Segment, operation: Segment) -> XapiResponse:
    found = OPERATIONS.get((owner.name, operation.name))
    if found is None or found.bound is (owner.arguments is None):
        raise errors.not_found()
    if asked.method != found.method:
        raise errors.not_allowed(found.method)
    if found.bound:
        asked = replace(asked, entity=_bound(asked, owner))
    return found.run(replace(asked, arguments=operation.arguments or {}))


def _bound(asked: XapiRequest, owner: Segment) -> Entity:
    if owner.name != "ActiveCalls":
        return _find(asked, SETS[owner.name], owner)
    key = (owner.arguments or {}).get("", (owner.arguments or {}).get("Id"))
    if type(key) is not int:
        raise errors.not_found()
    return {"Id": key}


def _singleton(asked: XapiRequest, name: str, below: Segment | None) -> XapiResponse:
    if name == "DialCodeSettings" and asked.method == "PATCH" and below is None:
        return _change_dial_codes(asked)
    if asked.method != "GET":
        raise errors.not_allowed("GET")
    entity = _SINGLETONS[name](asked.site)
    if below is None:
        return asked.one(name, entity, name)
    navigation = SHAPES[name].navigation.get(below.name)
    if navigation is None:
        raise errors.not_found()
    return asked.many(navigation.shape, entity[below.name], f"{name}/{below.name}")


def _change_dial_codes(asked: XapiRequest) -> XapiResponse:
    codes = asked.site.directory.dial_codes
    if not isinstance(asked.body, dict) or not asked.body.keys() <= codes.keys():
        raise ODataError("The request body must be a JSON object with known properties.")
    if not all(isinstance(value, str) for value in asked.body.values()):
        raise errors.bad(errors.INVALID)
    codes.update(asked.body)
    return XapiResponse(204)


def _collection(asked: XapiRequest, served: EntitySet, below: Segment | None) -> XapiResponse:
    if below is not None and (below.name != "$count" or asked.method != "GET"):
        raise errors.not_found()
    match asked.method:
        case "GET" if below is not None:
            matcher = asked.view.matcher(SHAPES[served.shape], asked.options)
            return XapiResponse(
                200, len(matcher.matching(served.rows(asked.site))), {"Content-Type": "text/plain"}
            )
        case "GET":
            return _list(asked, served)
        case "POST" if served.create is not None:
            made = served.create(asked.site.directory, asked.site.switches, asked.body)
            reply = asked.one(served.shape, made, f"{served.name}/$entity", 201)
            return replace(reply, headers={"Location": f"{asked.root}/{served.name}({made['Id']})"})
        case _:
            raise errors.not_allowed("GET, POST" if served.create else "GET")


def _list(asked: XapiRequest, served: EntitySet) -> XapiResponse:
    rows = served.rows(asked.site)
    pinned = asked.view.matcher(SHAPES[served.shape], asked.options).pinned
    if served.numbered and isinstance(number := pinned.get("Number"), str):
        rows = [row for row in (served.numbered(asked.site.directory, number),) if row]
    elif served.find and isinstance(key := pinned.get("Id"), int):
        rows = [row for row in (served.find(asked.site.directory, key),) if row]
    return asked.many(
        served.shape, rows, served.name, asked.site.served if served.name == "ActiveCalls" else None
    )


def _entity(
    asked: XapiRequest, served: EntitySet, segment: Segment, below: Segment | None
) -> XapiResponse:
    entity = _find(asked, served, segment)
    by_number = "Number" in (segment.arguments or {})
    if below is not None:
        return _related(asked, served, entity, below, by_number=by_number)
    directory, switches = asked.site.directory, asked.site.switches
    match asked.method:
        case "GET":
            return asked.one(served.shape, entity, f"{served.name}/$entity")
        case "PATCH" if served.change is not None and not by_number:
            served.change(directory, switches, entity, asked.body)
        case "DELETE" if served.delete is not None and not by_number:
            served.delete(directory, entity)
        case _:
            raise errors.not_allowed("GET" if by_number else "GET, PATCH, DELETE")
    return XapiResponse(204)


def _find(asked: XapiRequest, served: EntitySet, segment: Segment) -> Entity:
    match segment.arguments:
        case {"": int(key)} | {"Id": int(key)} if served.find is not None:
            entity = served.find(asked.site.directory, key)
        case {"Number": str(number)} if served.numbered is not None:
            entity = served.numbered(asked.site.directory, number)
        case _:
            entity = None
    if entity is None:
        raise errors.not_found()
    return entity


def _related(
    asked: XapiRequest, served: EntitySet, entity: Entity, below: Segment, *, by_number: bool
) -> XapiResponse:
    if below.name not in served.paths or by_number or asked.method == "POST":
        raise errors.not_found()
    if asked.method != "GET":
        raise errors.not_allowed("GET")
    navigation = SHAPES[served.shape].navigation[below.name]
    found = navigation.related(asked.site.directory, entity)
    return asked.many(navigation.shape, found, f"{served.name}({entity['Id']})/{below.name}")
