"""List the served collections: where their entities live and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
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
    delete: Callable[[Directory, Entity], object] | None = None
    paths: tuple[str, ...] = ()


def _stored(
    name: str, shape: str, store: Callable[[Directory], dict[int, Entity]], **more: Any
) -> EntitySet:
    more.setdefault("delete", lambda directory, entity: store(directory).pop(entity["Id"]))
    return EntitySet(
        name,
        shape,
        rows=lambda site: store(site.directory).values(),
        find=lambda directory, key: store(directory).get(key),
        **more,
    )


def _dns(name: str, kind: DnKind, *paths: str, numbered: bool = True) -> EntitySet:
    def by_number(directory: Directory, number: str) -> Entity | None:
        dn = directory.dn(number)
        return directory.entity(number) if dn and dn.kind == kind else None

    return _stored(
        name,
        writes.DN_SHAPES[kind],
        lambda directory: directory.store(kind),
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


SETS: Final[Mapping[str, EntitySet]] = {
    served.name: served
    for served in (
        _dns("Users", "extension", "Groups", "ForwardingProfiles", "Greetings"),
        _dns("Queues", "queue", "Agents", "Managers"),
        _dns("RingGroups", "ringgroup", "Members"),
        _dns("Receptionists", "ivr", "Forwards"),
        _dns("Trunks", "externalline"),
        _dns("Parkings", "parking", "Groups"),
        _dns("Fax", "fax"),
        _dns("ServicePrincipals", "routepoint", numbered=False),
        _stored(
            "Groups",
            "Group",
            lambda directory: directory.groups,
            create=writes.create_group,
            change=writes.change_group,
            delete=writes.delete_group,
            paths=("Members", "Rights"),
        ),
        _stored(
            "Contacts",
            "Contact",
            lambda directory: directory.contacts,
            create=writes.create_contact,
            change=writes.change_contact,
            delete=lambda directory, entity: directory.book.remove(entity["Id"]),
        ),
        _stored(
            "InboundRules",
            "InboundRule",
            lambda directory: directory.inbound_rules,
            create=partial(writes.create_rule, "InboundRule"),
            change=partial(writes.change_rule, "InboundRule"),
        ),
        _stored(
            "OutboundRules",
            "OutboundRule",
            lambda directory: directory.outbound_rules,
            create=partial(writes.create_rule, "OutboundRule"),
            change=partial(writes.change_rule, "OutboundRule"),
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
