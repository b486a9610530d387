"""The OpenAPI document of all commands, and ways into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema

from gateway.docs.openapi import openapi
from gateway.operations.operation_table import COMMANDS, Command
from monitor.shared.codec import from_json, to_json

DOCUMENT: dict[str, Any] = from_json(to_json(openapi(COMMANDS.values(), "1.2.3")))


def holds(value: object, schema: dict[str, Any]) -> None:
    """Raises if the value is not as the schema says; references are those of the document."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": DOCUMENT["components"],
    } | schema
    jsonschema.Draft202012Validator(whole).validate(value)


def operation(command: Command, method: str, prefix: str = "/webapi/") -> dict[str, Any]:
    found = DOCUMENT["paths"][prefix + command.name][method.lower()]
    assert isinstance(found, dict)
    return found


def body(command: Command) -> dict[str, Any]:
    found = DOCUMENT["components"]["requestBodies"][command.name.replace(".", "_")]
    assert isinstance(found, dict)
    return found


def answer_schema(command: str, method: str = "get") -> dict[str, Any]:
    found = DOCUMENT["paths"][f"/webapi/{command}"][method]["responses"]["200"]["content"][
        "application/json"
    ]
    assert isinstance(found["schema"], dict)
    return found["schema"]


def walk(node: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    yield place, node
    children = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for name, child in children:
        yield from walk(child, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
