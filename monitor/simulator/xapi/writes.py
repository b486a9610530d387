"""Create, change and delete entities by the rules of the real XAPI.

Everything is checked before anything is changed. A new entity without a number gets the first free
one. A change that names a number must name the present one. Properties that only the PBX sets are
ignored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.directory import Directory, DnKind
from monitor.simulator.pbx_data.queue_logins import in_force
from monitor.simulator.pbx_data.templates import CONTACT_PHONES, Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.navigation_validation import LinkTarget, incoming

_READ_ONLY: Final = frozenset(
    ("Id", "IsRegistered", "DisplayName", "HasMembers", "IsDefault", "IsSystem", "LastUsed")
)
DN_SHAPES: Final[Mapping[DnKind, str]] = {
    "extension": "User",
    "queue": "Queue",
    "ringgroup": "RingGroup",
    "ivr": "Receptionist",
    "externalline": "Trunk",
    "parking": "Parking",
    "fax": "Fax",
    "routepoint": "ServicePrincipal",
}
"""Entity type of each kind of DN that has a collection."""
_TEMPLATES: Final[Mapping[DnKind, Callable[[str], Entity]]] = {
    "extension": templates.user,
    "externalline": templates.trunk,
    "fax": templates.fax,
    "routepoint": templates.service_principal,
}
"""Functions that make a new DN; the others are blank but for their number."""


def create_dn(directory: Directory, switches: Switches, kind: DnKind, body: Any) -> Entity:
    """Create a DN of that kind and return it. Raises ODataError or XapiError."""
    shape = DN_SHAPES[kind]
    asked = body.get("Number") if isinstance(body, dict) else None
    number = _free(directory, kind, asked)
    make = _TEMPLATES.get(kind)
    entity = make(number) if make else templates.blank(shape, Number=number)
    values = incoming(shape, LinkTarget(directory, switches, entity), body)
    _settle(directory, kind, entity, values)
    if not entity["Groups"]:
        entity["Groups"] = [_in_default(directory)]
    if kind == "extension":
        _finish_user(entity)
    dids = entity.get("DidNumbers", [])
    directory.add(kind, entity)
    if kind == "externalline":
        directory.set_dids(entity, dids)
    return entity


def change_dn(
    directory: Directory, switches: Switches, kind: DnKind, entity: Entity, body: Any
) -> None:
    """Set properties of a DN. Raises ODataError or XapiError."""
    values = incoming(DN_SHAPES[kind], LinkTarget(directory, switches, entity), body)
    if values.get("Number") not in (None, entity["Number"]):
        raise errors.bad(errors.FORBIDDEN_CHANGE, "Number")
    if (
        kind == "extension"
        and switches.governed_login == "ignored"
        and entity["CurrentProfileName"] != "Available"
    ):
        values.pop("QueueStatus", None)
    changed = dict(entity)
    _settle(directory, kind, changed, values)
    if kind == "extension" and switches.queue_log_out == "logs_out" and _logs_out(changed):
        changed["QueueStatus"] = "LoggedOut"
    directory.update(entity, changed)
    if kind == "externalline" and "DidNumbers" in values:
        directory.set_dids(entity, values["DidNumbers"])


def _logs_out(user: Entity) -> bool:
    profile = in_force(user)
    return profile is not None and bool(profile["OfficeHoursAutoQueueLogOut"])


def delete_dn(directory: Directory, entity: Entity) -> None:
    """Delete a DN and all that refers to it. Raises XapiError for the operator's extension."""
    if entity["Number"] == directory.operator:
        raise errors.bad("WARNINGS.OPERATOR_CANNOT_BE_DELETED", "Number")
    directory.remove(entity["Number"])


def create_contact(directory: Directory, switches: Switches, body: Any) -> Entity:
    """Create an entry of the address book and return it. Raises ODataError or XapiError."""
    contact = templates.contact()
    values = incoming("Contact", LinkTarget(directory, switches, contact), body)
    contact.update({**_writable(values), "ContactType": "3CX"})
    _check_contact(contact)
    return directory.book.add(contact)


