"""Read untrusted JSON: a missing field or a wrong type becomes a default, never an error. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.shared.timestamps import moment

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LONGEST_NUMBER = 20
_END_OF_TIME = 221_845_392_000.0
"""The year 9000 in POSIX seconds. Python's calendar ends a thousand years later."""


def text(row: Mapping[str, Any], name: str) -> str:
    """Return the field as text. A number is written out; any other type gives empty text."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def integer(row: Mapping[str, Any], name: str) -> int | None:
    """Return the field as an integer of 64 bits, or None if it is none. Text may hold it too."""
    return whole(row.get(name))


def whole(value: Any) -> int | None:
    """Return the value as an integer of 64 bits, or None if it is none. Text may hold it too."""
    if isinstance(value, str):
        digits = value.strip()
        if (
            len(digits) > _LONGEST_NUMBER
            or not digits.isascii()
            or not digits.removeprefix("-").isdigit()
        ):
            return None
        value = int(digits)
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if not isinstance(value, int) or isinstance(value, bool) or not _SMALLEST <= value <= _LARGEST:
        return None
    return value


def flag(row: Mapping[str, Any], name: str) -> bool | None:
    """Return the field as a bool, or None if it is neither yes nor no.

    It may be written as text or number too.
    """
    value = row.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return bool(value) if value in (0, 1) else None
    return (
        {"true": True, "false": False}.get(value.strip().lower())
        if isinstance(value, str)
        else None
    )


def posix(row: Mapping[str, Any], name: str) -> float | None:
    """Return the field's ISO 8601 moment in POSIX seconds, or None if it names none.

    .NET writes the year 1 or the last moment of 9999 for none. Both give None.
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
    """Yield the objects in a list. Anything else, in the list or in its place, is left out."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def record(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the field's object, or an empty one if it holds none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}
