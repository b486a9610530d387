"""List the served collections: where their entities live and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.simulator.pbx_data.directory import Directory, DnKind
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import derived_entities as rows
from monitor.simulator.xapi import writes
from monitor.simulator.xapi.context import Site, active_call
from monitor.simulator.xapi.description.schema import schema
from monitor.simulator.xapi.own_account import logins
from monitor.simulator.xapi.plain_entities import Key, key_of, kind_of
from monitor.simulator.xapi.reports.call_log import call_history, last_call
from monitor.simulator.xapi.reports.recordings import recordings


@dataclass(frozen=True, slots=True)
class EntitySet:
    """Represent a collection. An operation that is None cannot be done with it.

    ``key``: name of the property by which ``find`` finds an entity.
    """

    name: str
    shape: str
    rows: Callable[[Site], Collection[Entity]]
    find: Callable[[Site, Key], Entity | None] | None = None
    numbered: Callable[[Site, str], Entity | None] | None = None
    create: Callable[[Site, Any], Entity] | None = None
    change: Callable[[Site, Entity, Any], None] | None = None
    delete: Callable[[Site, Entity], object] | None = None
    key: str = "Id"

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the navigation properties that have their own address."""
        start = f"GET /{self.name}({{{self.key}}})/"
        found = (text.removeprefix(start) for text in schema().operations if text.startswith(start))
        return tuple(path for path in found if "." not in path)


def _stored(
    name: str, shape: str, store: Callable[[Directory], dict[int, Entity]], **more: Any
) -> EntitySet:
    more.setdefault("delete", lambda site, entity: store(site.directory).pop(entity["Id"]))
    return EntitySet(
        name,
        shape,
        rows=lambda site: store(site.directory).values(),
        find=lambda site, key: store(site.directory).get(key) if isinstance(key, int) else None,
        **more,
    )


def _dns(name: str, kind: DnKind, *, numbered: bool = True) -> EntitySet:
    def by_number(site: Site, number: str) -> Entity | None:
        dn = site.directory.dn(number)
        return site.directory.entity(number) if dn and dn.kind == kind else None

    return _stored(
        name,
        writes.DN_SHAPES[kind],
        lambda directory: directory.store(kind),
        numbered=by_number if numbered else None,
        create=lambda site, body: writes.create_dn(site.directory, site.switches, kind, body),
        change=lambda site, entity, body: writes.change_dn(
            site.directory, site.switches, kind, entity, body
        ),
        delete=lambda site, entity: writes.delete_dn(site.directory, entity),
    )


def _rules(name: str, shape: str, store: Callable[[Directory], dict[int, Entity]]) -> EntitySet:
    return _stored(
        name,
        shape,
        store,
        create=lambda site, body: writes.create_rule(shape, site.directory, site.switches, body),
        change=lambda site, entity, body: writes.change_rule(
            shape, site.directory, site.switches, entity, body
        ),
    )


def _plain(name: str) -> EntitySet:
    """Return a collection that is stored as clients write it."""
    key, served = key_of(name), schema().operations
    one = f"/{name}({{{key}}})"
    keyed = any(f"{method} {one}" in served for method in ("GET", "PATCH", "DELETE"))
    return EntitySet(
        name,
        kind_of(name),
        rows=lambda site: site.plain.collection(name).values(),
        find=(lambda site, value: site.plain.collection(name).get(value)) if keyed else None,
        create=(lambda site, body: site.plain.create(site.directory, name, body))
        if f"POST /{name}" in served
        else None,
        change=(lambda site, entity, body: site.plain.change(site.directory, name, entity, body))
        if f"PATCH {one}" in served
        else None,
        delete=(lambda site, entity: site.plain.collection(name).pop(entity[key]))
        if f"DELETE {one}" in served
        else None,
        key=key,
    )


def _peers(site: Site) -> list[Entity]:
    return [rows.peer(dn) for dn in site.directory.dns()]


def _active_calls(site: Site) -> list[Entity]:
    now = site.clock()
    return [active_call(row, now) for row in site.calls.active_calls()]


_OWN: Final = (
    _dns("Users", "extension"),
    _dns("Queues", "queue"),
    _dns("RingGroups", "ringgroup"),
    _dns("Receptionists", "ivr"),
    _dns("Trunks", "externalline"),
    _dns("Parkings", "parking"),
    _dns("Fax", "fax"),
    _dns("ServicePrincipals", "routepoint", numbered=False),
    _stored(
        "Groups",
        "Group",
        lambda directory: directory.groups,
        create=lambda site, body: writes.create_group(site.directory, site.switches, body),
        change=lambda site, entity, body: writes.change_group(
            site.directory, site.switches, entity, body
        ),
        delete=lambda site, entity: writes.delete_group(site.directory, entity),
    ),
    _stored(
        "Contacts",
        "Contact",
        lambda directory: directory.contacts,
        create=lambda site, body: writes.create_contact(site.directory, site.switches, body),
        change=lambda site, entity, body: writes.change_contact(
            site.directory, site.switches, entity, body
        ),
        delete=lambda site, entity: site.directory.book.remove(entity["Id"]),
    ),
    _rules("InboundRules", "InboundRule", lambda directory: directory.inbound_rules),
    _rules("OutboundRules", "OutboundRule", lambda directory: directory.outbound_rules),
    EntitySet("SipDevices", "SipDevice", rows=lambda site: rows.desk_phones(site.directory)),
    EntitySet(
        "DidNumbers",
        "DidNumber",
        rows=lambda site: site.directory.did_numbers.values(),
        key="Number",
    ),
    EntitySet(
        "Peers",
        "Peer",
        rows=_peers,
        numbered=lambda site, number: rows.peer_of(site.directory, number),
    ),
    EntitySet("ActiveCalls", "ActiveCall", rows=_active_calls),
    EntitySet("CallHistoryView", "CallHistoryView", rows=call_history, key="SegmentId"),
    EntitySet("LastCdrAndChatMessageTimestamp", "LastCdrAndChatMessageTimestamp", rows=last_call),
    EntitySet("SecurityTokens", "RefreshToken", rows=logins),
    EntitySet("Recordings", "Recording", rows=recordings),
    EntitySet("EventLogs", "EventLog", rows=lambda site: site.events.rows()),
)
"""Collections with rows and rules of their own."""


def _collections() -> Iterator[str]:
    """Yield the names of the collections that the official file lists and that are served."""
    for operation, answer in schema().operations.items():
        name = operation.removeprefix("GET /")
        if name.isalnum() and operation.startswith("GET /") and "value:[Pbx." in answer:
            yield name


SETS: Final[Mapping[str, EntitySet]] = {
    **{served.name: served for served in _OWN},
    **{name: _plain(name) for name in _collections() if name not in {one.name for one in _OWN}},
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

OWNERS_ONLY: Final = ("Recordings", "ScheduledReports", "ChatHistoryView", "Report")
"""Beginnings of the addresses that the role ``system_admins`` may not read: also all reports."""
