"""Compute the day at the PBX: from local midnight to local midnight, even when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from monitor.shared.time_zones import zone_info

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_ONE_DAY = timedelta(days=1)


class Day(Struct, frozen=True):
    """Represent a day.

    ``start`` is its first moment, ``end`` the first moment of the next day, both POSIX
    milliseconds.
    """

    date: str
    """``2026-03-29``."""
    zone: str
    start: int
    end: int

    def has(self, at: int) -> bool:
        """Return whether a moment (POSIX milliseconds) is in this day."""
        return self.start <= at < self.end


def day_of(at: int, zone: str) -> Day:
    """Return the day of a moment, POSIX milliseconds. Raises UnknownZone."""
    info = zone_info(zone)
    day = (_EPOCH + at * _MS).astimezone(info).date()
    if at >= _midnight(day + _ONE_DAY, info):
        # Clocks went back over midnight: the date is the old one again, but the new day has begun.
        day += _ONE_DAY
    return Day(day.isoformat(), zone, _midnight(day, info), _midnight(day + _ONE_DAY, info))


def _midnight(day: date, info: ZoneInfo) -> int:
    """Return the first moment of a day.

    If clocks skip midnight, it is the moment at which they do. If midnight comes twice, it is the
    first.
    """
    return (datetime.combine(day, time(), info) - _EPOCH) // _MS
