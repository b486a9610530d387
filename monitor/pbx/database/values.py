"""Turn PostgreSQL's values into JSON.

- A number stays a number if JSON's readers lose nothing of it; else it becomes text.
- Times are ISO 8601 in UTC (:mod:`monitor.pbx.database.time_values`).
- Arrays become arrays, composite values objects.
- All other values become text as psql shows it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from asyncpg import BitString, Path, Polygon, Range, Record

from monitor.pbx.database.time_values import JsonText

_WHOLE: Final = range(-(2**63), 2**64)


def labels(names: Iterable[str]) -> list[str]:
    """Return the columns' names as keys of an object: the second ``id`` becomes ``id_2``."""
    taken: Counter[str] = Counter()
    given: set[str] = set()
    result = []
    for name in names:
        label = name
        while label in given:
            taken[name] += 1
            label = f"{name}_{taken[name] + 1}"
        given.add(label)
        result.append(label)
    return result


def jsonable(value: object) -> Any:
    """Return the value as JSON has it."""
    match value:
        case JsonText():
            return jsonable(value.read())
        case None | bool() | str():
            return value
        case int() | float() | Decimal():
            return _number(value)
        case Record():
            return dict(zip(labels(value.keys()), map(jsonable, value.values()), strict=True))
        case dict():
            return {key: jsonable(each) for key, each in value.items()}
        case Path() | Polygon():
            return [jsonable(point) for point in value.points]
        case list() | tuple():
            return [jsonable(each) for each in value]
    return _text(value)


def _number(value: float | Decimal) -> float | str:
    match value:
        case int():
            return value if value in _WHOLE else str(value)
        case Decimal() if value.is_finite():
            return _decimal(value)
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> float | str:
    """Return a number if a double holds the value exactly, else text.

    An amount must not change on its way.
    """
    if value == value.to_integral_value() and abs(value) <= 2**53:
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value)


def _text(value: object) -> str:
    match value:
        case bytes():
            return "\\x" + value.hex()
        case Range():
            return _range(value)
        case BitString():
            return value.as_string().replace(" ", "")
    return str(value)


def _range(value: Range[Any]) -> str:
    if value.isempty:
        return "empty"
    lower, upper = (
        "" if bound is None else str(jsonable(bound)) for bound in (value.lower, value.upper)
    )
    return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"
