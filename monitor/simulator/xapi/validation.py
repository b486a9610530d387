"""Check what clients send: known properties, their types and their words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.description.operations import Described
from monitor.simulator.xapi.description.schema import mismatch, schema, value_type
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.paths import Argument

_LONGEST: Final = 131_072


def check(kind: str, body: Any) -> Entity:
    """Return the body without annotations, if all its properties fit the entity type.

    Properties may be missing. Unknown properties and wrong types raise ODataError, as errors of the
    OData layer, and so do unknown words. Texts that are too long raise XapiError, with 3CX's own
    word.
    """
    if not isinstance(body, dict):
        raise ODataError("The request body must be a JSON object.")
    properties = schema().entities[f"Pbx.{kind}"]
    values = {name: value for name, value in body.items() if "@odata." not in name}
    for name, value in values.items():
        if name not in properties:
            raise ODataError(f"The property '{name}' does not exist on type 'Pbx.{kind}'.")
        if wrong := mismatch(value, value_type(properties[name])):
            raise ODataError(
                f"Cannot convert the value of '{name}' to the expected type: it {wrong}."
            )
        if isinstance(value, str) and len(value) > _LONGEST:
            raise errors.bad(errors.TOO_LONG, name)
    return values


def check_rows(kind: str, name: str, rows: Any) -> list[Entity]:
    """Return the checked rows of a navigation property. Raises ODataError or XapiError."""
    if not isinstance(rows, list):
        raise ODataError(f"The property '{name}' must be an array.")
    return [check(kind, row) for row in rows]


def check_arguments(asked: Described, given: Mapping[str, Argument]) -> None:
    """Check the arguments of a function. Raises ODataError if one is missing or does not fit."""
    for name, text in asked.parameters.items():
        if name not in given:
            raise ODataError(f"The function '{asked.name}' needs the parameter '{name}'.")
        value, kind = given[name], value_type(text)
        if value is None and not kind.nullable:
            raise ODataError(f"The parameter '{name}' must not be null.")
        if kind.form == "date-time" and isinstance(value, str) and len(value) == len("2026-01-31"):
            continue  # a date alone is taken too, as .NET parses it
        if wrong := mismatch(value, kind):
            raise ODataError(f"The parameter '{name}' {wrong}.")
