"""Compare, order and compute values in OData expressions. Pure.

See :mod:`monitor.simulator.xapi.odata.filter`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final


class ODataError(Exception):
    """Signal that the query is not valid. The text says why, as the real service does."""


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same. Null equals null.

    Raises ODataError for different types.
    """
    one, other = _aligned(one, other)
    return bool(one == other)


def ordered(word: str, one: Any, other: Any) -> bool:
    """Return whether two values have this order; False if one is null.

    ``word``: ``lt``, ``le``, ``gt`` or ``ge``. Raises ODataError for different types.
    """
    one, other = _aligned(one, other)
    if one is None or other is None:
        return False
    try:
        return bool(_ORDER[word](one, other))
    except TypeError as error:
        raise ODataError(f"Values of this type cannot be compared by '{word}'.") from error


def truth(value: Any) -> bool | None:
    """Return the value if it is a boolean or null. Raises ODataError otherwise."""
    if value is None or isinstance(value, bool):
        return value
    raise ODataError("A boolean is expected.")


def call(name: str, values: list[Any]) -> Any:
    """Return the function's value, or null if an argument is null.

    Raises ODataError for arguments of the wrong type.
    """
    if None in values:
        return None
    try:
        return FUNCTIONS[name](*values)
    except (TypeError, AttributeError) as error:
        raise ODataError(f"No function signature for '{name}' matches the arguments.") from error


def sort_key(value: Any) -> tuple[bool, Any]:
    """Return a key that sorts null first. Raises ODataError for values without an order."""
    if isinstance(value, Mapping | list):
        raise ODataError(
            "The $orderby expression must evaluate to a single value of primitive type."
        )
    return (value is not None, 0 if value is None else value)


def instant(text: str) -> datetime:
    """Return the moment of an ISO 8601 text, in UTC if it names no zone. Raises ODataError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ODataError(f"'{text}' is not a date and time.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def written(seconds: float) -> str:
    """Return POSIX seconds as .NET writes them: UTC, with seven digits after the second."""
    ticks = round(seconds * 10**7)
    return f"{datetime.fromtimestamp(ticks // 10**7, UTC):%Y-%m-%dT%H:%M:%S}.{ticks % 10**7:07}Z"


def _substring(text: str, start: int, length: int | None = None) -> str:
    return str.__getitem__(
        text, slice(max(start, 0), None if length is None else max(start, 0) + max(length, 0))
    )


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "contains": str.__contains__,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "length": str.__len__,
    "indexof": str.find,
    "concat": str.__add__,
    "substring": _substring,
}
"""Functions that expressions may use, by name."""

_ORDER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _aligned(one: Any, other: Any) -> tuple[Any, Any]:
    if one is None or other is None:
        return one, other
    if isinstance(other, datetime) and isinstance(one, str):
        return instant(one), other
    if isinstance(one, datetime) and isinstance(other, str):
        return one, instant(other)
    if _kind(one) is not _kind(other):
        raise ODataError(
            f"A binary operator with incompatible types was detected: {type(one).__name__} and "
            f"{type(other).__name__}."
        )
    return one, other


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
