"""Check what clients send: known properties, their types and their words. Pure.

The types are those of the templates' values. The words are those of the OpenAPI file's
enumerations.
"""

from __future__ import annotations

from typing import Any, Final

from monitor.simulator.pbx_data.templates import Entity, tables
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.odata.filter import ODataError

_INT32: Final = 2**31
_LONGEST: Final = 131_072


def check(kind: str, body: Any) -> Entity:
    """Return the body without annotations, if all its properties fit the entity type.

    Properties may be missing. Unknown properties and wrong types raise ODataError, as errors of the
    OData layer, and so do unknown words. Texts that are too long raise XapiError, with 3CX's own
    word.
    """
    if not isinstance(body, dict):
        raise ODataError("The request body must be a JSON object.")
    template = tables().types[kind].properties
    values = {name: value for name, value in body.items() if "@odata." not in name}
    for name, value in values.items():
        if name not in template:
            raise ODataError(f"The property '{name}' does not exist on type 'Pbx.{kind}'.")
        _check_type(name, value, template[name])
        _check_word(name, value)
    return values


def check_rows(kind: str, name: str, rows: Any) -> list[Entity]:
    """Return the checked rows of a navigation property. Raises ODataError or XapiError."""
    if not isinstance(rows, list):
        raise ODataError(f"The property '{name}' must be an array.")
    return [check(kind, row) for row in rows]


def _check_type(name: str, value: Any, example: Any) -> None:
    if value is None or example is None:
        return
    right = type(value) is type(example)
    if right and isinstance(example, dict) and example and not value.keys() <= example.keys():
        raise ODataError(
            f"A property of '{name}' does not exist: {min(value.keys() - example.keys())}."
        )
    if not right or (isinstance(value, int) and not -_INT32 <= value < _INT32):
        raise ODataError(f"Cannot convert the value of '{name}' to the expected type.")


def _check_word(name: str, value: Any) -> None:
    words = tables().words
    if isinstance(value, str) and value not in words.get(name, (value,)):
        raise ODataError(f"'{value}' is not a value of the enumeration of '{name}'.")
    if isinstance(value, str) and len(value) > _LONGEST:
        raise errors.bad(errors.TOO_LONG, name)
