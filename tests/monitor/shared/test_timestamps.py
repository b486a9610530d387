"""Instants as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.timestamps import from_unix, instant, is_instant, moment

MOMENTS = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-04T03:15:00Z", "2026-03-04T03:15:00.000Z"),
        ("2026-03-04T03:15:00.1239999Z", "2026-03-04T03:15:00.123Z"),  # .NET's seven digits
        ("2026-03-04T03:15:00.5+03:00", "2026-03-04T00:15:00.500Z"),
        ("2026-03-04T03:15:00.123456789-01:00", "2026-03-04T04:15:00.123Z"),
        ("2026-01-01T00:30:00+14:00", "2025-12-31T10:30:00.000Z"),
    ],
)
def test_a_moment_of_the_pbx_is_an_instant_of_ours(text: str, expected: str) -> None:
    assert instant(moment(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-04",
        "2026-03-04T03:15:00",
        "2026-02-30T00:00:00Z",
        "2026-03-04T03:15:00.1",
    ],
)
def test_a_text_without_moment_or_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment(text)
    assert not is_instant(text)


def test_a_moment_without_a_zone_is_none() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant(datetime(2026, 3, 4))  # noqa: DTZ001 - this is what is refused


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1970-01-01T00:00:00Z", True),
        ("1969-12-31T23:59:59Z", False),
        ("9998-12-31T23:59:59Z", True),
        ("9999-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00Z", False),  # .NET's "never"
    ],
)
def test_years_in_which_others_cannot_reckon_are_no_instants(text: str, right: bool) -> None:
    assert is_instant(text) is right


def test_microseconds_are_kept_and_what_is_finer_is_cut() -> None:
    assert moment("2026-03-04T03:15:00.1234567Z").microsecond == 123_456
    assert moment("2026-03-04T03:15:00.5Z").microsecond == 500_000


def test_seconds_since_1970_are_an_instant() -> None:
    assert from_unix(0) == "1970-01-01T00:00:00.000Z"
    assert from_unix(1_772_594_100.125) == "2026-03-04T03:15:00.125Z"


@given(MOMENTS, MOMENTS)
def test_instants_sort_as_their_moments_and_are_read_again(one: datetime, other: datetime) -> None:
    first, second = instant(one), instant(other)
    assert len(first) == len(second) == 24
    assert (first < second) <= (one < other)
    assert timedelta(0) <= one - moment(first) < timedelta(milliseconds=1)
    assert moment(first).tzinfo == UTC