def change_contact(directory: Directory, switches: Switches, entity: Entity, body: Any) -> None:
    """Set properties of an entry of the address book. Raises ODataError or XapiError."""
    values = _writable(incoming("Contact", LinkTarget(directory, switches, entity), body))
    _check_contact({**entity, **values})
    directory.book.update(entity["Id"], values)


def create_rule(kind: str, directory: Directory, switches: Switches, body: Any) -> Entity:
    """Create an inbound or outbound rule and return it. Raises ODataError or XapiError.

    ``kind``: ``InboundRule``, which needs a trunk, or ``OutboundRule``, which needs a name.
    """
    rule = templates.blank(kind)
    values = incoming(kind, LinkTarget(directory, switches, rule), body)
    needed = "TrunkDN" if kind == "InboundRule" else "Name"
    if not values.get(needed):
        raise errors.bad(errors.REQUIRED, needed)
    return directory.add_rule({**rule, **_writable(values)}, outbound=kind == "OutboundRule")


def change_rule(
    kind: str, directory: Directory, switches: Switches, entity: Entity, body: Any
) -> None:
    """Set properties of a rule of that kind. Raises ODataError or XapiError."""
    entity.update(_writable(incoming(kind, LinkTarget(directory, switches, entity), body)))


def create_group(directory: Directory, switches: Switches, body: Any) -> Entity:
    """Create a department and return it. Raises ODataError or XapiError."""
    used = {group["Number"] for group in directory.groups.values()}
    number = next(text for i in range(len(used) + 1) if (text := f"GRP{i:04}") not in used)
    group = templates.group(number)
    values = incoming("Group", LinkTarget(directory, switches, group), _without_members(body))
    if not values.get("Name"):
        raise errors.bad(errors.REQUIRED, "Name")
    _check_group(directory, group, values)
    members = _members(directory, body)
    directory.add_group({**group, **_writable(values), "Number": number})
    created = next(g for g in directory.groups.values() if g["Number"] == number)
    _join(directory, created["Id"], members)
    return created


def change_group(directory: Directory, switches: Switches, entity: Entity, body: Any) -> None:
    """Set properties of a department. ``Members`` replaces all its members.

    Raises ODataError or XapiError.
    """
    values = incoming("Group", LinkTarget(directory, switches, entity), _without_members(body))
    if values.get("Number") not in (None, entity["Number"]):
        raise errors.bad(errors.FORBIDDEN_CHANGE, "Number")
    _check_group(directory, entity, values)
    members = _members(directory, body)
    entity.update(_writable(values))
    if "Members" in body:
        _join(directory, entity["Id"], members)


def delete_group(directory: Directory, entity: Entity) -> None:
    """Delete a department. Raises XapiError if it has members or is the default one."""
    if entity["IsDefault"]:
        raise errors.bad("WARNINGS.GROUP_CANNOT_BE_DELETED")
    in_it = (directory.entity(dn.number) for dn in directory.dns() if dn.kind != "routepoint")
    if any(
        row["GroupId"] == entity["Id"] for member in in_it if member for row in member["Groups"]
    ):
        raise errors.bad("WARNINGS.GROUP_WITH_MEMBERS_CANNOT_BE_DELETED")
    directory.remove_group(entity["Id"])


def _free(directory: Directory, kind: DnKind, number: Any) -> str:
    if number is None or number == "":
        if kind == "routepoint":
            raise errors.bad(errors.REQUIRED, "Number")
        free = directory.first_free(kind)
        if free is None:
            raise errors.bad(errors.NO_NUMBERS, "Number")
        return free
    text = str(number)
    digits = text.removeprefix("SP") if kind == "parking" else text
    if kind != "routepoint" and not (
        digits.isascii() and digits.isdigit() and 2 <= len(digits) <= 10
    ):
        raise errors.bad(errors.INVALID, "Number")
    if directory.dn(text):
        raise errors.bad(errors.IN_USE, "Number")
    return text


