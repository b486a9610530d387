"""Describe the served entity types: properties, navigation and secrets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity, EntityType, tables
from monitor.simulator.xapi import derived_entities
from monitor.simulator.xapi.description.schema import new_entity, schema, value_type

Related: TypeAlias = Callable[[Directory, Entity], Any]


@dataclass(frozen=True, slots=True)
class Navigation:
    """Represent a property that leads to other entities.

    ``related`` returns a list of them; if not ``many``, one entity or None.
    """

    shape: str
    related: Related
    many: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """Represent an entity type.

    ``secrets`` are answered as null. ``computed`` properties are made when they are read.
    """

    name: str
    fields: tuple[str, ...]
    navigation: Mapping[str, Navigation] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    computed: Mapping[str, Related] = field(default_factory=dict)

    @property
    def known(self) -> frozenset[str]:
        """Return the names of all properties."""
        return frozenset((*self.fields, *self.navigation))


_RELATED: Final[Mapping[str, Related]] = {
    "Groups": derived_entities.memberships,
    "Group/Groups": lambda _, group: group["Groups"],
    "Queue/Agents": derived_entities.agents,
    "Queue/Managers": lambda d, queue: derived_entities.people(d, queue["Managers"]),
    "RingGroup/Members": lambda d, group: derived_entities.people(d, group["Members"]),
    "Trunk/RoutingRules": lambda d, trunk: d.rules(trunk["Number"]),
    "Group/Members": lambda d, group: derived_entities.members(d, group["Id"]),
    "InboundRule/TrunkDN": lambda d, rule: derived_entities.peer_of(d, rule["TrunkDN"]["Number"]),
    "DidNumber/RoutingRule": derived_entities.rule_of_did,
    "SipDevice/DN": lambda d, device: derived_entities.peer_of(d, device["DN"]),
    "ServicePrincipal/Peers": lambda d, principal: derived_entities.peers(
        d, [row["Number"] for row in principal["Peers"]]
    ),
    "Peer/MemberOf": lambda d, peer: derived_entities.peer_groups(d, peer["Number"]),
}
"""Functions that make a navigation property's rows, of one type or of all.

Other rows are stored as they are answered.
"""

_COMPUTED: Final[Mapping[str, Mapping[str, Related]]] = {
    "Group": {"HasMembers": lambda d, group: derived_entities.has_members(d, group["Id"])}
}


def _shape(name: str, kind: EntityType) -> Shape:
    navigation = {
        key: Navigation(
            target.strip("[]"),
            _RELATED.get(f"{name}/{key}") or _RELATED.get(key) or _stored(key, target),
            target.startswith("["),
        )
        for key, target in {**_links(name), **kind.navigation}.items()
    }
    fields = tuple(key for key in kind.properties if key not in navigation)
    return Shape(name, fields, navigation, kind.searched, kind.secrets, _COMPUTED.get(name, {}))


def _stored(name: str, target: str) -> Related:
    if target == "Peer":
        return lambda d, entity: (
            derived_entities.peer_of(d, entity[name]["Number"]) if entity[name] else None
        )
    empty: Any = [] if target.startswith("[") else None
    return lambda _, entity: entity.get(name, empty)


def _described(name: str) -> EntityType:
    """Return a type that has no template: its properties are empty, and its texts are searched."""
    kinds = {key: value_type(text) for key, text in schema().entities[f"Pbx.{name}"].items()}
    texts = (key for key, kind in kinds.items() if kind.name == "string" and not kind.form)
    return EntityType(new_entity(name), _links(name), tuple(texts))


def _links(name: str) -> dict[str, str]:
    """Return the navigation properties of a type that the official file has, with their targets."""
    kinds = {key: value_type(text) for key, text in schema().entities[f"Pbx.{name}"].items()}
    return {
        key: f"[{target}]" if kind.many else target
        for key, kind in kinds.items()
        for target in (kind.name.removeprefix("Pbx."),)
        if kind.navigation
    }


SHAPES: Final[Mapping[str, Shape]] = {
    name: _shape(name, tables().types.get(name) or _described(name))
    for name in (key.removeprefix("Pbx.") for key in schema().entities)
}
"""Entity types by name."""
