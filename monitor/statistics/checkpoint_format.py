"""Encode what is counted of a day, to be kept and handed to the next monitor."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import asdict

from monitor.shared import codec
from monitor.shared.codec import Malformed
from monitor.shared.time_zones import UnknownZone, zone_info
from monitor.statistics.day import Day
from monitor.statistics.open_calls import ClosedCall, OpenCallsState
from monitor.statistics.totals import Totals

VERSION = 1
_LARGEST: Final = 2**53
_AHEAD_S: Final = 86_400.0
_LONGEST_DAY_MS: Final = 27 * 3_600_000
_NOUN: Final = "a day's statistics"
_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_TOO_LONG: Final = b"0" * len(str(_LARGEST))
_NEGATIVE: Final = b"-0"
"""In JSON whose digits are all zeros: what a text may contain too, but a number must not."""
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


class _Header(Struct):
    version: int = VERSION
    at: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SavedStatistics)
_header_decoder = msgspec.msgpack.Decoder(_Header)


class CheckpointEncoder:
    """Encode what is counted, again and again.

    It takes some tens of bytes for each call of the day, and a kilobyte for each call that goes on
    or has just ended. A call that is over is encoded once: there are thousands of them.
    """

    def __init__(self) -> None:
        self._closed: dict[str, tuple[ClosedCall, msgspec.Raw]] = {}

    def encode(self, saved: SavedStatistics) -> bytes:
        """Return what is counted in msgpack."""
        before, self._closed = self._closed, {}
        for key, call in saved.held.closed.items():
            known = before.get(key)
            if known is None or known[0] is not call:
                known = call, msgspec.Raw(_encoder.encode(call))
            self._closed[key] = known
        closed = {key: data for key, (_, data) in self._closed.items()}
        return _encoder.encode(asdict(saved) | {"held": asdict(saved.held) | {"closed": closed}})


def encode(saved: SavedStatistics) -> bytes:
    """Return what is counted in msgpack."""
    return CheckpointEncoder().encode(saved)


def decode(data: bytes) -> SavedStatistics:
    """Return what :func:`encode` wrote. Raises Malformed, also if another version wrote it."""
    saved = codec.decode(_decoder, data, _NOUN)
    _check_version(saved.version)
    _check(saved)
    return saved


def counted_until(data: bytes, now: float) -> int:
    """Return ``at`` of what :func:`encode` wrote; the rest is only known to be msgpack.

    Milliseconds are enough for it, where :func:`decode` may take a tenth of a second. ``now``:
    POSIX seconds. Raises Malformed, also if it lies more than a day ahead: such statistics would
    always be the newer ones.
    """
    header = codec.decode(_header_decoder, data, _NOUN)
    _check_version(header.version)
    if header.at > (now + _AHEAD_S) * 1000:
        raise Malformed("statistics that were counted in the future")
    return header.at


def _check_version(version: int) -> None:
    if version != VERSION:
        raise Malformed(f"statistics of version {version}; this monitor reads version {VERSION}")


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
    digits = msgspec.json.encode(counted).translate(_ZEROS)
    if _TOO_LONG not in digits and (least < 0 or _NEGATIVE not in digits):
        return  # the usual case, and twenty times as fast
    left: list[Any] = [msgspec.to_builtins(counted, str_keys=False)]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend((*value.keys(), *value.values()))
        elif isinstance(value, list | tuple):
            left.extend(value)
        elif isinstance(value, int) and not least <= value <= _LARGEST:
            raise Malformed(f"statistics with the number {value}, which is impossible")
