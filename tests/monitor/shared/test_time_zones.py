"""Time zones by any name that a PBX may give them."""

from __future__ import annotations

import pytest

from monitor.shared.time_zones import UnknownZone, ZoneRow, iana_name, zone_info


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("44", "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("Europe/Moscow", "Europe/Moscow"),
        ("7", None),
        ("", None),
    ],
)
def test_the_pbx_may_name_its_zone_in_any_way_that_its_list_knows(
    told: str, expected: str | None
) -> None:
    rows = (
        ZoneRow("44", "Europe/Berlin", "W. Europe Standard Time"),
        ZoneRow("7", "Mars/Base", "Mars Standard Time"),
        ZoneRow("8", "America/Chicago", ""),
    )
    assert iana_name(told, rows) == expected


@pytest.mark.parametrize(
    "name", ["", "Europe", "Nowhere/Land", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5_000]
)
def test_a_name_that_is_none_is_refused_whatever_file_it_would_lead_to(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone_info(name)


def test_of_several_rows_the_first_that_is_known_here_counts() -> None:
    rows = (
        ZoneRow("1", "Mars/Base", "Same Name"),
        ZoneRow("2", "Europe/Rome", "Same Name"),
        ZoneRow("3", "Europe/Paris", "Same Name"),
    )
    assert iana_name("Same Name", rows) == "Europe/Rome"
