"""Describe what commands take, as JSON Schemas. Pure.

In a query string or a form every value is text. In JSON a number may be a number, and several
values may be a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, assert_never

from gateway.docs.openapi_examples import arguments_of, value_of
from gateway.docs.schemas import Schema
from gateway.operations.operation_table import Command
from gateway.parameters import LARGEST, LONGEST_DN, Parameter, may_be_left_open

_DN: Final = rf"[\w.*#+\-]{{1,{LONGEST_DN}}}"
_LINE: Final = r"[^\x00-\x1f\x7f]*"
_LINES: Final = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*"
_LONGEST_IN_ADDRESS: Final = 4_000
"""Characters of a value in an address, at most, whichever they are. Longer lists need a body."""
_OR_NOTHING: Final = {"type": ["object", "array", "null"], "maxItems": 0}
"""An object, or what some programs write in place of an empty one: ``[]`` or ``null``."""
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


def query_parameters(command: Command) -> list[dict[str, Any]]:
    """Return the command's parameters in a query string."""
    return [_query_parameter(command, parameter) for parameter in command.parameters]


def body_of(command: Command) -> dict[str, Any]:
    """Return what a POST carries, as JSON or a form."""
    kinds = {"application/json": _json_or_null} | dict.fromkeys(_FORMS, text_schema)
    content = {
        kind: {"schema": _object(command, schema), "example": _example(command)}
        for kind, schema in kinds.items()
    }
    if not _needs_something(command):
        content["application/json"]["schema"] |= _OR_NOTHING
    return {
        "description": _body_description(command),
        "required": _needs_something(command),
        "content": content,
    }


def text_schema(parameter: Parameter) -> Schema:
    """Return the schema of the parameter's value as text."""
    match parameter.kind:
        case "dn":
            return _string(parameter, f"^{_DN}$", LONGEST_DN)
        case "dns":
            return _string(parameter, rf"^( *| *{_DN} *(, *{_DN} *)*)$", parameter.longest)
        case "phone":
            return _string(parameter, f"^{_LINE}[0-9]{_LINE}$", parameter.longest)
        case "destination":
            return _string(parameter, rf"^{_LINE}[^\W_]{_LINE}$", parameter.longest)
        case "whole":
            return {"type": "integer", "format": "int64", "minimum": 0, "maximum": LARGEST}
        case "text":
            return _string(parameter, f"^{_LINE}$", parameter.longest)
        case "sql":
            return _string(parameter, f"^{_LINES}$", parameter.longest)
        case "choice":
            return {"type": "string", "enum": list(parameter.allowed)}
        case _:
            assert_never(parameter.kind)


def json_schema(parameter: Parameter) -> Schema:
    """Return the schema of the parameter's value in a JSON object."""
    if may_be_left_open(parameter):
        return {"anyOf": [_json_value(parameter), {"const": ""}]}
    return _json_value(parameter)


def _json_value(parameter: Parameter) -> Schema:
    text = text_schema(parameter)
    match parameter.kind:
        case "dn" | "phone" | "destination" | "text":
            return {"anyOf": [text, {"type": "integer"}]}
        case "dns":
            number = {
                "anyOf": [
                    {"type": "string", "pattern": f"^ *{_DN} *$", "maxLength": LONGEST_DN},
                    _WHOLE,
                ]
            }
            return {"anyOf": [text, {"type": "array", "items": number}]}
        case "whole":
            return {"anyOf": [text, {"type": "string", "pattern": "^[0-9]{1,15}$"}]}
        case "choice" if all(word.isdigit() for word in parameter.allowed):
            return {"enum": [*parameter.allowed, *map(int, parameter.allowed)]}
        case "choice" | "sql":
            return text
        case _:
            assert_never(parameter.kind)


_WHOLE: Final = {"type": "integer", "minimum": 0, "maximum": LARGEST}


def _query_parameter(command: Command, parameter: Parameter) -> dict[str, Any]:
    value = _typed(parameter, value_of(command.name, parameter))
    schema = text_schema(parameter) | {"examples": [value]}
    if schema.get("maxLength", 0) > _LONGEST_IN_ADDRESS:
        schema["maxLength"] = _LONGEST_IN_ADDRESS
    shown: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": _sentence(parameter),
        "schema": schema,
    }
    if may_be_left_open(parameter) and parameter.name not in command.one_of:
        shown["allowEmptyValue"] = True
    # Pages with a form to try a request fill the example in. So only required parameters have one.
    return shown | {"example": value} if parameter.required else shown


def _object(command: Command, schema: Callable[[Parameter], Schema]) -> Schema:
    shown: Schema = {
        "type": "object",
        "properties": {
            parameter.name: {"description": _sentence(parameter)} | schema(parameter)
            for parameter in command.parameters
        },
        "additionalProperties": False,
    }
    required = [parameter.name for parameter in command.parameters if parameter.required]
    if required:
        shown["required"] = required
    if command.one_of:
        given = {"not": {"enum": ["", None]}}
        shown["anyOf"] = [
            {"required": [name], "properties": {name: given}} for name in command.one_of
        ]
    return shown


def _json_or_null(parameter: Parameter) -> Schema:
    shown = json_schema(parameter)
    return shown if parameter.required else {"anyOf": [shown, {"type": "null"}]}


def _string(parameter: Parameter, pattern: str, longest: int) -> Schema:
    schema: Schema = {"type": "string", "maxLength": longest, "pattern": pattern}
    return schema | {"minLength": 1} if parameter.required and parameter.kind != "dns" else schema


def _example(command: Command) -> dict[str, Any]:
    by_name = {parameter.name: parameter for parameter in command.parameters}
    return {name: _typed(by_name[name], value) for name, value in arguments_of(command).items()}


def _typed(parameter: Parameter, value: str) -> str | int:
    return int(value) if parameter.kind == "whole" else value


def _sentence(parameter: Parameter) -> str:
    text = f"{parameter.summary[:1].upper()}{parameter.summary[1:]}" or parameter.name
    return text.rstrip(".") + f". Takes {parameter.takes}."


def _needs_something(command: Command) -> bool:
    return bool(command.one_of) or any(parameter.required for parameter in command.parameters)


def _body_description(command: Command) -> str:
    one_of = _one_of(command.one_of)
    return (
        f"The parameters. They may be in the query string instead, but none of them in both "
        f"places.{one_of}"
    )


def _one_of(names: Sequence[str]) -> str:
    return (
        f" At least one of {', '.join(f'`{name}`' for name in names)} is needed." if names else ""
    )
