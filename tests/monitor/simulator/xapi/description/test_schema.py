"""Types: which values fit them, and what a new entity holds."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.xapi.description.schema import mismatch, new_entity, schema, value_type


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("string", "x"),
        ("string?", None),
        ("string:date-time", "2026-03-04T05:06:07.8901234Z"),
        ("string:date-time", "2026-03-04T05:06:07+01:00"),
        ("string:duration", "PT1H2M3.5S"),
        ("string:duration", "-P1DT1S"),
        ("string:time?", "23:59:59.9999999"),
        ("string:uuid", "00000000-01dc-688a-2607-57e500000c10"),
        ("integer:int32", -(2**31)),
        ("integer:uint8", 255),
        ("integer:decimal?", 1.5),
        ("[string]", []),
        ("[Pbx.UserTag]", ["MS"]),
        ("Pbx.QueueStatusType?", "LoggedIn"),
        ("Pbx.Schedule", {"Type": "Never"}),
        ("nav [Pbx.Peer]", [{"Colour": "red"}]),
    ],
)
def test_a_value_fits_its_type(text: str, value: Any) -> None:
    assert mismatch(value, value_type(text)) == ""


@pytest.mark.parametrize(
    ("text", "value", "wrong"),
    [
        ("string", 5, "must be a string"),
        ("string:date-time", "yesterday", "must be a string of the format date-time"),
        ("string:duration", "1:00", "must be a string of the format duration"),
        ("integer:int32", 2**31, "must be an integer of the format int32"),
        ("integer:int32", True, "must be an integer of the format int32"),
        ("integer:uint8", -1, "must be an integer of the format uint8"),
        ("boolean", 1, "must be a boolean"),
        ("[string]", None, "must not be null"),
        ("[string]", "x", "must be an array"),
        ("[string]", [1], "must be a string"),
        ("Pbx.QueueStatusType", "Asleep", "must be a word of 'Pbx.QueueStatusType'"),
        ("Pbx.Schedule", [], "must be an object"),
        ("Pbx.Schedule", {"Colour": 1}, "has no property 'Colour'"),
        (
            "Pbx.Schedule",
            {"Type": "Colour"},
            "has a property 'Type', which must be a word of 'Pbx.RuleHoursType'",
        ),
    ],
)
def test_a_value_of_another_type_is_named(text: str, value: Any, wrong: str) -> None:
    assert mismatch(value, value_type(text)) == wrong


@pytest.mark.parametrize("name", sorted(schema().entities))
def test_a_new_entity_fits_its_own_type(name: str) -> None:
    assert mismatch(new_entity(name.removeprefix("Pbx.")), value_type(name)) == ""
