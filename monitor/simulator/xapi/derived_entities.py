"""Make rows from the directory: related entities, peers, system extensions, desk phones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from monitor.simulator.pbx_data.directory import Directory, Dn, DnKind
from monitor.simulator.pbx_data.templates import Entity, rights

PEER_TYPES: Final[Mapping[DnKind, str]] = {
    "extension": "Extension",
    "queue": "Queue",
    "ringgroup": "RingGroup",
    "ivr": "IVR",
    "externalline": "ExternalLine",
    "routepoint": "RoutePoint",
    "conference": "Conference",
    "specialmenu": "SpecialMenu",
    "parking": "Parking",
    "fax": "Fax",
}
"""``Pbx.PeerType`` of each kind of DN."""


def peer(dn: Dn) -> Entity:
    """Return a ``Pbx.Peer``."""
    return {
        "Hidden": False,
        "Id": dn.id,
        "Name": dn.name,
        "Number": dn.number,
        "Tags": [],
        "Type": PEER_TYPES[dn.kind],
    }


def peers(directory: Directory, numbers: Iterable[str]) -> list[Entity]:
    """Return a ``Pbx.Peer`` for each number that exists."""
    return [peer(dn) for number in numbers if (dn := directory.dn(number))]


def peer_of(directory: Directory, number: str) -> Entity | None:
    """Return the ``Pbx.Peer`` with that number, or None."""
    dn = directory.dn(number)
    return peer(dn) if dn else None


def agents(directory: Directory, queue: Entity) -> list[Entity]:
    """Return ``Pbx.QueueAgent`` rows in order of priority."""
    return [
        {
            "Id": dn.id,
            "Name": dn.name,
            "Number": dn.number,
            "SkillGroup": row.get("SkillGroup", "1"),
            "Tags": [],
        }
        for row in queue["Agents"]
        if (dn := directory.dn(row["Number"]))
    ]


def people(directory: Directory, rows: Iterable[Entity]) -> list[Entity]:
    """Return ``Pbx.QueueManager`` or ``Pbx.RingGroupMember`` rows."""
    return [
        {"Id": dn.id, "Name": dn.name, "Number": dn.number, "Tags": []}
        for row in rows
        if (dn := directory.dn(row["Number"]))
    ]


def memberships(directory: Directory, entity: Entity) -> list[Entity]:
    """Return ``Pbx.UserGroup`` rows of one member: the departments to which it belongs."""
    dn = directory.dn(entity["Number"])
    return (
        []
        if dn is None
        else [row for row in (_membership(directory, dn, m) for m in entity["Groups"]) if row]
    )


def members(directory: Directory, group_id: int) -> list[Entity]:
    """Return ``Pbx.UserGroup`` rows of one department, sorted by number."""
    return [
        row
        for dn, membership in _members(directory, group_id)
        if dn.kind != "routepoint" and (row := _membership(directory, dn, membership))
    ]


def has_members(directory: Directory, group_id: int) -> bool:
    """Return whether the department has members. Route points do not count."""
    return any(dn.kind != "routepoint" for dn, _ in _members(directory, group_id))


def peer_groups(directory: Directory, number: str) -> list[Entity]:
    """Return ``Pbx.PeerGroup`` rows of a peer."""
    entity = directory.entity(number)
    rows = []
    for position, membership in enumerate(entity["Groups"] if entity else ()):
        group = directory.groups.get(membership["GroupId"])
        if group:
            rows.append(
                {
                    "GroupID": group["Id"],
                    "IsPrimary": position == 0,
                    "Name": group["Name"],
                    "Number": group["Number"],
                    "RoleName": membership["Rights"]["RoleName"],
                }
            )
    return rows


def rule_of_did(directory: Directory, row: Entity) -> Entity | None:
    """Return the inbound rule that routes a DID number, or None."""
    for rule in directory.inbound_rules.values():
        trunk = directory.entity(rule["TrunkDN"]["Number"])
        if rule["Data"] == row["Number"] and trunk and trunk["Id"] == row["TrunkId"]:
            return rule
    return None


def system_extensions(directory: Directory) -> list[Entity]:
    """Return a ``Pbx.SystemExtensionStatus`` for every DN that is not a user."""
    return [
        {
            "IsRegistered": directory.registered(dn.number),
            "Name": dn.name,
            "Number": dn.number,
            "Type": PEER_TYPES[dn.kind],
        }
        for dn in directory.dns()
        if dn.kind != "extension"
    ]


def desk_phones(directory: Directory) -> list[Entity]:
    """Return a ``Pbx.SipDevice`` for every registered desk phone.

    ``DN`` holds only the number of its extension.
    """
    found = (
        device
        for number in directory.extensions()
        for device in directory.devices(number)
        if device.on_desk
    )
    return [
        {
            "Id": place,
            "DN": device.dn,
            "PhoneWebPassword": "",
            "ProvLink": "",
            "Registrar": {
                "Capabilities": 0,
                "FirmwareAvailable": "",
                "FirmwareVersion": device.user_agent.split()[-1],
                "InterfaceLink": "",
                "IpAddress": "192.0.2.20",
                "MAC": f"{place:012X}",
                "Model": device.user_agent.split()[-2],
                "UserAgent": device.user_agent,
                "Vendor": device.user_agent.split()[0],
            },
        }
        for place, device in enumerate(found, start=1)
    ]


def _members(directory: Directory, group_id: int) -> Iterator[tuple[Dn, Entity]]:
    for dn in sorted(directory.dns(), key=lambda dn: dn.number):
        entity = directory.entity(dn.number)
        for membership in entity["Groups"] if entity else ():
            if membership["GroupId"] == group_id:
                yield dn, membership


def _membership(directory: Directory, dn: Dn, membership: Entity) -> Entity | None:
    group = directory.groups.get(membership["GroupId"])
    if group is None:
        return None
    role = membership["Rights"]["RoleName"]
    return {
        "CanDelete": True,
        "GroupId": group["Id"],
        "Id": dn.id,
        "MemberName": dn.name,
        "Name": group["Name"],
        "Number": dn.number,
        "Tags": [],
        "TranscriptionMode": "Inherit",
        "Type": PEER_TYPES[dn.kind],
        "Rights": rights(role),
        "GroupRights": next((r for r in group["Rights"] if r["RoleName"] == role), rights(role)),
    }
