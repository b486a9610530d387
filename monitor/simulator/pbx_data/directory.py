"""Hold the simulated PBX's configuration: users, queues, trunks and so on. Single-threaded.

Entities are dicts with the property names of 3CX's OpenAPI file. Every structural property is
filled in. Navigation properties are kept as rows that identify the other side:

- ``Agents``: ``{"Number", "SkillGroup"}`` in order of priority.
- ``Managers``, ``Members``, ``Peers``: ``{"Number"}``.
- ``Groups``: ``{"GroupId", "Rights": {"RoleName"}}`` at each member.
- a rule's ``TrunkDN``: ``{"Number"}``.

A property may be changed in place. Changes of numbers, additions and removals go through the
methods, which keep look-ups and references right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal

from monitor.simulator.pbx_data.address_book import Book
from monitor.simulator.pbx_data.dn import Device, Dn, DnKind
from monitor.simulator.pbx_data.queue_logins import QueueLogins, in_ring_groups, takes_calls
from monitor.simulator.pbx_data.templates import Entity

__all__ = ["Device", "Directory", "Dn", "DnKind"]

ZONE: Final = "Europe/Berlin"
"""Time zone of a PBX that is not said to be elsewhere."""
_REFERENCES: Final = {
    "queue": ("Agents", "Managers"),
    "ringgroup": ("Members",),
    "routepoint": ("Peers",),
}

_OWN_DEVICES: Final[Mapping[DnKind, str]] = {
    "routepoint": "3CX Call Control",
    "queue": "3CX Queue Manager",
    "ivr": "3CX IVR",
}
"""User agent of the device from which a DN calls that is not a telephone."""


class Directory:
    """Hold all entities by Id and look them up by number."""

    def __init__(self, first_extension: int = 100, first_queue: int = 800) -> None:
        self.users: dict[int, Entity] = {}
        self.queues: dict[int, Entity] = {}
        self.ring_groups: dict[int, Entity] = {}
        self.receptionists: dict[int, Entity] = {}
        self.trunks: dict[int, Entity] = {}
        self.groups: dict[int, Entity] = {}
        self.parkings: dict[int, Entity] = {}
        self.faxes: dict[int, Entity] = {}
        self.service_principals: dict[int, Entity] = {}
        self.inbound_rules: dict[int, Entity] = {}
        self.outbound_rules: dict[int, Entity] = {}
        self.did_numbers: dict[int, Entity] = {}
        self.book = Book()
        self.contacts = self.book.contacts
        self.secrets: dict[str, str] = {}
        """Secrets that were generated for API clients, by client id."""
        self.version = "20.0.10.1"
        self.fqdn = "pbx.example.com"
        self.max_calls = 512
        self.time_zone = ZONE
        """IANA name of the zone in the office hours."""
        self.dial_codes: Entity = {}
        self.operator = ""
        """The operator's extension, which cannot be deleted."""
        self._first = {
            "extension": first_extension,
            "queue": first_queue,
            "ringgroup": 600,
            "ivr": 700,
            "externalline": 10000,
            "parking": 7000,
            "fax": 880,
        }
        self._system: dict[int, Entity] = {}
        self._by_number: dict[str, tuple[DnKind, Entity]] = {}
        self._devices: dict[str, tuple[Device, ...]] = {}
        self._next_id = 1
        self.logins = QueueLogins()
        self._listeners: list[Callable[[str], None]] = []

    # look-ups

    def dn(self, number: str) -> Dn | None:
        """Return the DN with this number, or None if it is not a number of this PBX."""
        found = self._by_number.get(number)
        return _dn(*found) if found else None

    def entity(self, number: str) -> Entity | None:
        """Return the entity that has this number, or None."""
        found = self._by_number.get(number)
        return found[1] if found else None

    def dns(self) -> Iterator[Dn]:
        """Yield every DN of the PBX."""
        return (_dn(kind, entity) for kind, entity in self._by_number.values())

    def store(self, kind: DnKind) -> dict[int, Entity]:
        """Return the entities of one kind by Id."""
        stores = {
            "extension": self.users,
            "queue": self.queues,
            "ringgroup": self.ring_groups,
            "ivr": self.receptionists,
            "externalline": self.trunks,
            "parking": self.parkings,
            "fax": self.faxes,
            "routepoint": self.service_principals,
        }
        return stores.get(kind, self._system)

    def extensions(self) -> list[str]:
        """Return the numbers of the users."""
        return _numbers(self.users.values())

    def people(self) -> list[str]:
        """Return the numbers of the users who are people, not AI agents."""
        return _numbers(user for user in self.users.values() if not user["AIAgent"])

    def trunk_numbers(self) -> list[str]:
        """Return the numbers of the trunks' DNs."""
        return _numbers(self.trunks.values())

    def queue_numbers(self) -> list[str]:
        """Return the numbers of the call queues."""
        return _numbers(self.queues.values())

    def ring_group_numbers(self) -> list[str]:
        """Return the numbers of the ring groups."""
        return _numbers(self.ring_groups.values())

    def ivr_numbers(self) -> list[str]:
        """Return the numbers of the digital receptionists."""
        return _numbers(self.receptionists.values())

    def agents(self, queue: str) -> list[str]:
        """Return a queue's agents in order of priority; empty if it is not a queue."""
        return self._row_numbers("queue", queue, "Agents")

    def members(self, ring_group: str) -> list[str]:
        """Return a ring group's members in order; empty if it is not a ring group."""
        return self._row_numbers("ringgroup", ring_group, "Members")

    def rung_members(self, ring_group: str) -> list[str]:
        """Return the members that the ring group rings, in use or not: with phones or without."""
        members = self.members(ring_group)
        return [number for number in members if in_ring_groups(self.entity(number))]

    def available_agents(self, queue: str) -> list[str]:
        """Return the agents that take the queue's calls, in use or not.

        Such an agent is registered, enabled, and logged in globally and to this queue.
        """
        return [
            number
            for number in self.agents(queue)
            if takes_calls(self.entity(number)) and self.logins.logged_in(queue, number)
        ]

    def registered(self, number: str) -> bool:
        """Return whether an extension has a device. Other DNs are always registered."""
        entity = self.entity(number)
        return entity is not None and bool(entity.get("IsRegistered", True))

    def devices(self, number: str) -> list[Device]:
        """Return the devices of an extension (none, one or two) or of another DN that calls (one).

        A route point, a queue and a digital receptionist can call.
        """
        return list(self._devices.get(number, ()))

    def rules(self, trunk: str) -> list[Entity]:
        """Return the inbound rules of a trunk."""
        return [rule for rule in self.inbound_rules.values() if rule["TrunkDN"]["Number"] == trunk]

    def dids(self, trunk: str) -> list[str]:
        """Return the DID numbers of a trunk."""
        entity = self.entity(trunk)
        return list(entity.get("DidNumbers", ())) if entity else []

    def peers(self, client_id: str) -> list[str]:
        """Return the numbers of the DNs that an API client may monitor."""
        return self._row_numbers("routepoint", client_id, "Peers")

    def first_free(self, kind: DnKind) -> str | None:
        """Return the lowest unused number for a new DN of that kind; None if none is left."""
        first = self._first[kind]
        width = len(str(first))
        numbers = range(first, 10**width)
        return next((str(number) for number in numbers if str(number) not in self._by_number), None)

    # changes

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Register a callable that receives each number that changes.

        It is called after a number was added, removed or changed through :meth:`update`.
        """
        self._listeners.append(callback)

    def add(self, kind: DnKind, entity: Entity) -> Entity:
        """Store a DN's entity under a new Id. Raises ValueError if its number is in use."""
        number = entity["Number"]
        if number in self._by_number:
            msg = f"number {number} is in use"
            raise ValueError(msg)
        entity["Id"] = self._take_id()
        self.store(kind)[entity["Id"]] = entity
        self._by_number[number] = (kind, entity)
        if kind in _OWN_DEVICES:
            device = Device(number, f"sip:{number}@127.0.0.1:5060", _OWN_DEVICES[kind])
            self._devices[number] = (device,)
        self._changed(number)
        return entity

    def add_group(self, group: Entity) -> Entity:
        """Store a department under a new Id."""
        group["Id"] = self._take_id()
        self.groups[group["Id"]] = group
        return group

    def add_rule(self, rule: Entity, *, outbound: bool = False) -> Entity:
        """Store an inbound rule, or an outbound one, under a new Id."""
        rule["Id"] = self._take_id()
        (self.outbound_rules if outbound else self.inbound_rules)[rule["Id"]] = rule
        return rule

    def add_did(self, number: str, trunk: str) -> Entity:
        """Store a DID number of a trunk.

        The rule that routes it is found by its number. Raises ValueError if there is no such trunk.
        """
        entity = self.entity(trunk)
        if entity is None:
            msg = f"no trunk {trunk}"
            raise ValueError(msg)
        if number not in entity["DidNumbers"]:
            entity["DidNumbers"] = [*entity["DidNumbers"], number]
        row = {"Number": number, "TrunkId": entity["Id"], "TemplateFileName": ""}
        self.did_numbers[self._take_id()] = row
        return row

    def set_dids(self, trunk: Entity, numbers: Iterable[str]) -> None:
        """Give a trunk these DID numbers and no others."""
        self._forget_dids(trunk["Id"])
        trunk["DidNumbers"] = []
        for number in numbers:
            self.add_did(number, trunk["Number"])

    def update(self, entity: Entity, values: Mapping[str, object]) -> None:
        """Set properties of a DN's entity. Its Id and number stay as they are."""
        entity.update(
            {name: value for name, value in values.items() if name not in ("Id", "Number")}
        )
        self._changed(entity["Number"])

    def remove(self, number: str) -> None:
        """Delete a DN and all that refers to it. Raises KeyError if there is none."""
        kind, entity = self._by_number.pop(number)
        del self.store(kind)[entity["Id"]]
        self._devices.pop(number, None)
        for other_kind, other in self._by_number.values():
            for name in _REFERENCES.get(other_kind, ()):
                other[name] = [row for row in other[name] if row["Number"] != number]
        if kind == "externalline":
            self._forget_dids(entity["Id"])
            for rule in self.rules(number):
                del self.inbound_rules[rule["Id"]]
        self._changed(number)

    def remove_group(self, group_id: int) -> None:
        """Delete a department and all memberships in it. Raises KeyError if there is none."""
        del self.groups[group_id]
        for _, entity in self._by_number.values():
            entity["Groups"] = [row for row in entity["Groups"] if row["GroupId"] != group_id]

    def set_devices(self, number: str, devices: Iterable[Device]) -> None:
        """Register an extension's devices. Without devices it is unregistered."""
        self._devices[number] = tuple(devices)
        user = self._by_number[number][1]
        self.update(user, {"IsRegistered": bool(self._devices[number])})

    def add_system(
        self, number: str, kind: Literal["conference", "specialmenu"], name: str
    ) -> None:
        """Add a DN of the system itself. No collection lists it."""
        self.add(
            kind, {"Id": 0, "Number": number, "Name": name, "IsRegistered": True, "Groups": []}
        )

    # internal

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _changed(self, number: str) -> None:
        for listener in self._listeners:
            listener(number)

    def _row_numbers(self, kind: DnKind, number: str, name: str) -> list[str]:
        found = self._by_number.get(number)
        return _numbers(found[1][name]) if found and found[0] == kind else []

    def _forget_dids(self, trunk_id: int) -> None:
        for key in [key for key, row in self.did_numbers.items() if row["TrunkId"] == trunk_id]:
            del self.did_numbers[key]


def _dn(kind: DnKind, entity: Entity) -> Dn:
    match kind:
        case "extension":
            name = entity["DisplayName"]
        case "externalline":
            name = entity["Gateway"]["Name"]
        case "routepoint" | "parking" | "fax":
            name = entity["Number"]
        case _:
            name = entity["Name"]
    return Dn(entity["Number"], kind, name, entity["Id"])


def _numbers(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return [row["Number"] for row in rows]
