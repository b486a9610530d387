"""Carry out what is done with departments, which 3CX also calls companies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors, writes
from monitor.simulator.xapi.actions.operation import DONE, Operation, body_object, body_text
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.request import XapiRequest, XapiResponse


def _delete_by_number(asked: XapiRequest) -> XapiResponse:
    number = body_text(asked, "number")
    groups = asked.site.directory.groups.values()
    return _deleted(asked, next((one for one in groups if one["Number"] == number), None))


def _delete_by_id(asked: XapiRequest) -> XapiResponse:
    key = body_object(asked).get("id")
    if type(key) is not int:
        raise ODataError("The parameter 'id' must be an integer of the format int32.")
    return _deleted(asked, asked.site.directory.groups.get(key))


def _deleted(asked: XapiRequest, group: Entity | None) -> XapiResponse:
    if group is None:
        raise errors.not_found()
    writes.delete_group(asked.site.directory, group)
    return DONE


def _restrictions(asked: XapiRequest) -> XapiResponse:
    """Answer how much of the licence is used. This PBX limits calls alone."""
    directory = asked.site.directory
    used = {
        "LiveChats": len(asked.site.plain.collection("WebsiteLinks")),
        "Sbcs": len(asked.site.plain.collection("Sbcs")),
        "System": sum(dn.kind != "extension" for dn in directory.dns()),
        "Trunks": len(directory.trunks),
        "Users": len(directory.users),
    }
    told = {name: {"Allowed": None, "Unlimited": True, "Used": n} for name, n in used.items()}
    return asked.one("Restrictions", new_entity("Restrictions", **told), "Pbx.Restrictions")


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("Groups", "Pbx.DeleteCompanyByNumber"): Operation("POST", _delete_by_number),
    ("Groups", "Pbx.DeleteCompanyById"): Operation("POST", _delete_by_id),
    ("Groups", "Pbx.GetRestrictions"): Operation("GET", _restrictions, bound=True),
    ("MyGroup", "Pbx.GetRestrictions"): Operation("GET", _restrictions),
}
"""Operations by the collection to which they belong and by name."""
