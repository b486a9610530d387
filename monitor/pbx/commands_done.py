"""What a command came to: its reply, and what must be read again to show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Touched:
    """What a command changed at the PBX.

    ``users``: numbers. ``queues``, ``ring_groups``, ``departments``, ``logins`` (to single queues): whether any of
    these. ``contacts``: ids.
    ``participant``: DN and id of a call's first leg.
    """

    users: frozenset[str] = frozenset()
    queues: bool = False
    ring_groups: bool = False
    departments: bool = False
    logins: bool = False
    contacts: frozenset[int] = frozenset()
    participant: tuple[str, int] | None = None

    @property
    def directory(self) -> bool:
        """Whether anything of the directory."""
        return bool(self.users) or self.queues or self.ring_groups or self.departments


@dataclass(frozen=True, slots=True)
class Done:
    """``reply``: the documented reply's fields beside ``result``."""

    touched: Touched
    reply: Mapping[str, object] = field(default_factory=dict)


def replied(unsupported: list[str], **more: object) -> dict[str, object]:
    """A reply that names the fields that could not be set, if there are any."""
    return {**more, **({"unsupported": unsupported} if unsupported else {})}
