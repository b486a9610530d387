"""Make the OpenAPI 3.1 document of the documented interface from the table of commands. Pure.

Shapes come from the Structs that are sent, examples from the queries themselves, and errors from
the table of errors. A command that is added to the table, with its query, needs no other
documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.docs.openapi_components import (
    BARE_EXAMPLE,
    DESCRIPTION,
    GROUPS,
    HEADERS,
    IN_THE_ADDRESS,
    OWN_GROUP,
    PARAMETERS,
    READINESS_EXAMPLE,
    SECURITY,
    SECURITY_SCHEMES,
    group_of,
)
from gateway.docs.openapi_errors import (
    CHANGING,
    COMPOSED,
    POSTED,
    READING,
    error_responses,
    responses_to,
    table_of_codes,
)
from gateway.docs.openapi_parameters import body_of, query_parameters
from gateway.docs.openapi_responses import Reply, reply_of, without_clashes
from gateway.docs.schemas import ref, schemas_of
from gateway.operations.operation_table import Command
from gateway.queries.calls import WhatThisIs
from gateway.responses import Failure
from gateway.rest.health import Alive, Readiness, Ready

OPENAPI: Final = "3.1.1"

_BUDGET_HEADERS: Final = ("RateLimit", "RateLimit-Policy")
_ANSWER_HEADERS: Final = ("ETag", "Callmon-Position", "Callmon-Stale-Since", *_BUDGET_HEADERS)
_COMPOSED_HEADERS: Final = ("X-Request-Id", *_BUDGET_HEADERS)
_DONE_HEADERS: Final = ("Callmon-Position", "Idempotent-Replayed", *_COMPOSED_HEADERS)


def openapi(commands: Iterable[Command], version: str) -> dict[str, Any]:
    """Return the document for these commands. ``version``: callmon's."""
    table = tuple(commands)
    replies = without_clashes({command.name: reply_of(command) for command in table}, _ALWAYS)
    refusals = {
        status
        for command in table
        for method in command.methods
        for status in _refusals(command, method)
    }
    own = any(group_of(command.name) == OWN_GROUP for command in table)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "callmon",
            "version": version,
            "summary": "Read the live state of a 3CX, and change its settings.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ".", "description": "The gateway that serves this document"}],
        "tags": [
            {"name": name, "description": about}
            for name, about in GROUPS.items()
            if name != OWN_GROUP or own
        ],
        "paths": _paths(table, replies),
        "components": {
            "schemas": _schemas(replies.values()),
            "responses": error_responses(refusals),
            "parameters": PARAMETERS,
            "requestBodies": {
                _identifier(command): body_of(command) for command in table if command.parameters
            },
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


_ALWAYS: Final[tuple[type[Struct], ...]] = (WhatThisIs, Failure, Alive, Ready, Readiness)


def _schemas(replies: Iterable[Reply]) -> dict[str, Any]:
    kinds = {kind for reply in replies for kind in reply.kinds}
    schemas = schemas_of((*sorted(kinds, key=lambda kind: kind.__name__), *_ALWAYS))
    failure = schemas[Failure.__name__]
    failure["description"] += "\n\n" + table_of_codes()
    return schemas


def _paths(table: Iterable[Command], replies: Mapping[str, Reply]) -> dict[str, Any]:
    paths: dict[str, Any] = {"/webapi/": _bare("")}
    for command in table:
        paths[f"/webapi/{command.name}"] = _item(command, replies[command.name], "")
    paths["/webapi/{key}/"] = _bare("_by_address")
    for command in table:
        paths[f"/webapi/{{key}}/{command.name}"] = _item(
            command, replies[command.name], "_by_address"
        )
    return paths | {"/healthz": {"get": _alive()}, "/readyz": {"get": _ready()}}


def _item(command: Command, reply: Reply, suffix: str) -> dict[str, Any]:
    shared = [_parameter(name) for name in (("Key", "Pbx") if suffix else ("Pbx",))]
    item: dict[str, Any] = {}
    for method in (method for method in command.methods if method != "HEAD"):
        operation = {
            "operationId": f"{method.lower()}_{_identifier(command)}{suffix}",
            "tags": [IN_THE_ADDRESS if suffix else group_of(command.name)],
            "summary": command.summary[:1].upper() + command.summary[1:],
            "description": _about(command, method),
            "security": [{}] if suffix else SECURITY,
            # Not the path's: Swagger UI names those in the first operation only that is opened.
            "parameters": [
                *shared,
                *_own_parameters(command, method),
                *_header_parameters(command, method),
            ],
            "responses": _responses(command, method, reply),
        }
        if method == "POST" and command.parameters:
            operation["requestBody"] = {
                "$ref": f"#/components/requestBodies/{_identifier(command)}"
            }
        item[method.lower()] = operation
    return item


def _identifier(command: Command) -> str:
    return command.name.replace("_", "__").replace(".", "_")


def _own_parameters(command: Command, method: str) -> list[dict[str, Any]]:
    return query_parameters(command) if method == "GET" else []


def _header_parameters(command: Command, method: str) -> list[dict[str, str]]:
    if command.query is None:
        return [] if command.name == "query" else [_parameter("IdempotencyKey")]
    return [
        _parameter(name)
        for name in ("IfNoneMatch", "MinPosition")
        if method == "GET" or name == "MinPosition"
    ]


def _responses(command: Command, method: str, reply: Reply) -> dict[str, Any]:
    content = {"schema": reply.schema} | (
        {} if reply.example is None else {"example": reply.example}
    )
    names = (
        _DONE_HEADERS
        if command.changes
        else _ANSWER_HEADERS
        if command.query
        else _COMPOSED_HEADERS
    )
    responses: dict[str, Any] = {
        "200": {
            "description": "The answer." if command.query else "Done.",
            "headers": {name: _header(name) for name in names},
            "content": {"application/json": content},
        }
    }
    if command.query is not None and method == "GET":
        responses["304"] = _not_modified()
    return responses | responses_to(_refusals(command, method))


def _refusals(command: Command, method: str) -> set[int]:
    own = CHANGING if command.changes else COMPOSED if command.composition else ()
    return {*READING, *(POSTED if method == "POST" else ()), *own}


def _about(command: Command, method: str) -> str:
    parts = [f"`{command.name}`, scope `{command.scope}`."]
    if command.one_of:
        parts.append(
            f"At least one of {', '.join(f'`{name}`' for name in command.one_of)} is needed."
        )
    if command.query is None and method == "GET":
        parts.append(
            "The documented interface allows GET, although the command changes something: "
            "prefer POST."
        )
    return " ".join(parts)


def _bare(suffix: str) -> dict[str, Any]:
    operation = {
        "operationId": f"get_what_this_is{suffix}",
        "tags": [IN_THE_ADDRESS if suffix else "About"],
        "summary": "The gateway's version, its PBX and what the key may do",
        "security": [{}] if suffix else SECURITY,
        "parameters": [_parameter("IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {name: _header(name) for name in _ANSWER_HEADERS},
                "content": {
                    "application/json": {"schema": ref(WhatThisIs), "example": BARE_EXAMPLE}
                },
            },
            "304": _not_modified(),
        }
        | responses_to(status for status in READING if status != 504),
    }
    return {"parameters": [_parameter("Key")], "get": operation} if suffix else {"get": operation}


def _not_modified() -> dict[str, Any]:
    headers = {name: _header(name) for name in _ANSWER_HEADERS}
    return {
        "description": "The answer has not changed since the client got it.",
        "headers": headers,
    }


def _alive() -> dict[str, Any]:
    return {
        "operationId": "get_healthz",
        "tags": ["About"],
        "summary": "Tell whether the gateway's process answers",
        "description": "Needs no key.",
        "security": [{}],
        "responses": {
            "200": _json("The process answers.", Alive, {"alive": True, "version": "1.0.0"})
        },
    }


def _ready() -> dict[str, Any]:
    return {
        "operationId": "get_readyz",
        "tags": ["About"],
        "summary": "Tell whether the gateway can give live answers, and if not, why",
        "description": (
            "Without a key the answer says only yes or no. With a key it also gives the reasons "
            "for the key's own PBX."
        ),
        "security": [{}, *SECURITY],
        "responses": {
            "200": _told("The gateway can give live answers.", ready=True),
            "503": _told("The gateway cannot give live answers.", ready=False),
            **responses_to((401,)),
        },
    }


def _told(about: str, *, ready: bool) -> dict[str, Any]:
    content = {
        "schema": {"anyOf": [ref(Ready), ref(Readiness)]},
        "example": READINESS_EXAMPLE | {"ready": ready},
    }
    return {"description": about, "content": {"application/json": content}}


def _json(about: str, kind: type[Struct], example: Any) -> dict[str, Any]:
    return {
        "description": about,
        "content": {"application/json": {"schema": ref(kind), "example": example}},
    }


def _parameter(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name.replace('-', '')}"}
