"""Check what a key that is limited to extensions, queues or ring groups may change. Pure.

The limits of what a key sees are also the limits of what it does. Every number that a command
names must be one to which the key is limited: whether the PBX has it is the PBX's to say. A command
that names no number of its own goes beyond the limits. Two parameters are not checked, because they
only say what the key's own number does: the second leg of makecall, and the text of a status.

A call may begin at an extension or a queue of the key. Route points and IVRs are in no topic that a
limited key sees; one may call for it if its number is listed among the key's extensions.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import KeyLimited, NotFound, UnknownExtension, UnknownGroup, UnknownQueue
from gateway.operations.operation_table import Command
from gateway.parameters import Parameter, quoted
from gateway.queries.context import QueryContext
from gateway.queries.statistics import pbx_stats
from monitor.shared.command_messages import VISIBLE

_TOPICS: Final[dict[str, tuple[type[NotFound], str]]] = {
    "extensions": (UnknownExtension, "extension"),
    "queues": (UnknownQueue, "queue"),
    "groups": (UnknownGroup, "ring group"),
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
        mine = frozenset[str]().union(
            *(getattr(asked.visibility.limits, topic) or () for topic in parameter.topics)
        )
        for number in (asked.arguments.optional(parameter.name) or "").split(","):
            if number.strip() and number.strip() not in mine:
                raise _unknown(parameter, number.strip())


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
    return [parameter for parameter in command.parameters if parameter.topics]


def _unknown(parameter: Parameter, number: str) -> NotFound:
    words = " or ".join(_TOPICS[topic][1] for topic in parameter.topics)
    return _TOPICS[parameter.topics[0]][0](f"There is no {words} {quoted(number)}.")
