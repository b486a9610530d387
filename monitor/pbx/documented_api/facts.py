"""What a service that speaks the documented interface told: facts for :mod:`monitor.tracking.webapi_tracker`. Pure.

Directory, contacts, logins and connection are the same facts as those of a 3CX; calls are told as they are to be shown.
``at`` is POSIX seconds on the service's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from monitor.pbx.facts import ConnectionChanged, ContactChanged, ContactsRead, DirectoryRead, QueueLoginsRead
from monitor.shared.entities.topics import CallState, Direction, EndedCall, Leg


@dataclass(frozen=True, slots=True)
class ToldInfo:
    """What ``pbx.callsinfo.get`` says of a call. Times are POSIX seconds, None if it tells none."""

    state: CallState
    started_at: float | None
    answered_at: float | None
    owner: Leg | None
    talk_to: tuple[Leg, ...]
    routing_to: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class ToldCall:
    """A call. ``direction``: None where ``pbx.ac.get`` does not tell of it; ``info``: None where the other does not."""

    id: int
    legs: tuple[Leg, ...]
    direction: Direction | None
    did: str
    info: ToldInfo | None


@dataclass(frozen=True, slots=True)
class CallsTold:
    """All calls that go on."""

    calls: tuple[ToldCall, ...]
    at: float


@dataclass(frozen=True, slots=True)
class EndedTold:
    """Calls that ended, where the service keeps a list of them."""

    ended: tuple[EndedCall, ...]
    at: float


@dataclass(frozen=True, slots=True)
class BusyTold:
    """Extensions that are in a call; None: what they do is told by the calls."""

    numbers: frozenset[str] | None
    at: float


ToldFact: TypeAlias = (
    DirectoryRead
    | ContactsRead
    | ContactChanged
    | QueueLoginsRead
    | ConnectionChanged
    | CallsTold
    | EndedTold
    | BusyTold
)
