"""Encode what is counted of a day, to be kept and handed to the next monitor."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, field

from monitor.shared import codec
from monitor.shared.codec import Malformed
from monitor.shared.time_zones import UnknownZone, zone_info
from monitor.statistics.day import Day
from monitor.statistics.open_calls import OpenCallsState
from monitor.statistics.totals import Totals

VERSION = 1
_LARGEST: Final = 2**53
_AHEAD_S: Final = 86_400.0
_LONGEST_DAY_MS: Final = 27 * 3_600_000
_LATEST_MS: Final = 250_000_000_000_000
"""POSIX milliseconds. Python's calendar ends soon after."""


class CountedDay(Struct):
    """Hold the day before, as far as it was counted.

    The calls that began in it and go on are counted here when they are over.
    """

    day: Day
    counted_since: int
    peak: int
    peak_at: int | None
    tallies: Totals


class SavedStatistics(Struct):
    """Hold everything that is counted. Times are POSIX milliseconds.

    Of two, the one with the greater ``at`` is the newer.
    """

    version: int = VERSION
    at: int = 0
    """Time until which it was counted."""
    day: Day | None = None
    """None before the first fact."""
    counted_since: int = 0
    peak: int = 0
    peak_at: int | None = None
    tallies: Totals = field(default_factory=Totals)
    held: OpenCallsState = field(default_factory=OpenCallsState)
    previous: CountedDay | None = None
    """The day before; None if it was not counted."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SavedStatistics)


def encode(saved: SavedStatistics) -> bytes:
    """Return what is counted in msgpack.

    It takes some tens of bytes for each call of the day, and a kilobyte for each call that goes on.
    """
    return _encoder.encode(saved)


def decode(data: bytes) -> SavedStatistics:
    """Return what :func:`encode` wrote. Raises Malformed, also if another version wrote it."""
    saved = codec.decode(_decoder, data, "a day's statistics")
    if saved.version != VERSION:
        raise Malformed(
            f"statistics of version {saved.version}; this monitor reads version {VERSION}"
        )
    _check(saved)
    return saved


def check_time(saved: SavedStatistics, now: float) -> None:
    """Raise Malformed if it was counted far in the future: it would win over all others.

    ``now``: this clock, POSIX seconds.
    """
    if saved.at > (now + _AHEAD_S) * 1000:
        raise Malformed("statistics that were counted in the future")


def _check(saved: SavedStatistics) -> None:
    """Raise Malformed if a number is too large to be counted, or if a day is not valid."""
    _check_numbers(saved.tallies, 0)
    _check_numbers(saved, -_LARGEST)
    if saved.day is not None:
        _check_day(saved.day)
        if not 0 <= saved.at <= _LATEST_MS:
            raise Malformed(f"statistics of an impossible day: counted until {saved.at}")
    if saved.previous is not None:
        _check_numbers(saved.previous.tallies, 0)
        _check_day(saved.previous.day)
        if saved.day is None or saved.previous.day.end != saved.day.start:
            raise Malformed("statistics of two days that do not follow each other")


def _check_day(day: Day) -> None:
    try:
        zone_info(day.zone)
    except UnknownZone as error:
        raise Malformed(f"statistics of an impossible day: {error}") from error
    if not 0 < day.start < day.end < day.start + _LONGEST_DAY_MS or day.end > _LATEST_MS:
        raise Malformed(f"statistics of an impossible day: from {day.start} to {day.end}")


def _check_numbers(counted: Struct, least: int) -> None:
    left: list[Any] = [msgspec.to_builtins(counted, str_keys=False)]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend((*value.keys(), *value.values()))
        elif isinstance(value, list | tuple):
            left.extend(value)
        elif isinstance(value, int) and not least <= value <= _LARGEST:
            raise Malformed(f"statistics with the number {value}, which is impossible")
