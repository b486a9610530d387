"""Describe the result of a command: its reply, and what must be read again to show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Name what a command changed at the PBX.

    ``users``, ``queues``, ``ring_groups``: their numbers. ``contacts``: ids. ``call``: the DN of a
    call's first leg, and the id of its participant if Call Control shows it.
    """

    users: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    ring_groups: frozenset[str] = frozenset()
    contacts: frozenset[int] = frozenset()
    call: tuple[str, int | None] | None = None

    @property
    def directory(self) -> bool:
        """Return whether a part of the directory changed."""
        return bool(self.users or self.queues or self.ring_groups)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Hold what a command changed, and its reply.

    ``reply``: the documented reply's fields beside ``result``. ``ordered``: id of a call that the
    PBX makes, the extension that calls, and the number that it calls.
    """

    touched: ReadBack
    reply: Mapping[str, object] = field(default_factory=dict)
    ordered: tuple[int, str, str] | None = None


def replied(unsupported: list[str], **more: object) -> dict[str, object]:
    """Return a reply; it names the fields that could not be set, if there are any."""
    return {**more, **({"unsupported": unsupported} if unsupported else {})}
