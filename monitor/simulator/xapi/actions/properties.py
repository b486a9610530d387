"""Carry out what is done with parameters, links and the properties of DNs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.actions.operation import DONE, Operation, body_part, body_text
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.validation import check


def _parameter(asked: XapiRequest) -> XapiResponse:
    name = asked.arguments["name"]
    known = asked.site.plain.collection("Parameters").values()
    found = next((row for row in known if row["Name"] == name), None)
    if found is None:
        raise errors.not_found()
    return asked.one("Parameter", found, "Parameters/$entity")


def _validate_link(asked: XapiRequest) -> XapiResponse:
    model = check("ChatLinkNameValidation", body_part(asked, "model"))
    name = model.get("FriendlyName")
    if not name:
        raise errors.bad(errors.REQUIRED, "FriendlyName")
    links = asked.site.plain.collection("WebsiteLinks")
    if name in links and name != model.get("Pair"):
        raise errors.bad(errors.IN_USE, "FriendlyName")
    return DONE


def _of_dn(site: Site, number: object) -> dict[str, Entity]:
    """Return the properties of a DN by name. Raises XapiError if there is no such DN."""
    if not isinstance(number, str) or site.directory.dn(number) is None:
        raise errors.bad(errors.NOT_FOUND, "dnNumber")
    return site.dn_properties.setdefault(number, {})


def _properties(asked: XapiRequest) -> XapiResponse:
    found = _of_dn(asked.site, asked.arguments["dnNumber"])
    return asked.many("DNProperty", list(found.values()), "Collection(Pbx.DNProperty)")


def _property(asked: XapiRequest) -> XapiResponse:
    found = _of_dn(asked.site, asked.arguments["dnNumber"]).get(str(asked.arguments["name"]))
    if found is None:
        raise errors.not_found()
    return asked.one("DNProperty", found, "Pbx.DNProperty")


def _create_property(asked: XapiRequest) -> XapiResponse:
    known, values = _sent(asked)
    if values["Name"] in known:
        raise errors.bad(errors.DUPLICATE, "Name")
    asked.site.last_property += 1
    known[values["Name"]] = new_entity("DNProperty", **values, Id=asked.site.last_property)
    return DONE


def _update_property(asked: XapiRequest) -> XapiResponse:
    known, values = _sent(asked)
    if values["Name"] not in known:
        raise errors.not_found()
    known[values["Name"]].update(values)
    return DONE


def _delete_property(asked: XapiRequest) -> XapiResponse:
    known = _of_dn(asked.site, body_text(asked, "dnNumber"))
    if known.pop(body_text(asked, "propertyName"), None) is None:
        raise errors.not_found()
    return DONE


def _sent(asked: XapiRequest) -> tuple[dict[str, Entity], Entity]:
    """Return the DN's properties, and the property that the body holds."""
    known = _of_dn(asked.site, body_text(asked, "dnNumber"))
    values = check("DNProperty", body_part(asked, "property"))
    if not values.get("Name"):
        raise errors.bad(errors.REQUIRED, "Name")
    return known, {name: value for name, value in values.items() if name != "Id"}


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("Parameters", "Pbx.GetParameterByName"): Operation("GET", _parameter),
    ("WebsiteLinks", "Pbx.ValidateLink"): Operation("POST", _validate_link),
    ("DNProperties", "Pbx.GetPropertiesByDn"): Operation("GET", _properties),
    ("DNProperties", "Pbx.GetDNPropertyByName"): Operation("GET", _property),
    ("DNProperties", "Pbx.CreateDNProperty"): Operation("POST", _create_property),
    ("DNProperties", "Pbx.UpdateDNProperty"): Operation("POST", _update_property),
    ("DNProperties", "Pbx.DeleteDNProperty"): Operation("POST", _delete_property),
}
"""Operations by the collection to which they belong and by name."""
