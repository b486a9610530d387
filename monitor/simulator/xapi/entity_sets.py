"""List the served collections: where their entities live and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.directory import Directory, DnKind
from monitor.simulator.pbx_data.templates import Entity, tables
from monitor.simulator.xapi import derived_entities as rows
from monitor.simulator.xapi import writes
from monitor.simulator.xapi.context import Site, active_call


@dataclass(frozen=True, slots=True)
class EntitySet:
    """Represent a collection. An operation that is None cannot be done with it.

    ``paths``: navigation properties that have their own address.
    """

    name: str
    shape: str
    rows: Callable[[Site], Collection[Entity]]
    find: Callable[[Directory, int], Entity | None] | None = None
    numbered: Callable[[Directory, str], Entity | None] | None = None
    create: Callable[[Directory, Switches, Any], Entity] | None = None
    change: Callable[[Directory, Switches, Entity, Any], None] | None = None
    delete: Callable[[Directory, Entity], None] | None = None
    paths: tuple[str, ...] = ()


def _dns(
    name: str,
    shape: str,
    kind: DnKind,
    store: Callable[[Directory], Mapping[int, Entity]],
    *paths: str,
    numbered: bool = True,
) -> EntitySet:
    def by_number(directory: Directory, number: str) -> Entity | None:
        dn = directory.dn(number)
        return directory.entity(number) if dn and dn.kind == kind else None

    return EntitySet(
        name,
        shape,
        rows=lambda site: store(site.directory).values(),
        find=lambda directory, key: store(directory).get(key),
        numbered=by_number if numbered else None,
        create=lambda directory, switches, body: writes.create_dn(directory, switches, kind, body),
        change=lambda directory, switches, entity, body: writes.change_dn(
            directory, switches, kind, entity, body
        ),
        delete=writes.delete_dn,
        paths=paths,
    )


def _peers(site: Site) -> list[Entity]:
    return [rows.peer(dn) for dn in site.directory.dns()]


def _active_calls(site: Site) -> list[Entity]:
    now = site.clock()
    return [active_call(row, now) for row in site.calls.active_calls()]


def _delete_contact(directory: Directory, entity: Entity) -> None:
    directory.book.remove(entity["Id"])


def _delete_rule(directory: Directory, entity: Entity) -> None:
    del directory.inbound_rules[entity["Id"]]


def _delete_outbound_rule(directory: Directory, entity: Entity) -> None:
    del directory.outbound_rules[entity["Id"]]


SETS: Final[Mapping[str, EntitySet]] = {
    served.name: served
    for served in (
        _dns(
            "Users",
            "User",
            "extension",
            lambda d: d.users,
            "Groups",
            "ForwardingProfiles",
            "Greetings",
        ),
        _dns("Queues", "Queue", "queue", lambda d: d.queues, "Agents", "Managers"),
        _dns("RingGroups", "RingGroup", "ringgroup", lambda d: d.ring_groups, "Members"),
        _dns("Receptionists", "Receptionist", "ivr", lambda d: d.receptionists, "Forwards"),
        _dns("Trunks", "Trunk", "externalline", lambda d: d.trunks),
        _dns("Parkings", "Parking", "parking", lambda d: d.parkings, "Groups"),
        _dns("Fax", "Fax", "fax", lambda d: d.faxes),
        _dns(
            "ServicePrincipals",
            "ServicePrincipal",
            "routepoint",
            lambda d: d.service_principals,
            numbered=False,
        ),
        EntitySet(
            "Groups",
            "Group",
            rows=lambda site: site.directory.groups.values(),
            find=lambda directory, key: directory.groups.get(key),
            create=writes.create_group,
            change=writes.change_group,
            delete=writes.delete_group,
            paths=("Members", "Rights"),
        ),
        EntitySet(
            "Contacts",
            "Contact",
            rows=lambda site: site.directory.contacts.values(),
            find=lambda directory, key: directory.contacts.get(key),
            create=writes.create_contact,
            change=writes.change_contact,
            delete=_delete_contact,
        ),
        EntitySet(
            "InboundRules",
            "InboundRule",
            rows=lambda site: site.directory.inbound_rules.values(),
            find=lambda directory, key: directory.inbound_rules.get(key),
            create=writes.create_rule,
            change=writes.change_rule,
            delete=_delete_rule,
        ),
        EntitySet(
            "OutboundRules",
            "OutboundRule",
            rows=lambda site: site.directory.outbound_rules.values(),
            find=lambda directory, key: directory.outbound_rules.get(key),
            create=writes.create_outbound_rule,
            change=writes.change_outbound_rule,
            delete=_delete_outbound_rule,
        ),
        EntitySet("SipDevices", "SipDevice", rows=lambda site: rows.desk_phones(site.directory)),
        EntitySet("DidNumbers", "DidNumber", rows=lambda site: site.directory.did_numbers.values()),
        EntitySet("Peers", "Peer", rows=_peers, numbered=rows.peer_of),
        EntitySet("ActiveCalls", "ActiveCall", rows=_active_calls),
    )
}
"""Collections by name."""

FREE_NUMBERS: Final[Mapping[tuple[str, str], DnKind]] = {
    ("Users", "Pbx.GetFirstAvailableExtensionNumber"): "extension",
    ("Users", "Pbx.GetFirstAvailableHotdeskingNumber"): "extension",
    ("Queues", "Pbx.GetFirstAvailableQueueNumber"): "queue",
    ("RingGroups", "Pbx.GetFirstAvailableRingGroupNumber"): "ringgroup",
    ("Receptionists", "Pbx.GetFirstAvailableReceptionistNumber"): "ivr",
    ("Trunks", "Pbx.GetFirstAvailableTrunkNumber"): "externalline",
}
"""Functions that return the number a new entity would get, with its kind of DN."""

OWNERS_ONLY: Final = frozenset(
    ("Recordings", "ScheduledReports", "ChatHistoryView", "ReportCallLogData")
)
"""Collections that the role ``system_admins`` may not read. They are served empty."""
EMPTY: Final = (OWNERS_ONLY - {"ReportCallLogData"}) | frozenset(tables().empty)
"""Collections for which the simulated PBX has no entities."""
REPORTS: Final = frozenset(
    (f"Report{name}", f"Pbx.Get{name}{'' if name.endswith('Data') else 'Data'}")
    for name in tables().reports
)
"""Reports of past calls. The simulated PBX keeps no past calls, so they are empty."""
