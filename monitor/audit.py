"""The audit log's entries: who did what, from where, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SECRET_ARGUMENTS = frozenset({"authpass", "vmpin"})
MASK = "***"
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command. ``at``: POSIX seconds. ``key``: the key's name. ``client``: the caller's address.

    ``arguments``: as :func:`masked` gives them. ``result``: as :func:`monitor.outcomes.result_of` says.
    """

    at: float
    pbx: str
    key: str
    client: str
    command: str
    arguments: str
    result: str


def masked(arguments: Mapping[str, str]) -> str:
    """The arguments as a line of text without secrets: passwords and PINs are ``***``, long values are cut."""
    shown = {name: MASK if name in SECRET_ARGUMENTS else value for name, value in arguments.items()}
    line = " ".join(f"{name}={value!r}" for name, value in shown.items())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