def _settle(directory: Directory, kind: DnKind, entity: Entity, values: Entity) -> None:
    """Put the values into the entity and set the properties that depend on them."""
    entity.update({name: value for name, value in _writable(values).items() if name != "Number"})
    if kind == "extension":
        entity["DisplayName"] = templates.display_name(
            entity["FirstName"] or "", entity["LastName"] or ""
        )
        if entity["CurrentProfileName"] not in templates.PROFILES:
            raise errors.bad(errors.INVALID, "CurrentProfileName")
        if values.get("Groups"):
            entity["PrimaryGroupId"] = values["Groups"][0]["GroupId"]
    if kind == "externalline" and not all(
        isinstance(did, str) and did for did in entity["DidNumbers"]
    ):
        raise errors.bad(errors.INVALID, "DidNumbers")
    if (
        entity.get("PrimaryGroupId") is not None
        and entity["PrimaryGroupId"] not in directory.groups
    ):
        raise errors.bad(errors.NOT_FOUND, "PrimaryGroupId")


def _finish_user(user: Entity) -> None:
    user["PrimaryGroupId"] = user["Groups"][0]["GroupId"]
    for name in ("AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword"):
        user[name] = user[name] or secrets.token_hex(8)
    user["VMPIN"] = user["VMPIN"] or f"{secrets.randbelow(10**4):04}"


def _in_default(directory: Directory) -> Entity:
    default = next(group for group in directory.groups.values() if group["IsDefault"])
    return {"GroupId": default["Id"], "Rights": {"RoleName": templates.ROLES[0]}}


def _writable(values: Entity) -> Entity:
    return {name: value for name, value in values.items() if name not in _READ_ONLY}


def _check_contact(contact: Entity) -> None:
    if not any(contact[name] for name in ("FirstName", "LastName", "CompanyName")):
        raise errors.bad("WARNINGS.CONTACTS_SPECIFY_NAME_SURNAME_COMPANY", "FirstName")
    if not any(contact[name] for name in CONTACT_PHONES):
        raise errors.bad("WARNINGS.CONTACTS_SPECIFY_PHONE_NUMBER", "PhoneNumber")
    for name, value in contact.items():
        if isinstance(value, str) and len(value) > 255:
            raise errors.bad("WARNINGS.LENGTH_NOT_MORE_255_CHARS", name)


def _check_group(directory: Directory, group: Entity, values: Entity) -> None:
    name = values.get("Name", group["Name"])
    if any(
        other["Name"] == name and other["Id"] != group["Id"] for other in directory.groups.values()
    ):
        raise errors.bad(errors.DUPLICATE, "Name")


def _without_members(body: Any) -> Any:
    return (
        {name: value for name, value in body.items() if name != "Members"}
        if isinstance(body, dict)
        else body
    )


def _members(directory: Directory, body: Any) -> dict[str, str]:
    """Return the numbers of the members that the body names, with their roles."""
    wanted: dict[str, str] = {}
    for row in body.get("Members") or ():
        number = row.get("Number") if isinstance(row, dict) else None
        if not isinstance(number, str) or directory.dn(number) is None:
            raise errors.bad(errors.NOT_FOUND, "Members")
        role = (row.get("Rights") or {}).get("RoleName", templates.ROLES[0])
        if role not in templates.ROLES:
            raise errors.bad(errors.INVALID, "RoleName")
        wanted[number] = role
    return wanted


def _join(directory: Directory, group_id: int, wanted: Mapping[str, str]) -> None:
    for dn in list(directory.dns()):
        entity = directory.entity(dn.number)
        if entity is None or dn.kind == "routepoint":
            continue
        others = [row for row in entity["Groups"] if row["GroupId"] != group_id]
        mine = (
            [{"GroupId": group_id, "Rights": {"RoleName": wanted[dn.number]}}]
            if dn.number in wanted
            else []
        )
        if mine or len(others) != len(entity["Groups"]):
            directory.update(entity, {"Groups": [*others, *mine]})
