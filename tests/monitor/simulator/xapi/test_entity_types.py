"""The shapes of entities, by the official file."""

from __future__ import annotations

from monitor.simulator.pbx_data.templates import ROLES, tables
from monitor.simulator.xapi.entity_types import SHAPES
from tests.monitor.simulator.xapi_client import facts


def test_every_shape_has_the_properties_of_the_official_one() -> None:
    partly = {"ExtensionRule", "Phone", "EmergencyGeoTrunkLocation", "Holiday"}
    """Never made here: their lists stay empty."""
    for name, shape in SHAPES.items():
        properties = facts()["entities"][f"Pbx.{name}"]
        if name not in partly:
            assert set(shape.fields) == {
                key for key, text in properties.items() if not text.startswith("nav ")
            }, name
        assert set(shape.navigation) <= {
            key for key, text in properties.items() if text.startswith("nav ")
        }, name
        for key, navigation in shape.navigation.items():
            word = properties[key].removeprefix("nav ").removesuffix("?")
            assert word == (
                f"[Pbx.{navigation.shape}]" if navigation.many else f"Pbx.{navigation.shape}"
            )


def test_the_words_that_are_taken_are_those_of_the_official_enumerations() -> None:
    enums = facts()["enums"]
    kinds: dict[str, set[str]] = {}
    for shape in SHAPES:
        for name, text in facts()["entities"][f"Pbx.{shape}"].items():
            if text.removesuffix("?") in enums:
                kinds.setdefault(name, set()).add(text.removesuffix("?"))
    for name, words in tables().words.items():
        (kind,) = kinds[name]
        assert list(words) == enums[kind], name
    assert ROLES[-2:] == ("system_admins", "system_owners")
