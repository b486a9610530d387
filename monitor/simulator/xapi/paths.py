"""Parse addresses below ``/xapi/v1``. Pure.

Examples: ``Users(29)/Groups``, ``Queues(Number='80''0')``, ``Contacts/Pbx.F(n='1')``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from monitor.simulator.xapi.odata.operators import ODataError

_SEGMENT: Final = re.compile(r"(?P<name>[$\w.]+)(?:\((?P<arguments>.*)\))?", re.DOTALL)
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?", re.ASCII
)
_NAMED: Final = re.compile(r"(?P<name>\w+)\s*=(?P<value>.*)", re.DOTALL)

Argument: TypeAlias = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Segment:
    """Represent a part of an address.

    ``arguments``: None without parentheses. A single unnamed argument has the name ``""``. A date
    or a moment stays a text.
    """

    name: str
    arguments: dict[str, Argument] | None = None


def parse_path(path: str) -> tuple[Segment, ...]:
    """Return the segments of a decoded path. Raises ODataError.

    Slashes within quotes belong to the value.
    """
    plain = path.strip("/")
    return tuple(_segment(text) for text in _outside_quotes(plain, "/")) if plain else ()


def _segment(text: str) -> Segment:
    match = _SEGMENT.fullmatch(text)
    if not match:
        raise ODataError(f"The segment '{text}' is not valid.")
    arguments = match["arguments"]
    if arguments is None:
        return Segment(match["name"])
    if not arguments.strip():
        return Segment(match["name"], {})
    return Segment(
        match["name"], dict(_argument(item.strip()) for item in _outside_quotes(arguments, ","))
    )


def _argument(text: str) -> tuple[str, Argument]:
    named = _NAMED.fullmatch(text)
    if named and not text.startswith("'"):
        return named["name"], _value(named["value"].strip())
    return "", _value(text)


def _value(text: str) -> Argument:
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    match text:
        case "null":
            return None
        case "true" | "false":
            return text == "true"
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        return int(text)
    if _MOMENT.fullmatch(text):
        return text
    raise ODataError(f"The value '{text}' is not valid.")


def _outside_quotes(text: str, separator: str) -> list[str]:
    parts, quoted, start = [], False, 0
    for position, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:position])
            start = position + 1
    if quoted:
        raise ODataError(f"Unbalanced quotes in '{text}'.")
    return [*parts, text[start:]]
