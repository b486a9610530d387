"""Keep the collections and settings that are stored just as clients write them.

Which there are follows from the operations in ``schema.json``: every collection and every single
entity for which no other module has rows. ``plain.json`` says what a new entity needs and what a
fresh PBX has.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.description.schema import key_name, new_entity, schema, value_type
from monitor.simulator.xapi.validation import check

Key: TypeAlias = int | str


class PlainRules(msgspec.Struct, frozen=True):
    """Hold the rules of one collection.

    ``required``: properties that a new entity must have. ``unique``: a property of which no two
    entities have the same value. ``defaults``: values of a new entity that are not empty. ``rows``:
    the entities of a fresh PBX.
    """

    required: tuple[str, ...] = ()
    unique: str = ""
    defaults: Entity = {}
    rows: tuple[Entity, ...] = ()


@dataclass(slots=True)
class PlainStore:
    """Hold the entities of all plain collections by key, and the settings by name."""

    _collections: dict[str, dict[Key, Entity]] = field(default_factory=dict)
    _settings: dict[str, Entity] = field(default_factory=dict)
    _last_id: int = 0

    def collection(self, name: str) -> dict[Key, Entity]:
        """Return a collection's entities by key, in the order in which they were created."""
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = {}
            for row in _rules(name).rows:
                self._add(name, _new(name, row))
        return found

    def settings(self, name: str, make: Callable[[], Entity] | None = None) -> Entity:
        """Return a single entity, which ``make`` makes; None: an empty one."""
        found = self._settings.get(name)
        if found is None:
            found = self._settings[name] = make() if make else new_entity(kind_of(name))
        return found

    def create(self, directory: Directory, name: str, body: Any) -> Entity:
        """Create an entity of a collection and return it. Raises ODataError or XapiError."""
        values = _incoming(directory, kind_of(name), body)
        rules, rows = _rules(name), self.collection(name)
        for needed in rules.required:
            if values.get(needed) in (None, ""):
                raise errors.bad(errors.REQUIRED, needed)
        key = key_of(name)
        if isinstance(values.get(key), str) and values[key] in rows:
            raise errors.bad(errors.DUPLICATE, key)
        _check_unique(rules, rows, values, None)
        return self._add(name, _new(name, values))

    def change(self, directory: Directory, name: str, entity: Entity, body: Any) -> None:
        """Set properties of an entity; its key stays. Raises ODataError or XapiError."""
        values, key = _incoming(directory, kind_of(name), body), key_of(name)
        if values.get(key) not in (None, entity[key]):
            raise errors.bad(errors.FORBIDDEN_CHANGE, key)
        _check_unique(_rules(name), self.collection(name), values, entity)
        entity.update({word: value for word, value in values.items() if word != key})

    def _add(self, name: str, entity: Entity) -> Entity:
        rows, key = self.collection(name), key_of(name)
        kind = value_type(schema().entities[f"Pbx.{kind_of(name)}"][key])
        if kind.name == "integer":
            self._last_id += 1
            entity[key] = self._last_id
        elif not entity[key]:
            entity[key] = secrets.token_hex(8)
        rows[entity[key]] = entity
        return entity


def change_settings(directory: Directory, kind: str, entity: Entity, body: Any) -> None:
    """Set properties of a single entity of a type. Raises ODataError or XapiError."""
    values = _incoming(directory, kind, body)
    entity.update({name: value for name, value in values.items() if name != "Id"})


def kind_of(name: str) -> str:
    """Return the entity type of a collection or single entity."""
    return value_type(schema().operations[f"GET /{name}"].split(" ")[1]).name.removeprefix("Pbx.")


def key_of(name: str) -> str:
    """Return the name of the property by which a collection's entities are found."""
    return key_name(f"Pbx.{kind_of(name)}")


@cache
def _table() -> dict[str, PlainRules]:
    path = Path(__file__).with_name("plain.json")
    return msgspec.json.decode(path.read_bytes(), type=dict[str, PlainRules])


def _rules(name: str) -> PlainRules:
    return _table().get(name, PlainRules())


def _new(name: str, values: Entity) -> Entity:
    return new_entity(kind_of(name), **{**_rules(name).defaults, **values})


def _check_unique(
    rules: PlainRules, rows: dict[Key, Entity], values: Entity, own: Entity | None
) -> None:
    value = values.get(rules.unique)
    if value and any(row[rules.unique] == value for row in rows.values() if row is not own):
        raise errors.bad(errors.DUPLICATE, rules.unique)


def _incoming(directory: Directory, kind: str, body: Any) -> Entity:
    """Return the checked properties. A link to a peer must name a number that exists."""
    values = check(kind, body)
    properties = schema().entities[f"Pbx.{kind}"]
    for name, value in values.items():
        if value_type(properties[name]).name == "Pbx.Peer" and value is not None:
            number = value.get("Number") if isinstance(value, dict) else None
            if not isinstance(number, str) or directory.dn(number) is None:
                raise errors.bad(errors.NOT_FOUND, name)
            values[name] = {"Number": number}
    return values
