"""What a key that is limited to extensions, queues or ring groups may change. Pure.

The limits that hold for what it sees hold for what it does: every number that it names must be one that it sees, and a
command that names none of its own reaches beyond its limits. So do makecall's second leg and a status's text not: they
say what its own extension does.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import KeyLimited, NotFound, UnknownExtension, UnknownGroup, UnknownQueue
from gateway.operations.operation_table import Command
from gateway.parameters import Parameter, quoted
from gateway.queries.context import QueryContext
from gateway.queries.statistics import pbx_stats
from monitor.shared.command_messages import VISIBLE
from monitor.shared.entities.topics import Entity, Extension, Queue, RingGroup

_TOPICS: Final[dict[str, tuple[type[Entity], type[NotFound], str]]] = {
    "extensions": (Extension, UnknownExtension, "extension"),
    "queues": (Queue, UnknownQueue, "queue"),
    "groups": (RingGroup, UnknownGroup, "ring group"),
}


def goes_beyond(command: Command) -> bool:
    """Whether this reaches beyond the limits of every limited key."""
    return command.query is pbx_stats or (command.changes and not _named(command))


def check_limits(command: Command, asked: QueryContext) -> None:
    """Raises KeyLimited, UnknownExtension, UnknownQueue or UnknownGroup if the key's limits forbid this."""
    if not asked.visibility.limits.any:
        return
    if goes_beyond(command):
        raise KeyLimited(f"This key is limited to some extensions, queues or groups; {command.name} goes beyond.")
    for parameter in _named(command):
        kind, unknown, word = _TOPICS[parameter.topic]
        for number in (asked.arguments.optional(parameter.name) or "").split(","):
            if number.strip() and asked.one(parameter.topic, kind, number.strip()) is None:
                raise unknown(f"There is no {word} {quoted(number.strip())}.")


def sent_arguments(command: Command, asked: QueryContext) -> dict[str, str]:
    """Return the arguments for the monitor, with the extensions that a limited key sees where a list is replaced.

    The monitor keeps the members that are not among these, by what the PBX has at that moment.
    """
    arguments = dict(asked.arguments.values)
    limits = asked.visibility.limits
    if limits.any and any(parameter.kind == "dns" for parameter in command.parameters):
        arguments[VISIBLE] = ",".join(sorted(limits.extensions or ()))
    return arguments


def _named(command: Command) -> list[Parameter]:
    return [parameter for parameter in command.parameters if parameter.topic]
