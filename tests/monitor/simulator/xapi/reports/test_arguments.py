from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.simulator.xapi.odata.operators import ODataError
from monitor.simulator.xapi.reports.arguments import (
    duration,
    local_text,
    period,
    seconds,
    wanted,
    zone,
)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "PT0S"),
        (59.975875, "PT59.975875S"),
        (119.9758750, "PT1M59.975875S"),
        (3600, "PT1H"),
        (18 * 3600, "PT18H"),
        (5 * 86_400 + 13 * 3600 + 43 * 60 + 24.5, "P5DT13H43M24.5S"),
        (86_400, "P1D"),
        (0.0000001, "PT0.0000001S"),
        (-1, "PT0S"),
    ],
)
def test_a_duration_is_written_as_dotnet_does(length: float, text: str) -> None:
    assert duration(length) == text


def test_periods_come_by_two_names_and_a_date_is_its_midnight() -> None:
    midnight = datetime(2026, 3, 4, tzinfo=UTC).timestamp()
    assert period({"periodFrom": "2026-03-04", "periodTo": "2026-03-04T01:00:00+01:00"}) == (
        midnight,
        midnight,
    )
    assert period({"startDt": "2026-03-04T06:00Z", "endDt": "2026-03-05"})[1] == midnight + 86_400


def test_intervals_zones_and_dns() -> None:
    assert (seconds("0:01:30"), seconds(None), seconds("0:00:0")) == (90, 0, 0)
    assert local_text(0.0, zone({"clientTimeZone": "Europe/Berlin"})) == (
        "1970-01-01T01:00:00.000000+01:00"
    )
    assert wanted({"queueDns": ""}, "queueDns", "800")
    assert not wanted({"queueDns": "800,801"}, "queueDns", "800"), "3CX takes one"
    for wrong in ("soon", "1:2"):
        with pytest.raises(ODataError, match="h:mm:ss"):
            seconds(wrong)
    with pytest.raises(ODataError, match="no time zone"):
        zone({"clientTimeZone": "Mars/Crater"})
