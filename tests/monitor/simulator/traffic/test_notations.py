"""Telephone numbers in many notations."""

from __future__ import annotations

import random

import pytest

from monitor.simulator.traffic.notations import presented, redialled


@pytest.mark.parametrize(
    ("number", "some"),
    [
        ("+493023125042", {"+49 30 23125042", "+49 (0)30 23125042"}),
        ("03023125042", {"(030) 23125042", "030/23125042"}),
        ("+12125550123", {"+1 212 555 0123"}),
        ("2125550123", {"(212) 555-0123", "212-555-0123"}),
        ("84951234567", {"8495123 4567", "8495123-4567"}),
    ],
)
def test_a_trunk_may_present_a_number_in_any_notation(number: str, some: set[str]) -> None:
    rng = random.Random(1)
    found = {presented(number, rng) for _ in range(400)}
    assert some < found
    assert f"sip:{number}@sip.example" in found
    assert any(text.startswith(f"{number};ext=") for text in found)


@pytest.mark.parametrize(
    ("number", "other"),
    [
        ("+493023125042", "03023125042"),
        ("03023125042", "+493023125042"),
        ("+12125550123", "0012125550123"),
        ("0012125550123", "+12125550123"),
        ("84951234567", "84951234567"),
    ],
)
def test_people_dial_a_number_in_another_notation(number: str, other: str) -> None:
    assert redialled(number) == other
