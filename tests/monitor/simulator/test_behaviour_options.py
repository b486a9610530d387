"""Test behaviour options as users write them."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import Switches, positions


def test_positions_are_read_and_the_others_are_the_likelier_ones() -> None:
    assert positions([]) == Switches()
    wanted = Switches(expires_in="minutes", page_size=50, duplicates=False, monitored="all")
    assert (
        positions(["expires_in=minutes", "page_size=50", "duplicates=false", "monitored=all"])
        == wanted
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour=red", "one of monitored, "),
        ("expires_in", "NAME=POSITION"),
        ("latency=1", "not a switch"),
        ("expires_in=hours", "hours"),
        ("page_size=many", "int"),
    ],
)
def test_what_is_no_position_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        positions([text])
