"""PostgreSQL's times as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.database.time_values import CODECS, JsonText


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_the_one_that_python_knows(moment: datetime) -> None:
    microseconds = (moment - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = str(CODECS["timestamptz"][1]((microseconds,)))
    assert datetime.fromisoformat(text) == moment


@given(st.dates(), st.times())
def test_days_and_times_are_the_ones_that_python_knows(day: date, clock: time) -> None:
    assert CODECS["date"][1](((day - date(2000, 1, 1)).days,)) == day.isoformat()
    microseconds = (
        (clock.hour * 60 + clock.minute) * 60 + clock.second
    ) * 1_000_000 + clock.microsecond
    assert time.fromisoformat(str(CODECS["time"][1]((microseconds,)))) == clock


@pytest.mark.parametrize(
    ("kind", "ticks", "expected"),
    [
        ("date", (2**31 - 1,), "infinity"),
        ("timestamptz", (-(2**63),), "-infinity"),
        ("date", (-730_119,), "0001-01-01"),
        ("date", (-730_120,), "0001-12-31 BC"),
        ("timestamp", (-730_120 * 86_400_000_000,), "0001-12-31T00:00:00 BC"),
        ("date", (59,), "2000-02-29"),
        ("date", (2_921_940,), "10000-01-01"),
        ("timestamptz", (-1,), "1999-12-31T23:59:59.999999Z"),
        ("timetz", (72_647_800_000, -7_200), "20:10:47.8+02:00"),
        ("timetz", (0, 12_345), "00:00:00-03:25:45"),
        ("time", (86_400_000_000,), "24:00:00"),
        ("interval", (14, -3, 14_706_700_000), "1 year 2 mons -3 days 04:05:06.7"),
        ("interval", (-14, 1, -1), "-1 years -2 mons 1 day -00:00:00.000001"),
        ("interval", (0, 0, 0), "00:00:00"),
        ("interval", (12, 0, 0), "1 year"),
    ],
)
def test_times_that_python_does_not_know_are_as_postgresql_writes_them(
    kind: str, ticks: tuple[int, ...], expected: str
) -> None:
    assert CODECS[kind][1](ticks) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("1" * 5_000, "1" * 5_000),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_json_that_python_cannot_read_stays_text(text: str, value: object) -> None:
    assert JsonText(text).read() == value
