"""Serve the XAPI: 3CX's Configuration API, OData v4 under ``/xapi/v1``.

The client is identified before: ``request.state.role`` is the greatest of its roles. Only
``system_admins`` and ``system_owners`` are let in, others to their own account alone. Every answer
to such a request, refusals included, is made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.csdl import metadata
from monitor.simulator.xapi.description.openapi import openapi
from monitor.simulator.xapi.description.operations import invoked
from monitor.simulator.xapi.description.schema import schema
from monitor.simulator.xapi.entity_sets import OWNERS_ONLY, SETS, EntitySet
from monitor.simulator.xapi.entity_types import SHAPES
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.odata.query_options import MOST_ROWS, parse_options
from monitor.simulator.xapi.odata_actions import OPERATIONS
from monitor.simulator.xapi.own_account import logins
from monitor.simulator.xapi.paths import Segment, parse_path
from monitor.simulator.xapi.plain_entities import Key
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.singletons import SINGLETONS, Singleton
from monitor.simulator.xapi.validation import check_arguments

PREFIX: Final = "/xapi/v1"
_FOR_ALL: Final = frozenset(("MyUser", "MyGroup", "MyTokens"))
"""Addresses at which every client finds its own entities, with any role."""
_LONG_REPORT: Final = re.compile(r"Report(?!InboundRules)\w+/")
"""Reports on past calls. Public programs ask live ones for 500 and 1000 rows at once."""
_METHODS: Final = ("GET", "POST", "PATCH", "DELETE", "PUT")
_MEDIA_TYPE: Final = "application/json; odata.metadata=minimal; odata.streaming=true"


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes of the XAPI."""

    async def endpoint(request: Request) -> Response:
        reply = answer(site, request, await request.body())
        content = (
            reply.body
            if reply.body is None or isinstance(reply.body, bytes)
            else msgspec.json.encode(reply.body)
        )
        headers = {"OData-Version": "4.0", **reply.headers}
        if content is not None:
            headers.setdefault("Content-Type", _MEDIA_TYPE)
        return Response(content, reply.status, headers)

    paths = (PREFIX, f"{PREFIX}/{{path:path}}")
    return [Route(path, endpoint, methods=_METHODS) for path in paths]


def answer(site: Site, request: Request, body: bytes) -> XapiResponse:
    """Return the answer to a request, or the refusal."""
    try:
        return _dispatch(_asked(site, request, body))
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
    path: str = request.path_params.get("path", "")
    pairs = tuple(request.query_params.multi_items())
    root = f"{request.url.scheme}://{request.url.netloc}{PREFIX}"
    options = parse_options(pairs, None if _LONG_REPORT.match(path) else MOST_ROWS)
    principal = getattr(request.state, "principal", None)
    return XapiRequest(
        site,
        request.method,
        root,
        path,
        pairs,
        options,
        _decoded(body),
        principal.client_id if principal is not None else "",
        getattr(request.state, "role", ""),
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError as error:
        raise ODataError("The request body is not valid JSON.") from error


def _dispatch(asked: XapiRequest) -> XapiResponse:
    first, *rest = parse_path(asked.path) or (Segment(""),)
    if not _may(asked.role, first.name):
        raise errors.forbidden()
    if first.name in _DOCUMENTS:
        return _document(asked, first.name)
    if len(rest) > 1:
        raise errors.not_found()
    below = rest[0] if rest else None
    if below is not None and below.name.startswith("Pbx."):
        return _invoke(asked, first, below)
    if first.name in SINGLETONS and first.arguments is None:
        return _singleton(asked, SINGLETONS[first.name], below)
    served = SETS.get(first.name)
    if served is None:
        raise errors.not_found()
    if first.arguments is None:
        return _collection(asked, served, below)
    return _entity(asked, served, first, below)


def _may(role: str, name: str) -> bool:
    """Return whether a role may use an address that begins with this name."""
    if name in _FOR_ALL:
        return bool(role)
    return role == "system_owners" or (role == "system_admins" and not name.startswith(OWNERS_ONLY))


def _document(asked: XapiRequest, name: str) -> XapiResponse:
    if asked.method != "GET":
        raise errors.not_allowed("GET")
    media_type, make = _DOCUMENTS[name]
    return XapiResponse(200, make(asked.root), {"Content-Type": media_type})


def _service(root: str) -> dict[str, Any]:
    """Return the service document: all collections and single entities (OData JSON, 5)."""
    listed = [(name, "EntitySet") for name in SETS] + [(name, "Singleton") for name in SINGLETONS]
    rows = [{"name": name, "kind": kind, "url": name} for name, kind in sorted(listed)]
    return {"@odata.context": f"{root}/$metadata", "value": rows}


_DOCUMENTS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "": (_MEDIA_TYPE, _service),
    "$metadata": ("application/xml", lambda _: metadata()),
    "swagger.yaml": ("application/yaml", lambda _: openapi()),
}
"""Documents that describe the service: media type, and function of the root's address."""


