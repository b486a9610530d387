"""The shapes of entities, by the official file."""

from __future__ import annotations

from monitor.simulator.pbx_data.templates import ROLES
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


def test_the_strongest_roles_come_last() -> None:
    assert ROLES[-2:] == ("system_admins", "system_owners")
