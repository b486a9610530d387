"""The day at the PBX: from local midnight to local midnight, whatever the clocks do in between."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from monitor.shared.time_zones import zone_info

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_ONE_DAY = timedelta(days=1)


class Day(Struct, frozen=True):
    """A day. ``start`` is its first moment, ``end`` the next day's, both POSIX milliseconds."""

    date: str
    """``2026-03-29``."""
    zone: str
    start: int
    end: int

    def has(self, at: int) -> bool:
        """Whether a moment (POSIX milliseconds) is of this day."""
        return self.start <= at < self.end


def day_of(at: int, zone: str) -> Day:
    """The day of a moment, POSIX milliseconds. Raises UnknownZone."""
    info = zone_info(zone)
    day = (_EPOCH + at * _MS).astimezone(info).date()
    if at >= _midnight(day + _ONE_DAY, info):
        day += _ONE_DAY  # clocks went back over midnight: it is the day before once more, but the day has begun
    return Day(day.isoformat(), zone, _midnight(day, info), _midnight(day + _ONE_DAY, info))


def _midnight(day: date, info: ZoneInfo) -> int:
    """The first moment of a day: where clocks skip midnight, that at which they do; where it comes twice, the first."""
    return (datetime.combine(day, time(), info) - _EPOCH) // _MS
