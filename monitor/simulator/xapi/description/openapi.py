"""Write ``swagger.yaml``: what the XAPI serves as an OpenAPI document. Pure.

The document is JSON, of which YAML is a superset. It states what ``schema.json`` holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from monitor.simulator.xapi.description.operations import Described, described
from monitor.simulator.xapi.description.schema import ValueType, schema, value_type

_ERROR: Final = "Pbx.ODataErrors.ODataError"
_OPTIONS: Final[Mapping[str, dict[str, Any]]] = {
    "$top": {"type": "integer", "minimum": 0, "maximum": 100},
    "$skip": {"type": "integer", "minimum": 0},
    "$search": {"type": "string"},
    "$filter": {"type": "string"},
    "$count": {"type": "boolean"},
    "$orderby": {"type": "array", "items": {"type": "string"}},
}
"""Query options of a collection."""
_SHOWN: Final[Mapping[str, dict[str, Any]]] = {
    "$select": {"type": "array", "items": {"type": "string"}},
    "$expand": {"type": "array", "items": {"type": "string"}},
}
"""Query options of everything that has properties."""
_SECURITY: Final = {
    "Application": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/connect/token", "scopes": {}}},
    }
}


@cache
def openapi() -> bytes:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in described():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    schemas = {name: _object(properties) for name, properties in schema().entities.items()}
    schemas |= {name: {"type": "string", "enum": words} for name, words in schema().enums.items()}
    document = {
        "openapi": "3.0.4",
        "info": {
            "title": "XAPI",
            "description": "This OData service is located at /xapi/v1",
            "version": "1.0.0",
        },
        "servers": [{"url": "/xapi/v1"}],
        "security": [{"Application": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _operation(operation: Described) -> dict[str, Any]:
    body = _body(operation)
    return {
        "tags": [operation.owner],
        "parameters": [*_in_path(operation), *_in_query(operation)],
        **({"requestBody": {"content": _json(body)}} if body else {}),
        "responses": {
            str(operation.status): {"description": "Success", **_answer(operation)},
            "default": {"description": "Error", "content": _json(_reference(_ERROR))},
        },
    }


def _in_path(operation: Described) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", operation.path)
    return [
        {"name": name, "in": "path", "required": True, "schema": _in_path_type(operation, name)}
        for name in names
    ]


def _in_path_type(operation: Described, name: str) -> dict[str, Any]:
    text = operation.parameters.get(name)
    if text is None:  # the key of an entity
        listed = schema().operations.get(f"GET /{operation.owner}", "200 string").split(" ")[1]
        properties = schema().entities.get(value_type(listed).name, {})
        text = properties.get(name, "string")
    return _schema(value_type(text))


def _in_query(operation: Described) -> list[dict[str, Any]]:
    if operation.method != "GET" or not operation.answer.name.startswith("Pbx."):
        return []
    options = {**(_OPTIONS if operation.answer.many else {}), **_SHOWN}
    return [
        {"name": name, "in": "query", "explode": False, "schema": kind}
        for name, kind in options.items()
    ]


def _body(operation: Described) -> dict[str, Any]:
    if operation.method not in ("POST", "PATCH"):
        return {}
    if operation.invoked:
        return _object(operation.parameters) if operation.parameters else {}
    listed = schema().operations[f"GET /{operation.owner}"].split(" ")[1]
    return _reference(value_type(listed).name)


def _answer(operation: Described) -> dict[str, Any]:
    kind = operation.answer
    if not kind.name:
        return {}
    if "/" in kind.name:
        return {"content": {kind.name: {"schema": {"type": "string", "format": "binary"}}}}
    text = schema().operations[f"{operation.method} {operation.path}"].split(" ")[1]
    told = _schema(kind)
    if text.startswith("value:"):
        told = {"type": "object", "properties": {"value": told}}
    return {"content": _json(told)}


def _json(told: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": told}}


def _object(properties: Mapping[str, str]) -> dict[str, Any]:
    told = {name: _schema(value_type(text)) for name, text in properties.items()}
    return {"type": "object", "properties": told}


def _schema(kind: ValueType) -> dict[str, Any]:
    told: dict[str, Any]
    if kind.name.startswith("Pbx."):
        told = _reference(kind.name)
    else:
        told = {"type": kind.name, **({"format": kind.form} if kind.form else {})}
    if kind.many:
        return {"type": "array", "items": told}
    if kind.nullable:
        return {"allOf": [told], "nullable": True} if "$ref" in told else told | {"nullable": True}
    return told


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