def _invoke(asked: XapiRequest, owner: Segment, operation: Segment) -> XapiResponse:
    found = OPERATIONS.get((owner.name, operation.name))
    if found is None or found.bound is (owner.arguments is None):
        raise errors.not_found()
    if asked.method != found.method:
        raise errors.not_allowed(found.method)
    if found.method == "GET":
        check_arguments(invoked()[owner.name, operation.name], operation.arguments or {})
    if found.bound:
        asked = replace(asked, entity=_bound(asked, owner))
    return found.run(replace(asked, arguments=operation.arguments or {}))


def _bound(asked: XapiRequest, owner: Segment) -> Entity:
    if owner.name not in ("ActiveCalls", "MyTokens", "SecurityTokens"):
        return _find(asked, SETS[owner.name], owner)
    key = (owner.arguments or {}).get("", (owner.arguments or {}).get("Id"))
    if type(key) is not int:
        raise errors.not_found()
    return {"Id": key}


def _singleton(asked: XapiRequest, single: Singleton, below: Segment | None) -> XapiResponse:
    if below is None and asked.method == "PATCH" and single.changeable:
        single.change(asked)
        return XapiResponse(204)
    if asked.method != "GET":
        raise errors.not_allowed("GET, PATCH" if below is None and single.changeable else "GET")
    entity = single.read(asked)
    if below is None:
        return asked.one(single.shape, entity, single.name)
    navigation = SHAPES[single.shape].navigation.get(below.name)
    if navigation is None or f"GET /{single.name}/{below.name}" not in schema().operations:
        raise errors.not_found()
    found = navigation.related(asked.site.directory, entity)
    return asked.many(navigation.shape, found, f"{single.name}/{below.name}")


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
            made = served.create(asked.site, asked.body)
            reply = asked.one(served.shape, made, f"{served.name}/$entity", 201)
            address = f"{asked.root}/{served.name}({_literal(made[served.key])})"
            return replace(reply, headers={"Location": address})
        case _:
            raise errors.not_allowed("GET, POST" if served.create else "GET")


def _list(asked: XapiRequest, served: EntitySet) -> XapiResponse:
    if served.name == "MyTokens":
        return asked.many(served.shape, logins(asked.site, asked.client_id), served.name)
    rows = served.rows(asked.site)
    pinned = asked.view.matcher(SHAPES[served.shape], asked.options).pinned
    if served.numbered and isinstance(number := pinned.get("Number"), str):
        rows = [row for row in (served.numbered(asked.site, number),) if row]
    elif served.find and isinstance(key := pinned.get(served.key), int | str):
        rows = [row for row in (served.find(asked.site, key),) if row]
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
    match asked.method:
        case "GET" if by_number or f"GET /{served.name}({{{served.key}}})" in schema().operations:
            return asked.one(served.shape, entity, f"{served.name}/$entity")
        case "PATCH" if served.change is not None and not by_number:
            served.change(asked.site, entity, asked.body)
        case "DELETE" if served.delete is not None and not by_number:
            served.delete(asked.site, entity)
        case _:
            raise errors.not_allowed("GET" if by_number else "GET, PATCH, DELETE")
    return XapiResponse(204)


def _find(asked: XapiRequest, served: EntitySet, segment: Segment) -> Entity:
    entity = None
    match segment.arguments:
        case {"Number": str(number)} if served.numbered is not None:
            entity = served.numbered(asked.site, number)
        case dict() as given if served.find is not None and len(given) == 1:
            [(name, key)] = given.items()
            if name in ("", served.key) and isinstance(key, int | str):
                entity = served.find(asked.site, key)
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
    context = f"{served.name}({_literal(entity[served.key])})/{below.name}"
    match below.arguments:
        case None:
            return asked.many(navigation.shape, found, context)
        case {"": key} | {"Id": key} if len(below.arguments) == 1:
            one = next((row for row in found if row.get("Id") == key), None)
            if one is not None:
                return asked.one(navigation.shape, one, f"{context}/$entity")
    raise errors.not_found()


def _literal(key: Key) -> str:
    """Return a key as an address writes it."""
    return str(key) if isinstance(key, int) else "'" + quote(key.replace("'", "''"), safe="") + "'"
