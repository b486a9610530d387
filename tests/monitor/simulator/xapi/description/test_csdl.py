"""The metadata document names what is served, and nothing else."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from monitor.simulator.xapi.description.csdl import metadata
from monitor.simulator.xapi.entity_sets import SETS
from monitor.simulator.xapi.singletons import SINGLETONS
from tests.monitor.simulator.xapi_client import facts

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


def space() -> ET.Element:
    found = ET.fromstring(metadata()).find(f".//{EDM}Schema")
    assert found is not None
    return found


def names(tag: str) -> set[str]:
    return {element.attrib["Name"] for element in space().iter(EDM + tag)}


def test_the_container_lists_what_is_served() -> None:
    assert names("EntitySet") == set(SETS)
    assert names("Singleton") >= set(SINGLETONS)


def test_types_have_the_properties_of_the_official_file() -> None:
    kinds = {
        element.attrib["Name"]: element
        for tag in ("EntityType", "ComplexType")
        for element in space().iter(EDM + tag)
    }
    for name, properties in facts()["entities"].items():
        if "ODataErrors" in name:
            continue
        found = kinds[name.removeprefix("Pbx.")]
        told = {one.attrib["Name"] for one in found if one.tag != f"{EDM}Key"}
        assert told == set(properties), name
    user = kinds["User"]
    assert [key.attrib["Name"] for key in user.iter(f"{EDM}PropertyRef")] == ["Id"]
    types = {one.attrib.get("Name"): one.attrib.get("Type") for one in user}
    assert (types["Number"], types["Id"], types["Enabled"], types["Groups"]) == (
        "Edm.String",
        "Edm.Int32",
        "Edm.Boolean",
        "Collection(Pbx.UserGroup)",
    )


def test_every_type_that_is_named_is_there() -> None:
    known = names("EntityType") | names("ComplexType") | names("EnumType")
    for element in space().iter():
        for key in ("Type", "EntityType"):
            text = element.attrib.get(key, "").removeprefix("Collection(").removesuffix(")")
            assert text.startswith("Edm.") or not text or text.removeprefix("Pbx.") in known, text


def test_functions_and_actions_are_bound_to_their_owners() -> None:
    calls = {element.attrib["Name"]: element for element in space().iter(f"{EDM}Action")}
    given = {one.attrib.get("Name", ""): one.attrib["Type"] for one in calls["MakeCall"]}
    assert given["bindingParameter"] == "Collection(Pbx.User)"
    assert given["destination"] == "Edm.String"
    assert given[""] == "Pbx.CallControlResultResponse"
    assert {one.attrib["Type"] for one in calls["GenerateAppToken"]} >= {"Pbx.ServicePrincipal"}
