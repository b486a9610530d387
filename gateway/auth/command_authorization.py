"""Check what a key that is limited to extensions, queues or ring groups may change. Pure.

The limits of what a key sees are also the limits of what it does. Every number that a command
names must be one that the key sees. A command that names no number of its own goes beyond the
limits. Two parameters are not checked, because they only say what the key's own extension does:
the second leg of makecall, and the text of a status.
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
    """Return whether this command goes beyond the limits of every limited key."""
    return command.query is pbx_stats or (command.changes and not _named(command))


def check_limits(command: Command, asked: QueryContext) -> None:
    """Raise a refusal if the key's limits forbid this command.

    It is KeyLimited, UnknownExtension, UnknownQueue or UnknownGroup.
    """
    if not asked.visibility.limits.any:
        return
    if goes_beyond(command):
        raise KeyLimited(
            f"This key is limited to some extensions, queues or groups; {command.name} covers "
            f"more than these."
        )
    for parameter in _named(command):
        kind, unknown, word = _TOPICS[parameter.topic]
        for number in (asked.arguments.optional(parameter.name) or "").split(","):
            if number.strip() and asked.one(parameter.topic, kind, number.strip()) is None:
                raise unknown(f"There is no {word} {quoted(number.strip())}.")


def sent_arguments(command: Command, asked: QueryContext) -> dict[str, str]:
    """Return the command's arguments for the monitor.

    If a limited key replaces a list, the extensions that it sees are added. The monitor keeps
    the members that are not among these, as the PBX has them at that moment.
    """
    arguments = dict(asked.arguments.values)
    limits = asked.visibility.limits
    if limits.any and any(parameter.kind == "dns" for parameter in command.parameters):
        arguments[VISIBLE] = ",".join(sorted(limits.extensions or ()))
    return arguments


def _named(command: Command) -> list[Parameter]:
    return [parameter for parameter in command.parameters if parameter.topic]
