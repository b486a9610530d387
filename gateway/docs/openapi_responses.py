"""Describe what commands answer, for the documents: a schema and an example of each. Pure.

The schema of a query or composition comes from its function's return type. The answers of
commands that are carried out at the PBX are written down here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from msgspec import UNSET, Struct, UnsetType

from gateway.docs.openapi_examples import answer_of
from gateway.docs.schemas import Schema, ref, schema_of, schemas_of
from gateway.operations.operation_table import DOCUMENTED, Command
from monitor.shared.codec import from_json, to_json


class Done(Struct, frozen=True):
    """The answer of a command that was carried out."""

    result: bool
    """True. Only ``ext.queueglobal.set`` may answer false.

    It answers false, and changes nothing, where forwarding statuses govern queue login."""


class Changed(Struct, frozen=True):
    """The answer of a command that sets fields."""

    result: bool
    unsupported: tuple[str, ...] | UnsetType = UNSET
    """Fields of the request that this PBX does not have. All others were set."""


class CallMade(Struct, frozen=True, rename="camel"):
    """The answer of ``makecall``."""

    result: bool
    final_status: str
    callid: int | UnsetType = UNSET
    """The call's id, if the PBX tells it."""


class ContactMade(Struct, frozen=True):
    """The answer of ``contact.new``."""

    result: bool
    id: int
    """The new contact's id."""
    unsupported: tuple[str, ...] | UnsetType = UNSET
    """Fields of the request that this PBX does not have. All others were set."""


class Rows(Struct, frozen=True):
    """The answer of ``query``."""

    count: int
    rows: tuple[dict[str, Any], ...]
    """Each row's values by column name; at most as many rows as the request asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold what a command answers.

    ``kinds``: the Structs that its schema refers to. ``example``: None if there is none.
    """

    schema: Schema
    kinds: tuple[type[Struct], ...]
    example: Any


def reply_of(command: Command) -> Reply:
    """Return what the command answers when it succeeds."""
    if command.changes:
        reply = _REPLIES.get(command.name, _DONE)
        return Reply(ref(type(reply)), (type(reply),), from_json(to_json(reply)))
    kind = _returned(command.query or command.composition)
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct:
        return Reply(ref(kind), (kind,), answer_of(command))
    return Reply(_plain(kind), (), answer_of(command))


def without_clashes(
    replies: dict[str, Reply], others: Collection[type[Struct]] = ()
) -> dict[str, Reply]:
    """Return the replies by command, without schemas whose names clash.

    Only a site's own commands can lose their schema: when it has the name of another one.
    ``others``: the Structs of the document that no command replies with.
    """
    own = [name for name in replies if name not in DOCUMENTED]
    kinds = [kind for name, reply in replies.items() if name in DOCUMENTED for kind in reply.kinds]
    kinds.extend(others)
    for name in own:
        if _fit([*kinds, *replies[name].kinds]):
            kinds.extend(replies[name].kinds)
        else:
            replies = replies | {name: Reply({}, (), replies[name].example)}
    return replies


def _returned(function: object) -> object:
    """Return the function's declared return type; ``object`` if it declares none."""
    try:
        return get_type_hints(function).get("return", object)
    except (NameError, TypeError):
        return object


def _plain(kind: object) -> Schema:
    """Return the schema of a type without named parts.

    For a type with named parts, or one that cannot be described, it is the schema of anything.
    """
    try:
        schema = schema_of(kind)
    except (TypeError, ValueError):
        return {}
    return {} if "$ref" in str(schema) else schema


def _fit(kinds: Collection[type[Struct]]) -> bool:
    try:
        names = schemas_of(kinds)
    except (TypeError, ValueError, KeyError):
        return False
    return all(kind.__name__ in names for kind in kinds) and not any("." in name for name in names)


_DONE: Final = Done(True)
_RECORDING: Final = {
    "recording_url": "101/101_103_20260304081502(46874).wav",
    "cl_participants_id": 7,
}
_REPLIES: Final[dict[str, Struct]] = {
    "ext.update": Changed(True, ("reinvite",)),
    "ext.new": Changed(True),
    "contact.update": Changed(True),
    "contact.new": ContactMade(True, 41),
    "makecall": CallMade(True, "Success", 46876),
    "query": Rows(1, (_RECORDING,)),
}
