"""Define the summary of a PBX: the small entity of the topic ``pbxs``. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

PbxConnection: TypeAlias = Literal["connecting", "connected", "lost", "silent", "unknown"]
PbxAlarm: TypeAlias = Literal["connection", "lines", "licence"]


class PbxSummary(Struct, frozen=True, gc=False, rename="camel"):
    """A PBX in short. Topic ``pbxs``; the id is its name.

    A gateway derives it from all that it holds of the PBX. Counts are null for a key that is
    limited, and while nothing is known of the PBX.
    """

    name: str
    connection: PbxConnection
    """The connection as in ``system``; ``silent`` while the monitor is not heard, ``unknown`` until
    this gateway has heard of the PBX. Other fields are as last known."""
    since: str | None
    """Time since which ``connection`` holds; null if it is unknown."""
    reason: str = ""
    """The trouble, in words, as in ``system``."""
    version: str = ""
    licence_limit: int | None = None
    """Simultaneous calls that the licence allows; null if the PBX does not tell."""
    calls: int | None = None
    """Calls now passing through the PBX."""
    waiting: int | None = None
    """Callers waiting in its queues."""
    waiting_since: str | None = None
    """Time since which the one who has waited longest waits; null if nobody waits."""
    lines_used: int | None = None
    """Calls on its trunks."""
    lines_total: int | None = None
    """Simultaneous calls that its trunks allow; null if the PBX does not tell."""
    alarms: tuple[PbxAlarm, ...] = ()
    """Troubles: ``connection``, if it is not connected; ``lines``, if a trunk is not
    registered; ``licence``, if as many calls as it allows are under way."""
