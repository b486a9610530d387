"""Read command lines of units, manifests and the README with callmon's own parser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import app


def parsed(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Command and options of ``callmon ARGUMENTS``, without running it.

    Raises what the parser raises.
    """
    command: Any = typer.main.get_command(app)
    name, left = "callmon", list(arguments)
    context = command.make_context(name, left.copy(), resilient_parsing=True)
    while isinstance(command, TyperGroup):
        assert left, f"{name} needs a command"
        name = left.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
        if not isinstance(command, TyperGroup):
            context = command.make_context(name, left.copy())
    return name, context.params
