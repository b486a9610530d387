"""Test days from local midnight to local midnight, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.shared.time_zones import UnknownZone, zone_info
from monitor.shared.timestamps import from_unix
from monitor.statistics.day import Day, day_of

_HOUR = 3_600_000
_ZONES = sorted(
    zone
    for zone in available_timezones()
    if not zone.startswith(("posix/", "right/")) and "/" in zone
)


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def _bounds(day: Day) -> tuple[str, str, float]:
    return from_unix(day.start / 1000), from_unix(day.end / 1000), (day.end - day.start) / _HOUR


@pytest.mark.parametrize(
    ("zone", "at", "date", "start", "hours"),
    [
        pytest.param(
            "UTC", "2026-03-04T00:00:00Z", "2026-03-04", "2026-03-04T00:00:00.000Z", 24, id="utc"
        ),
        pytest.param(
            "Europe/Moscow",
            "2026-03-04T21:00:00Z",
            "2026-03-05",
            "2026-03-04T21:00:00.000Z",
            24,
            id="msk",
        ),
        pytest.param(
            "Europe/Berlin",
            "2026-03-29T12:00:00Z",
            "2026-03-29",
            "2026-03-28T23:00:00.000Z",
            23,
            id="spring",
        ),
        pytest.param(
            "Europe/Berlin",
            "2026-10-25T22:59:59Z",
            "2026-10-25",
            "2026-10-24T22:00:00.000Z",
            25,
            id="autumn",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-04-05T01:00:00Z",
            "2026-04-05",
            "2026-04-04T13:00:00.000Z",
            24.5,
            id="30m",
        ),
        # There is no midnight: clocks go from 23:59:59 to 01:00.
        pytest.param(
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04",
            "2018-11-04T03:00:00.000Z",
            23,
            id="gap",
        ),
        # Midnight comes twice: at 01:00 clocks go back to 00:00.
        pytest.param(
            "America/Havana",
            "2018-11-04T05:30:00Z",
            "2018-11-04",
            "2018-11-04T04:00:00.000Z",
            25,
            id="twice",
        ),
        # At 00:01 clocks went back to 23:01 of the day before.
        pytest.param(
            "America/St_Johns",
            "2010-11-07T02:45:00Z",
            "2010-11-07",
            "2010-11-07T02:30:00.000Z",
            25,
            id="back",
        ),
        # The 30th of December did not take place.
        pytest.param(
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-31",
            "2011-12-30T10:00:00.000Z",
            24,
            id="skipped",
        ),
    ],
)
def test_a_day_begins_at_local_midnight(
    zone: str, at: str, date: str, start: str, hours: float
) -> None:
    day = day_of(_ms(at), zone)
    assert day.date == date
    assert _bounds(day)[0] == start
    assert _bounds(day)[2] == hours


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(_ZONES), st.integers(946_684_800_000, 2_208_988_800_000))
def test_every_moment_has_one_day_and_days_follow_each_other(zone: str, at: int) -> None:
    day = day_of(at, zone)
    assert day.has(at)
    assert 22 * _HOUR <= day.end - day.start <= 26 * _HOUR
    assert day_of(day.start, zone) == day
    assert day_of(day.end - 1, zone) == day
    following = day_of(day.end, zone)
    assert (following.start, following.date > day.date) == (day.end, True)
    first = datetime.fromtimestamp(day.start / 1000, UTC).astimezone(zone_info(zone))
    assert first.date().isoformat() == day.date
    assert day_of(day.start - 1, zone).date < day.date


@pytest.mark.parametrize(
    "name", ["", "Europe", "Nowhere/Land", "../etc/passwd", "W. Europe Standard Time"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone):
        day_of(0, name)
