"""Write ``$metadata``: what the XAPI serves in CSDL XML (OData v4.0, part 3). Pure.

It states what ``schema.json`` holds, so all that it names is served. A type that a collection, a
single entity or a navigation property has is an entity type, any other a complex type.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final
from xml.etree import ElementTree as ET

from monitor.simulator.xapi.description.operations import Described, described
from monitor.simulator.xapi.description.schema import ValueType, key_name, schema, value_type

_EDMX: Final = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM: Final = "http://docs.oasis-open.org/odata/ns/edm"
_ERRORS: Final = "Pbx.ODataErrors."
"""Beginning of the names of types that refusals have. They are OData's own."""
_FORMS: Final[Mapping[str, str]] = {
    "date-time": "DateTimeOffset",
    "date": "Date",
    "time": "TimeOfDay",
    "duration": "Duration",
    "uuid": "Guid",
    "int32": "Int32",
    "int64": "Int64",
    "uint8": "Byte",
    "decimal": "Decimal",
}
_PLAIN: Final[Mapping[str, str]] = {
    "string": "String",
    "boolean": "Boolean",
    "integer": "Int32",
    "number": "Double",
    "object": "Untyped",
}


@cache
def metadata() -> bytes:
    """Return the document."""
    root = ET.Element("edmx:Edmx", {"Version": "4.0", "xmlns:edmx": _EDMX})
    services = ET.SubElement(root, "edmx:DataServices")
    space = ET.SubElement(services, "Schema", {"Namespace": "Pbx", "xmlns": _EDM})
    entity_types = _entity_types()
    for name, properties in schema().entities.items():
        if name.startswith(_ERRORS):
            continue
        _write_type(space, name, properties, name in entity_types)
    for owner in _bare_owners():
        ET.SubElement(space, "EntityType", {"Name": owner})
    for name, words in schema().enums.items():
        found = ET.SubElement(space, "EnumType", {"Name": _short(name)})
        for value, word in enumerate(words):
            ET.SubElement(found, "Member", {"Name": word, "Value": str(value)})
    for operation in described():
        if operation.invoked:
            _write_operation(space, operation)
    container = ET.SubElement(space, "EntityContainer", {"Name": "Container"})
    _write_container(container)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _entity_types() -> set[str]:
    found = {operation.answer.name for operation in described() if operation.lists}
    for properties in schema().entities.values():
        kinds = map(value_type, properties.values())
        found |= {kind.name for kind in kinds if kind.navigation}
    return found


def _bare_owners() -> list[str]:
    """Return the owners of functions and actions that are neither a collection nor an entity."""
    listed = {operation.owner for operation in described() if operation.lists}
    owners = (operation.owner for operation in described() if operation.invoked)
    return [owner for owner in dict.fromkeys(owners) if owner and owner not in listed]


def _write_type(
    space: ET.Element, name: str, properties: Mapping[str, str], is_entity: bool
) -> None:
    tag = "EntityType" if is_entity else "ComplexType"
    written = ET.SubElement(space, tag, {"Name": _short(name)})
    key = key_name(name) if is_entity else ""
    if key:
        ET.SubElement(ET.SubElement(written, "Key"), "PropertyRef", {"Name": key})
    for word, text in properties.items():
        kind = value_type(text)
        told = {"Name": word, "Type": _edm(kind)}
        if word == key or not (kind.nullable or kind.many or kind.navigation):
            told["Nullable"] = "false"
        ET.SubElement(written, "NavigationProperty" if kind.navigation else "Property", told)


def _write_operation(space: ET.Element, operation: Described) -> None:
    tag = "Function" if operation.method == "GET" else "Action"
    name = operation.name.removeprefix("Pbx.")
    written = ET.SubElement(space, tag, {"Name": name, "IsBound": "true"})
    bound = _owner_type(operation)
    ET.SubElement(written, "Parameter", {"Name": "bindingParameter", "Type": bound})
    for word, text in operation.parameters.items():
        kind = value_type(text)
        told = {"Name": word, "Type": _edm(kind)}
        if not kind.nullable and not kind.many:
            told["Nullable"] = "false"
        ET.SubElement(written, "Parameter", told)
    if operation.answer.name:
        ET.SubElement(written, "ReturnType", {"Type": _edm(operation.answer)})


def _owner_type(operation: Described) -> str:
    found = schema().operations.get(f"GET /{operation.owner}")
    if found is None:
        return f"Pbx.{operation.owner}"
    kind = value_type(found.split(" ")[1])
    many = kind.many and not operation.keyed
    return f"Collection({kind.name})" if many else kind.name


def _write_container(container: ET.Element) -> None:
    for operation in described():
        if operation.lists and operation.answer.many:
            told = {"Name": operation.owner, "EntityType": operation.answer.name}
            ET.SubElement(container, "EntitySet", told)
        elif operation.lists:
            told = {"Name": operation.owner, "Type": operation.answer.name}
            ET.SubElement(container, "Singleton", told)
    for owner in _bare_owners():
        ET.SubElement(container, "Singleton", {"Name": owner, "Type": f"Pbx.{owner}"})


def _edm(kind: ValueType) -> str:
    if "/" in kind.name:
        return "Edm.Stream"
    name = kind.name
    if not name.startswith("Pbx."):
        name = "Edm." + (_FORMS.get(kind.form) or _PLAIN[kind.name])
    return f"Collection({name})" if kind.many else name


def _short(name: str) -> str:
    return name.removeprefix("Pbx.")
