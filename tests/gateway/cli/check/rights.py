"""Users of Redis that lack rights."""

from __future__ import annotations

from gateway.cli.check.redis_permissions import ALONE, NEEDED, Program
from tests.deploy.secured import SecuredBus

NONE = "resetpass resetkeys resetchannels -@all"


def given(rule: str) -> str:
    """As it stands in the users' file."""
    return rule if rule in ALONE else f"({rule})"


async def user(bus: SecuredBus, program: Program, *, without: str) -> str:
    """Make one with all rights of the program but this; its name."""
    rights = [part for rule in NEEDED[program] if rule != without for part in given(rule).split()]
    selectors: list[str] = []
    for part in rights:  # each pair of parentheses is one argument
        if selectors and selectors[-1].startswith("(") and not selectors[-1].endswith(")"):
            selectors[-1] += f" {part}"
        else:
            selectors.append(part)
    await bus.ask(
        "looking",
        "ACL",
        "SETUSER",
        "lacking",
        "reset",
        "on",
        ">looking",
        "resetchannels",
        "-@all",
        *selectors,
    )
    return "lacking"
