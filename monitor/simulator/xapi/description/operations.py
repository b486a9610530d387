"""Tell the operations of the XAPI apart: lists, entities, functions and actions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from monitor.simulator.xapi.description.schema import ValueType, schema, value_type

_ADDRESS: Final = re.compile(r"/(?P<owner>\w+)(?:\((?P<key>[^)]*)\))?(?:/(?P<below>.*))?")


@dataclass(frozen=True, slots=True)
class Described:
    """Represent one operation.

    ``owner``: the collection or single entity. ``keyed``: it is done with one entity of a
    collection. ``name``: what follows the owner: a navigation property, a function or an action.
    ``answer``: type of the answer; its name is empty if there is no body.
    """

    method: str
    path: str
    owner: str
    keyed: bool
    name: str
    status: int
    answer: ValueType
    parameters: Mapping[str, str]

    @property
    def invoked(self) -> bool:
        """Return whether it is a function or an action."""
        return self.name.startswith("Pbx.")

    @property
    def lists(self) -> bool:
        """Return whether it reads a whole collection or a single entity."""
        return self.method == "GET" and not self.keyed and not self.name


@cache
def described() -> tuple[Described, ...]:
    """Return all operations that are served."""
    return tuple(_described(text, answer) for text, answer in schema().operations.items())


@cache
def invoked() -> Mapping[tuple[str, str], Described]:
    """Return the functions and actions by owner and name."""
    return {(one.owner, one.name): one for one in described() if one.invoked}


def _described(text: str, answer: str) -> Described:
    method, path = text.split(" ")
    status, _, kind = answer.partition(" ")
    found = _ADDRESS.fullmatch(path)
    if found is None:
        msg = f"schema.json has an address that cannot be read: {path}"
        raise ValueError(msg)
    return Described(
        method,
        path,
        found["owner"],
        found["key"] is not None,
        (found["below"] or "").split("(")[0],
        int(status),
        value_type(kind),
        schema().parameters.get(text, {}),
    )
