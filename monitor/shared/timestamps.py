"""Write and read instants as text: UTC, ISO 8601, milliseconds.

All have the same width, so that they sort as text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998


def instant(moment: datetime) -> str:
    """Return a moment as ``2026-03-04T03:15:00.123Z``.

    Raises ValueError if the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def moment(text: str) -> datetime:
    """Return the moment that an ISO 8601 text names.

    More than six digits of a second are cut (.NET writes seven). Raises ValueError if the text
    names no moment or no time zone.
    """
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return parsed


def is_instant(text: str) -> bool:
    """Return whether a text names a moment that every program can compute with.

    :func:`moment` must be able to read it, and its year must not be near the end of a calendar.
    """
    try:
        return _FIRST_YEAR <= moment(text).year <= _LAST_YEAR
    except ValueError:
        return False


def from_unix(seconds: float) -> str:
    """Return the instant of a POSIX time stamp."""
    return instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
