"""Turn PostgreSQL's values into JSON.

- A number stays a number if JSON's readers lose nothing of it; else it becomes text.
- Times are ISO 8601 in UTC. Python's own types do not know years beyond 9999 or before Christ,
  infinity, or months as a length of time. All of them may come. asyncpg's format ``tuple`` hands
  the numbers on as they are, in arrays and ranges too. Their meaning is in PostgreSQL's
  documentation, "Date/Time Types", and in its source ``timestamp.h``.
- Arrays become arrays, composite values objects. JSON is taken as it is, unless it is nested too
  deeply: then it becomes its text.
- All other values become text as psql shows it.

asyncpg decodes on the event loop, a row at a time, and a row may hold hundreds of thousands of
values. What takes long to read, or takes far more memory than bytes, is held as it was sent. It is
read where the answer is encoded.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, Literal, TypeAlias

from asyncpg import BitString, Path, Polygon, Range, Record

Ticks: TypeAlias = tuple[int, ...]

DEEPEST: Final = 400
"""Arrays and objects in each other that a JSON value may have; a deeper one becomes its text.

Programs read it again, and Python's readers go no deeper than a thousand."""
_WHOLE: Final = range(-(2**63), 2**64)
_LONGEST_WHOLE: Final = 20
"""Characters of the longest number in ``_WHOLE``."""
_DAY_US: Final = 86_400_000_000
_TO_MARCH_OF_YEAR_0: Final = 730_425
"""Days from 1 March of the year 0 to PostgreSQL's zero, 2000-01-01."""
_ERA: Final = 146_097
"""Days in 400 years."""
_NEGATIVE: Final = 0x4000
_NO_NUMBER: Final = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_ENDLESS: Final = {
    2**63 - 1: "infinity",
    -(2**63): "-infinity",
    2**31 - 1: "infinity",
    -(2**31): "-infinity",
}


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


class JsonText(str):
    """Hold an unread value of the types json and jsonb.

    It may be long, and the event loop has others to serve.
    """

    __slots__ = ()

    def read(self) -> object:
        """Return the value, or its text if it cannot be read or is nested too deeply."""
        try:
            value = json.loads(self, parse_int=_json_int, parse_float=_json_float)
        except (ValueError, RecursionError):
            return str(self)
        if self.count("[") + self.count("{") <= DEEPEST or isinstance(value, str) or _flat(value):
            return value
        return str(self)


class NumericBytes(bytes):
    """Hold an unread value of the type numeric, as ``numeric_send`` of PostgreSQL's source has it.

    The zeros at its end are not sent: ten bytes may be a number with 16,383 of them.
    """

    __slots__ = ()

    @property
    def zeros(self) -> int:
        """Return how many zeros are not sent, at most."""
        return max(0, int.from_bytes(self[6:8]) - 2 * len(self))

    def read(self) -> float | str:
        """Return the number, or its text if no double holds it exactly."""
        count, weight, sign, scale = struct.unpack_from(">HhHH", self)
        if sign in _NO_NUMBER:
            return _NO_NUMBER[sign]
        digits = "".join(f"{group:04}" for group in struct.unpack_from(f">{count}H", self, 8))
        exponent = 4 * (weight + 1 - count)
        if exponent < 0 or scale:
            written = len(digits) + exponent + scale
            digits, exponent = digits[:written].ljust(written, "0"), -scale
        return _number(Decimal(f"{'-' * (sign == _NEGATIVE)}{digits or '0'}E{exponent}"))


class Unread:
    """Hold a value as it was sent, with the function that makes text of it."""

    __slots__ = ("_sent", "_text")

    def __init__(self, text: Callable[[Any], str], sent: Any) -> None:
        self._text, self._sent = text, sent

    def read(self) -> str:
        """Return the text."""
        return self._text(self._sent)


def unread_length(value: object) -> int:
    """Return the characters that a value has in JSON besides what was sent of it, about.

    These are JSON texts, and the zeros of numbers.
    """
    match value:
        case JsonText():
            return len(value)
        case NumericBytes():
            return value.zeros
        case list() | tuple() | Record():
            return sum(map(unread_length, value))
        case Range():
            return unread_length(value.lower) + unread_length(value.upper)
    return 0


def jsonable(value: object) -> Any:
    """Return the value as JSON has it.

    Raises RecursionError if composite values are nested too deeply.
    """
    match value:
        case JsonText() | NumericBytes() | Unread():
            return value.read()
        case None | bool() | str():
            return value
        case int() | float() | Decimal():
            return _number(value)
        case Record():
            return dict(zip(labels(value.keys()), map(jsonable, value.values()), strict=True))
        case Path() | Polygon():
            return [jsonable(point) for point in value.points]
        case list() | tuple():
            return [jsonable(each) for each in value]
    return _text(value)


