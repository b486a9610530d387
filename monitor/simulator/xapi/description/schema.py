"""Read the types of what the XAPI serves, as 3CX's OpenAPI file states them. Pure but for one file.

``schema.json`` holds them. A type is written ``string?`` (``?``: may be null), ``integer:int32``
(with format), ``Pbx.Rights`` (an entity or enumeration), ``[Pbx.User]`` (an array). ``nav`` goes
before a navigation property, ``value:`` before the rows of a collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from monitor.simulator.pbx_data.templates import Entity

_TEXTS: Final = {
    "date-time": re.compile(
        r"\A\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,12})?)?(Z|[+-]\d\d:\d\d)", re.ASCII
    ),
    "date": re.compile(r"\A\d{4}-\d\d-\d\d", re.ASCII),
    "time": re.compile(r"\A\d\d:\d\d:\d\d(\.\d{1,12})?", re.ASCII),
    "duration": re.compile(
        r"\A-?P(\d{1,9}D)?(T(\d{1,9}H)?(\d{1,9}M)?(\d{1,9}(\.\d{1,12})?S)?)?", re.ASCII
    ),
    "uuid": re.compile(r"\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII),
}
"""Texts that have a form, by the name of the form."""
_ZEROES: Final = {
    "date-time": "0001-01-01T00:00:00Z",
    "date": "0001-01-01",
    "time": "00:00:00",
    "duration": "PT0S",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
"""Values of .NET's empty structures."""
_BITS: Final = {"int32": 31, "int64": 63, "uint8": 8}


class Schema(msgspec.Struct, frozen=True):
    """Hold what ``schema.json`` says.

    ``operations``: status and type of each answer. ``parameters``: those of functions and actions,
    by operation. ``keys``: name of an entity's key, by type.
    """

    operations: dict[str, str]
    parameters: dict[str, dict[str, str]]
    keys: dict[str, str]
    entities: dict[str, dict[str, str]]
    enums: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class ValueType:
    """Represent a type. ``form``: the format of a text or number; empty if it has none."""

    name: str
    form: str = ""
    many: bool = False
    nullable: bool = False
    navigation: bool = False


@cache
def schema() -> Schema:
    """Return the schema. It is read once, when it is first needed."""
    return msgspec.json.decode(Path(__file__).with_name("schema.json").read_bytes(), type=Schema)


@cache
def value_type(text: str) -> ValueType:
    """Return the type that a text of the schema writes."""
    plain = text.removeprefix("value:").removeprefix("nav ")
    nullable = plain.endswith("?")
    plain = plain.removesuffix("?")
    many = plain.startswith("[")
    name, _, form = plain.strip("[]").removesuffix("?").partition(":")
    return ValueType(name, form, many, nullable, text.startswith("nav "))


def key_name(kind: str) -> str:
    """Return the name of an entity type's key; empty if it has none."""
    properties = schema().entities[kind]
    likely = (name for name in ("Id", "Name", "Number", "SegmentId") if name in properties)
    return schema().keys.get(kind) or next(likely, "")


def new_entity(kind: str, /, **values: Any) -> Entity:
    """Return an entity of a type: null, empty or zero but for ``values``."""
    properties = schema().entities[f"Pbx.{kind}"]
    return {name: _empty(value_type(text)) for name, text in properties.items()} | values


def mismatch(value: Any, kind: ValueType) -> str:
    """Return what is wrong with a value of a type, as a phrase; empty if it fits.

    Null fits every type but an array. What a navigation property holds is not looked at.
    """
    if value is None:
        return "must not be null" if kind.many and not kind.nullable else ""
    if not kind.many:
        return _mismatch_of_one(value, kind)
    if not isinstance(value, list):
        return "must be an array"
    item = ValueType(kind.name, kind.form)
    return "" if kind.navigation else next(filter(None, (mismatch(v, item) for v in value)), "")


def _mismatch_of_one(value: Any, kind: ValueType) -> str:
    if kind.name in schema().enums:
        words = schema().enums[kind.name]
        return "" if value in words else f"must be a word of '{kind.name}'"
    if kind.name in schema().entities or kind.name == "object":
        return _mismatch_of_object(value, kind)
    right = {
        "string": lambda: (
            isinstance(value, str)
            and (kind.form not in _TEXTS or bool(_TEXTS[kind.form].fullmatch(value)))
        ),
        "boolean": lambda: isinstance(value, bool),
        "integer": lambda: _is_number(value, kind),
        "number": lambda: _is_number(value, kind),
    }[kind.name]()
    return "" if right else f"must be {_spoken(kind)}"


def _mismatch_of_object(value: Any, kind: ValueType) -> str:
    if not isinstance(value, dict):
        return "must be an object"
    if kind.navigation or kind.name == "object":
        return ""
    properties = schema().entities[kind.name]
    for name, inner in value.items():
        if name not in properties and "@odata." not in name:
            return f"has no property '{name}'"
        if name in properties and (wrong := mismatch(inner, value_type(properties[name]))):
            return f"has a property '{name}', which {wrong}"
    return ""


def _is_number(value: Any, kind: ValueType) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    bits = _BITS.get(kind.form)
    if bits is None:  # a decimal, although the file calls it an integer
        return True
    return isinstance(value, int) and (0 if kind.form == "uint8" else -(2**bits)) <= value < 2**bits


def _spoken(kind: ValueType) -> str:
    article = "an" if kind.name == "integer" else "a"
    return f"{article} {kind.name}" + (f" of the format {kind.form}" if kind.form else "")


def _empty(kind: ValueType) -> Any:
    if kind.many:
        return []
    if kind.nullable or kind.navigation:
        return None
    if kind.name in schema().enums:
        return schema().enums[kind.name][0]
    if kind.name in schema().entities:
        return new_entity(kind.name.removeprefix("Pbx."))
    return {"string": _ZEROES.get(kind.form, ""), "boolean": False, "object": {}}.get(kind.name, 0)
