"""Read untrusted JSON: a missing field or a wrong type becomes a default, never an error. Pure.

Texts and numbers have a greatest length, as they are kept for each call and sent to each
subscriber. A longer text is cut. A longer number is left out, as a part of it would be another
number. :func:`tell_too_long` names who is told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

from monitor.shared.errors import PbxGarbled
from monitor.shared.timestamps import moment

LONGEST_TEXT: Final = 1_000
"""Characters of a text that are taken over, such as a name."""
LONGEST_NUMBER: Final = 200
"""Characters of a number that is taken over."""
MOST_CALLS: Final = 5_000
"""Calls at once that are taken from an answer. An answer is worked on in one piece, and a new
call takes some tenths of a millisecond."""
MOST_PARTICIPANTS: Final = 10_000
"""Participants of all calls that are taken from an answer."""
MOST_OF_A_KIND: Final = 20_000
"""Entities of a kind, such as extensions, that are taken from a directory. A directory is worked on
in one piece too: two hundred thousand extensions took seven seconds."""
_LEG_STATUSES: Final = {
    word.lower(): word for word in ("Dialing", "Ringing", "Connected", "Hold", "Held")
}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_MOST_DIGITS = 20
END_OF_TIME = 221_845_392_000.0
"""The year 9000 in POSIX seconds. Python's calendar ends a thousand years later."""


def check_number(number: int, most: int, what: str) -> None:
    """Raise PbxGarbled if an answer holds more than ``most``. ``what``: what is counted."""
    if number > most:
        raise PbxGarbled(f"The PBX tells of more than {most} {what} at once; they are not used.")


_tell: ContextVar[Callable[[str, int], None] | None] = ContextVar("tell_too_long", default=None)


def tell_too_long(tell: Callable[..., object]) -> None:
    """Have each field that is too long told once, as ``tell(field=…, length=…)``.

    This holds in the present task and in the tasks that it starts from now on.
    """
    told: set[str] = set()

    def once(name: str, length: int) -> None:
        if name not in told:
            told.add(name)
            tell(field=name, length=length)

    _tell.set(once)


def text(row: Mapping[str, Any], name: str, longest: int = LONGEST_TEXT) -> str:
    """Return the field as text. A number is written out; any other type gives empty text.

    Of a longer text, this is the beginning with an ellipsis.
    """
    value = _text(row.get(name))
    return value if len(value) <= longest else _beginning(name, value, longest)


def dn_number(row: Mapping[str, Any], name: str) -> str:
    """Return the field as the number of a DN; empty for another type and for a longer text."""
    value = _text(row.get(name))
    if len(value) <= LONGEST_NUMBER:
        return value
    _too_long(name, value)
    return ""


def outside_number(row: Mapping[str, Any], name: str) -> str:
    """Return the field as a number outside, as people write it.

    A text that is too long is cut and ends with an ellipsis. It is not a number then.
    """
    return text(row, name, LONGEST_NUMBER)


def leg_status(row: Mapping[str, Any], name: str) -> str:
    """Return the field as a leg's status, in the usual spelling if the word is a known one."""
    word = text(row, name)
    return _LEG_STATUSES.get(word.strip().lower(), word)


def texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the texts in the field's list, each as :func:`text` does.

    Anything else, in the list or in its place, is left out.
    """
    value = row.get(name)
    items = value if isinstance(value, list) else ()
    return tuple(text({name: item}, name) for item in items if isinstance(item, str))


def integer(row: Mapping[str, Any], name: str) -> int | None:
    """Return the field as an integer of 64 bits, or None if it is not one. Text may hold it too."""
    return whole(row.get(name))


def whole(value: Any) -> int | None:
    """Return the value as an integer of 64 bits, or None if it is not one. Text may hold it too."""
    if isinstance(value, str):
        digits = value.strip()
        if (
            len(digits) > _MOST_DIGITS
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
    return seconds if 0 < seconds < END_OF_TIME else None


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects in a list. Anything else, in the list or in its place, is left out."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def record(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the field's object, or an empty one if it holds none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _beginning(name: str, value: str, longest: int) -> str:
    _too_long(name, value)
    return value[: longest - 1] + "…"


def _too_long(name: str, value: str) -> None:
    if (tell := _tell.get()) is not None:
        tell(name, len(value))
