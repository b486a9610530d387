"""Reading untrusted JSON: a field that is missing or of another type becomes a default, never an error. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.shared.timestamps import moment

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LONGEST_NUMBER = 20
_END_OF_TIME = 221_845_392_000.0
"""The year 9000: Python's calendar ends a thousand years after."""


def text(row: Mapping[str, Any], name: str) -> str:
    """The field as text; a number is written out, all else is empty."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def integer(row: Mapping[str, Any], name: str) -> int | None:
    """The field as an integer of 64 bits, also where it is written as text; None if it is none."""
    return whole(row.get(name))


def whole(value: Any) -> int | None:
    """The value as an integer of 64 bits, also where it is written as text; None if it is none."""
    if isinstance(value, str):
        digits = value.strip()
        if len(digits) > _LONGEST_NUMBER or not digits.isascii() or not digits.removeprefix("-").isdigit():
            return None
        value = int(digits)
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if not isinstance(value, int) or isinstance(value, bool) or not _SMALLEST <= value <= _LARGEST:
        return None
    return value


def flag(row: Mapping[str, Any], name: str) -> bool | None:
    """The field as yes or no, also where it is written as text or number; None if it is neither."""
    value = row.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return bool(value) if value in (0, 1) else None
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def posix(row: Mapping[str, Any], name: str) -> float | None:
    """The field's ISO 8601 moment in POSIX seconds; None if it names none.

    .NET writes the year 1 for none, or the last moment of 9999, with which cannot be reckoned.
    """
    value = row.get(name)
    if not isinstance(value, str):
        return None
    try:
        seconds = moment(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if 0 < seconds < _END_OF_TIME else None


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects in a list; whatever else stands in it, or in its place, is left out."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def record(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The field's object; an empty one if it holds none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}
