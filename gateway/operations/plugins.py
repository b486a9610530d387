"""Load a site's own commands from Python's entry points (group ``callmon.commands``).

An entry point names one :class:`gateway.operations.operation_table.Command`, or several. Such a
command is like all others: it has an address, its parameters are checked, it needs its scope,
and it is in the documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points

from gateway.operations.operation_table import Command, register
from monitor.shared.errors import ConfigError

GROUP = "callmon.commands"


def load() -> tuple[str, ...]:
    """Find and add the site's own commands; return their names.

    Raises ConfigError if a command cannot be loaded or does not fit.
    """
    found: list[str] = []
    for point in entry_points(group=GROUP):
        try:
            named = point.load()
            for command in [named] if isinstance(named, Command) else named:
                register(_checked(command))
                found.append(command.name)
        except Exception as error:  # a site's code may raise anything when it is loaded
            raise ConfigError(f"The entry point {point.name} = {point.value}: {error}") from error
    return tuple(found)


def _checked(command: object) -> Command:
    if not isinstance(command, Command):
        kind = "several" if isinstance(command, Iterable) else type(command).__name__
        raise TypeError(f"it must be a Command, or several of them, not {kind}")
    return command