def _json_int(digits: str) -> int | str:
    if len(digits) > _LONGEST_WHOLE:
        return digits
    value = int(digits)
    return value if value in _WHOLE else digits


def _json_float(digits: str) -> float | str:
    return _number(float(digits))


def _flat(value: Any) -> bool:
    """Return whether an array or object has no more than :data:`DEEPEST` levels."""
    level = [value]
    for _ in range(DEEPEST):
        parts = (each.values() if isinstance(each, dict) else each for each in level)
        level = [part for some in parts for part in some if isinstance(part, list | dict)]
        if not level:
            return True
    return False


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


def _network(sent: bytes) -> str:
    """Return an address; with its bits if it is a network or they are not all of it."""
    bits, is_network, address = sent[1], sent[2], sent[4:]
    text = str(ip_address(address))
    return f"{text}/{bits}" if is_network or bits < 8 * len(address) else text


def _date(ticks: Ticks) -> str:
    (days,) = ticks
    return _ENDLESS.get(days) or _with_era(days, "")


def _timestamp(ticks: Ticks, zone: str = "") -> str:
    """Return text such as ``2026-02-24T20:10:47.8``."""
    (microseconds,) = ticks
    if endless := _ENDLESS.get(microseconds):
        return endless
    days, rest = divmod(microseconds, _DAY_US)
    return _with_era(days, f"T{_clock(rest)}{zone}")


def _timestamptz(ticks: Ticks) -> str:
    """Return text such as ``2026-02-24T20:10:47.8Z``."""
    return _timestamp(ticks, "Z")


def _time(ticks: Ticks) -> str:
    return _clock(ticks[0])


def _timetz(ticks: Ticks) -> str:
    """Return text such as ``20:10:47.8+02:00``.

    The second number of ``ticks`` is seconds west of Greenwich.
    """
    microseconds, west = ticks
    hours, rest = divmod(abs(west), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{_clock(microseconds)}{'-' if west > 0 else '+'}{hours:02}:{minutes:02}" + (
        f":{seconds:02}" * bool(seconds)
    )


def _interval(ticks: Ticks) -> str:
    """Return text such as ``1 year 2 mons -3 days 04:05:06.7``, as PostgreSQL writes it."""
    months, days, microseconds = ticks
    sign = -1 if months < 0 else 1
    years, months = (sign * part for part in divmod(abs(months), 12))
    words = [
        f"{number} {unit}{'' if number == 1 else 's'}"
        for number, unit in ((years, "year"), (months, "mon"), (days, "day"))
        if number
    ]
    if microseconds or not words:
        words.append(f"{'-' if microseconds < 0 else ''}{_clock(abs(microseconds))}")
    return " ".join(words)


def _with_era(days: int, rest: str) -> str:
    year, month, day = _civil(days)
    return (
        f"{year:04}-{month:02}-{day:02}{rest}"
        if year > 0
        else f"{1 - year:04}-{month:02}-{day:02}{rest} BC"
    )


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the Gregorian calendar from days since 2000-01-01.

    The calculation counts years from March on.
    """
    era, day_of_era = divmod(days + _TO_MARCH_OF_YEAR_0, _ERA)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    month = march_month + 3 if march_month < 10 else march_month - 9
    return (
        year_of_era + 400 * era + (month <= 2),
        month,
        day_of_year - (153 * march_month + 2) // 5 + 1,
    )


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}" + (
        f".{fraction:06}".rstrip("0") if fraction else ""
    )


Format: TypeAlias = Literal["binary", "text", "tuple"]

CODECS: Final[dict[str, tuple[Format, Callable[[Any], object]]]] = {
    "timestamptz": ("tuple", partial(Unread, _timestamptz)),
    "timestamp": ("tuple", partial(Unread, _timestamp)),
    "date": ("tuple", partial(Unread, _date)),
    "time": ("tuple", partial(Unread, _time)),
    "timetz": ("tuple", partial(Unread, _timetz)),
    "interval": ("tuple", partial(Unread, _interval)),
    "inet": ("binary", partial(Unread, _network)),
    "cidr": ("binary", partial(Unread, _network)),
    "numeric": ("binary", NumericBytes),
    "json": ("text", JsonText),
    "jsonb": ("text", JsonText),
    "pg_lsn": ("text", str),
}
"""Type in ``pg_catalog`` → asyncpg's format of it, and what holds it or turns it into text."""
