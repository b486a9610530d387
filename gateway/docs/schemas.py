"""Make JSON Schemas of what the gateway sends, for its own documents. Pure.

They are made from the Structs that are sent, so they cannot differ from them. The text under a
field in the source describes the field, because the documents' readers have no other.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from textwrap import dedent
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct

Schema: TypeAlias = dict[str, Any]

PLACE: Final = "#/components/schemas/"
"""Prefix of references to schemas in the documents."""
_INSTANTS: Final = frozenset(
    (
        "since",
        "staleSince",
        "stale_since",
        "server_time",
        "startedAt",
        "answeredAt",
        "endedAt",
        "queuedAt",
    )
)
_INSTANT: Final = {"format": "date-time"}


def ref(kind: type[Struct]) -> Schema:
    """Return the reference to a Struct's schema."""
    return {"$ref": PLACE + kind.__name__}


def schemas_of(kinds: Iterable[type[Struct]]) -> dict[str, Schema]:
    """Return the schemas of these Structs and of all Structs in them, by name.

    Structs are sent whole. So every field is required, except those that may be UNSET. Raises
    KeyError if two of them have one name.
    """
    wanted = tuple(dict.fromkeys(kinds))
    _, found = msgspec.json.schema_components(wanted, ref_template=PLACE + "{name}")
    structs = _with_parts(wanted)
    return {name: _told(schema, structs[name]) for name, schema in found.items()}


def schema_of(kind: Any) -> Schema:
    """Return the schema of one field's type; Structs in it become references."""
    (schema,), _ = msgspec.json.schema_components((kind,), ref_template=PLACE + "{name}")
    return schema


def described(kind: type) -> str:
    """Return a class's docstring in Markdown."""
    return in_markdown(kind.__doc__ or "")


def in_markdown(text: str) -> str:
    """Return a docstring in Markdown: single backticks, no roles, each paragraph in one line."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(text)).replace("``", "`")
    return "\n\n".join(" ".join(part.split("\n")) for part in text.split("\n\n"))


def field_notes(kind: type) -> dict[str, str]:
    """Return the texts under a class's fields, by attribute name.

    It is empty if the source cannot be read.
    """
    try:
        tree = ast.parse(dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return {}
    notes: dict[str, str] = {}
    last: str | None = None
    for node in getattr(tree.body[0], "body", ()):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                last = name
            case ast.Expr(value=ast.Constant(value=str(note))) if last is not None:
                notes[last] = in_markdown(note)
            case _:
                last = None
    return notes


def _told(schema: Schema, kind: type[Struct]) -> Schema:
    notes = field_notes(kind)
    properties: dict[str, Schema] = {}
    for field in msgspec.structs.fields(kind):
        properties[field.encode_name] = _field(
            schema["properties"][field.encode_name], field.encode_name
        )
        if field.name in notes:
            properties[field.encode_name] = _with_note(
                properties[field.encode_name], notes[field.name]
            )
    required = [
        field.encode_name for field in msgspec.structs.fields(kind) if field.default is not UNSET
    ]
    tag = kind.__struct_config__.tag
    if tag is not None:
        name = str(kind.__struct_config__.tag_field)
        properties = {name: {"const": tag}} | properties
        required = [name, *required]
    return {"title": kind.__name__, "description": described(kind), "type": "object"} | {
        "properties": properties,
        "required": required,
    }


def _field(schema: Schema, name: str) -> Schema:
    shown = {key: value for key, value in schema.items() if key != "default"}
    if name in _INSTANTS:
        shown = _changed(
            shown, lambda part: part | _INSTANT if part.get("type") == "string" else part
        )
    return _or_null(
        _changed(shown, lambda part: {"type": "string"} | part if "enum" in part else part)
    )


def _changed(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return the schema with each of its alternatives changed."""
    if "anyOf" in schema:
        return schema | {"anyOf": [change(part) for part in schema["anyOf"]]}
    return change(schema)


def _or_null(schema: Schema) -> Schema:
    """Return a plain type or null as a list of types, which is shorter to read."""
    parts: list[Schema] = schema.get("anyOf", [])
    if (
        len(parts) != 2
        or parts[1] != {"type": "null"}
        or "enum" in parts[0]
        or "type" not in parts[0]
    ):
        return schema
    return parts[0] | {"type": [parts[0]["type"], "null"]}


def _with_note(schema: Schema, note: str) -> Schema:
    return (
        {"allOf": [schema], "description": note}
        if "$ref" in schema
        else schema | {"description": note}
    )


def _with_parts(kinds: Iterable[type[Struct]]) -> Mapping[str, type[Struct]]:
    """Return these Structs and those that their fields hold, by name."""
    found: dict[str, type[Struct]] = {}
    left: list[Any] = list(kinds)
    while left:
        kind = left.pop()
        if isinstance(kind, type) and issubclass(kind, Struct):
            if kind.__name__ in found:
                continue
            found[kind.__name__] = kind
            left.extend(field.type for field in msgspec.structs.fields(kind))
        else:
            left.extend(getattr(kind, "__args__", ()))
    return found
