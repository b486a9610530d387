"""The day at the PBX: from local midnight to local midnight, whatever the clocks do in between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

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


class ZoneRow(Struct, frozen=True):
    """A row of 3CX's ``Defs/TimeZones``: its Id, IanaName and WindowsName."""

    id: str
    iana: str
    windows: str


class UnknownZone(ValueError):
    """No time zone is known by this name."""


def day_of(at: int, zone: str) -> Day:
    """The day of a moment, POSIX milliseconds. Raises UnknownZone."""
    info = zone_info(zone)
    day = (_EPOCH + at * _MS).astimezone(info).date()
    if at >= _midnight(day + _ONE_DAY, info):
        day += _ONE_DAY  # clocks went back over midnight: it is the day before once more, but the day has begun
    return Day(day.isoformat(), zone, _midnight(day, info), _midnight(day + _ONE_DAY, info))


def zone_info(zone: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises UnknownZone."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(f"no time zone is known as {zone!r}") from error


def iana_name(told: str, rows: Iterable[ZoneRow]) -> str | None:
    """The IANA name of what ``OfficeHours.TimeZoneId`` tells, by the PBX's own list of zones.

    3CX does not say whether that is a row's Id or a name, so all are tried; None if it is nothing known.
    """
    candidates = [row.iana for row in rows if told in (row.id, row.iana, row.windows)]
    for name in (*candidates, told):
        try:
            return zone_info(name).key
        except UnknownZone:
            continue
    return None


def _midnight(day: date, info: ZoneInfo) -> int:
    """The first moment of a day: where clocks skip midnight, that at which they do; where it comes twice, the first."""
    return (datetime.combine(day, time(), info) - _EPOCH) // _MS
