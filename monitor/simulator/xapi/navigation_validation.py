"""Check navigation properties that clients write. Pure.

A written array replaces the earlier one and must name entities that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import ROLES, Entity, blank
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.validation import check, check_rows


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """Hold the target of a write: the entity as it is, and the directory that holds it."""

    directory: Directory
    switches: Switches
    entity: Entity


Relation: TypeAlias = Callable[[LinkTarget, str, Any], Any]
"""Function that turns a client's value into the stored one. Raises ODataError or XapiError."""


def _memberships(target: LinkTarget, name: str, value: Any) -> list[Entity]:
    kept = []
    for row in check_rows("UserGroup", name, value):
        if row.get("GroupId") not in target.directory.groups:
            raise errors.bad(errors.NOT_FOUND, name)
        kept.append({"GroupId": row["GroupId"], "Rights": {"RoleName": _role(row)}})
    return kept


def _role(row: Entity) -> str:
    role = (row.get("Rights") or {}).get("RoleName", ROLES[0])
    if role not in ROLES:
        raise errors.bad(errors.INVALID, "RoleName")
    return str(role)


def _agents(target: LinkTarget, name: str, value: Any) -> list[Entity]:
    rows = check_rows("QueueAgent", name, value)
    numbers = _numbers(target, name, rows, ("extension",))
    return [
        {"Number": number, "SkillGroup": row.get("SkillGroup") or "1"}
        for number, row in zip(numbers, rows, strict=True)
    ]


def _extensions(target: LinkTarget, name: str, value: Any) -> list[Entity]:
    kind = "QueueManager" if name == "Managers" else "RingGroupMember"
    numbers = _numbers(target, name, check_rows(kind, name, value), ("extension",))
    return [{"Number": number} for number in numbers]


def _peers(target: LinkTarget, name: str, value: Any) -> list[Entity]:
    return [
        {"Number": number} for number in _numbers(target, name, check_rows("Peer", name, value), ())
    ]


def _numbers(
    target: LinkTarget, name: str, rows: list[Entity], kinds: tuple[str, ...]
) -> list[str]:
    numbers: list[str] = []
    for row in rows:
        number = row.get("Number")
        if not number:
            raise errors.bad(errors.REQUIRED, f"{name}/Number")
        dn = target.directory.dn(number)
        if dn is None or (kinds and dn.kind not in kinds):
            raise errors.bad(errors.NO_SUCH_EXTENSION, name)
        if number in numbers:
            raise errors.bad(errors.DUPLICATE, name)
        numbers.append(number)
    return numbers


def _forwards(_: LinkTarget, name: str, value: Any) -> list[Entity]:
    empty = blank("ReceptionistForward", ForwardType="EndCall", PeerType="None")
    return [
        {**empty, **row, "Id": row.get("Id") or position}
        for position, row in enumerate(check_rows("ReceptionistForward", name, value), start=1)
    ]


def _greetings(_: LinkTarget, name: str, value: Any) -> list[Entity]:
    rows = check_rows("Greeting", name, value)
    return [blank("Greeting", **{"Type": "Default", **row}) for row in rows]


def _rights(_: LinkTarget, name: str, value: Any) -> list[Entity]:
    rows = check_rows("Rights", name, value)
    for row in rows:
        if row.get("RoleName") not in ROLES:
            raise errors.bad(errors.INVALID, "RoleName")
    return [blank("Rights", **row) for row in rows]


def _profiles(target: LinkTarget, name: str, value: Any) -> list[Entity]:
    old = {profile["Name"]: profile for profile in target.entity[name]}
    new: dict[str, Entity] = dict(old) if target.switches.partial_profiles == "merge" else {}
    for row in check_rows("ForwardingProfile", name, value):
        word = row.get("Name") or next(
            (p["Name"] for p in old.values() if p["Id"] == row.get("Id")), None
        )
        if word is None:
            raise errors.bad(errors.REQUIRED, f"{name}/Name")
        if word not in old:
            raise errors.bad(errors.NOT_FOUND, name)
        base = (
            old[word] if target.switches.partial_profiles == "merge" else blank("ForwardingProfile")
        )
        new[word] = {**base, **row, "Id": old[word]["Id"], "Name": word}
    return list(new.values())


def _trunk(target: LinkTarget, name: str, value: Any) -> Entity:
    if value is None:
        raise errors.bad(errors.REQUIRED, name)
    number = check("Peer", value).get("Number")
    dn = target.directory.dn(number) if number else None
    if dn is None or dn.kind != "externalline":
        raise errors.bad(errors.NOT_FOUND, name)
    return {"Number": dn.number}


def _nothing(_: LinkTarget, name: str, value: Any) -> list[Entity]:
    if value != []:
        raise errors.bad(errors.NOT_SUPPORTED, name)
    return []


RELATIONS: Final[Mapping[str, Mapping[str, Relation]]] = {
    "User": {
        "Groups": _memberships,
        "ForwardingProfiles": _profiles,
        "Greetings": _greetings,
        "ForwardingExceptions": _nothing,
        "Phones": _nothing,
    },
    "Queue": {"Groups": _memberships, "Agents": _agents, "Managers": _extensions},
    "RingGroup": {"Groups": _memberships, "Members": _extensions},
    "Receptionist": {"Groups": _memberships, "Forwards": _forwards},
    "Trunk": {
        "Groups": _memberships,
        "EmergencyGeoLocations": _nothing,
        "ReceiveExtensions": _nothing,
        "RoutingRules": _nothing,
    },
    "Group": {"Groups": _nothing, "Rights": _rights, "OfficeHolidays": _nothing},
    "InboundRule": {"TrunkDN": _trunk},
    "OutboundRule": {},
    "Parking": {"Groups": _memberships},
    "Fax": {"Groups": _memberships},
    "ServicePrincipal": {"Groups": _memberships, "Peers": _peers},
    "Contact": {},
}
"""Navigation properties of each entity type, with the function that checks them."""


def incoming(kind: str, target: LinkTarget, body: Any) -> Entity:
    """Return the body's checked properties, with navigation properties as they are stored.

    Raises ODataError or XapiError.
    """
    values = check(kind, body)
    relations = RELATIONS[kind]
    for name, value in values.items():
        if name in relations:
            values[name] = relations[name](target, name, value)
        elif isinstance(value, dict) and isinstance(target.entity.get(name), dict):
            values[name] = {**target.entity[name], **value}
        elif value is None and isinstance(blank(kind)[name], list):
            raise ODataError(f"The property '{name}' is not nullable.")
    return values
