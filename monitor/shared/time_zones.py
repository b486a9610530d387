"""Find time zones by their names."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct


class ZoneRow(Struct, frozen=True):
    """Represent a row of 3CX's ``Defs/TimeZones``: its Id, IanaName and WindowsName."""

    id: str
    iana: str
    windows: str


class UnknownZone(ValueError):
    """Signal that no time zone is known by this name."""


def zone_info(zone: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises UnknownZone."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(f"no time zone is known as {zone!r}") from error


def iana_name(told: str, rows: Iterable[ZoneRow]) -> str | None:
    """Return the IANA name for the value of ``OfficeHours.TimeZoneId``, or None if it is unknown.

    ``rows``: the PBX's own list of zones. 3CX does not say whether the value is a row's Id or a
    name, so all are tried.
    """
    if not told:  # a row may lack a name
        return None
    candidates = [row.iana for row in rows if told in (row.id, row.iana, row.windows)]
    for name in (*candidates, told):
        try:
            return zone_info(name).key
        except UnknownZone:
            continue
    return None
