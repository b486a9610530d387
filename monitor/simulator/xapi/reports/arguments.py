"""Read the arguments of reports: periods, lists of DNs, shortest waits. Pure.

A date without a time is its midnight in UTC. An empty list of DNs means all. 3CX takes one DN; a
list with commas finds nothing there, and so it does here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.simulator.xapi.odata.operators import ODataError, instant
from monitor.simulator.xapi.paths import Argument

Arguments = Mapping[str, Argument]
_INTERVAL: Final = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2})", re.ASCII)


def period(arguments: Arguments) -> tuple[float, float]:
    """Return first and last moment of a report in POSIX seconds. Raises ODataError."""
    start = arguments.get("periodFrom", arguments.get("startDt"))
    end = arguments.get("periodTo", arguments.get("endDt"))
    return moment(start), moment(end)


def moment(value: Argument) -> float:
    """Return the POSIX seconds of a date-time. Raises ODataError."""
    return instant(str(value)).timestamp()


def wanted(arguments: Arguments, name: str, number: str) -> bool:
    """Return whether a DN is among those that an argument names."""
    return arguments.get(name) in (None, "", number)


def seconds(value: Argument) -> float:
    """Return the seconds of an interval such as ``0:01:30``. Raises ODataError."""
    found = _INTERVAL.fullmatch(str(value or "0:00:00"))
    if found is None:
        raise ODataError(f"The interval '{value}' is not of the form h:mm:ss.")
    hours, minutes, rest = (int(part) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def zone(arguments: Arguments) -> tzinfo:
    """Return the client's time zone; UTC if none is named. Raises ODataError."""
    name = str(arguments.get("clientTimeZone") or "")
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ODataError(f"There is no time zone '{name}'.") from error


def local_text(at: float, zone_: tzinfo) -> str:
    """Return POSIX seconds in a time zone, as .NET writes them."""
    return datetime.fromtimestamp(at, zone_).isoformat(timespec="microseconds")


def duration(length: float) -> str:
    """Return seconds as .NET writes an ``Edm.Duration``, such as ``PT1M59.975875S``."""
    ticks = max(0, round(length * 10**7))
    days, ticks = divmod(ticks, 86_400 * 10**7)
    hours, ticks = divmod(ticks, 3600 * 10**7)
    minutes, ticks = divmod(ticks, 60 * 10**7)
    whole, part = divmod(ticks, 10**7)
    rest = f"{whole}.{part:07}".rstrip("0").rstrip(".") + "S" if whole or part else ""
    time = f"{f'{hours}H' if hours else ''}{f'{minutes}M' if minutes else ''}{rest}"
    text = f"P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"
    return "PT0S" if text == "P" else text
