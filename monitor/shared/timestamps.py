"""Instants as text: UTC, ISO 8601, milliseconds, always the same width, so that they sort as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998


def instant(moment: datetime) -> str:
    """``2026-03-04T03:15:00.123Z``. The moment must be aware of its time zone."""
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def moment(text: str) -> datetime:
    """The moment that an ISO 8601 text names; more than six digits of a second are cut (.NET writes seven).

    Raises ValueError if it is not one, or names no time zone.
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
    """Whether it names a moment that everybody can reckon with: :func:`moment` reads it, and no calendar ends soon."""
    try:
        return _FIRST_YEAR <= moment(text).year <= _LAST_YEAR
    except ValueError:
        return False


def from_unix(seconds: float) -> str:
    """The instant of a POSIX time stamp."""
    return instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
