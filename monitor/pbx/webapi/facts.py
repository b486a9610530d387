"""Define the facts that a service with the documented interface tells. Pure.

They are for :mod:`monitor.tracking.webapi_tracker`. Directory, contacts, logins and connection are
the same facts as those of a 3CX. Calls are told as they are to be shown. ``at`` is POSIX seconds
on the service's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from monitor.pbx.facts import (
    ConnectionChanged,
    ContactChanged,
    ContactsRead,
    DirectoryRead,
    QueueLoginsRead,
)
from monitor.shared.entities.topics import CallState, Direction, EndedCall, Leg


@dataclass(frozen=True, slots=True)
class ToldInfo:
    """Hold what ``pbx.callsinfo.get`` says of a call.

    Times are POSIX seconds, or None if it tells none.
    """

    state: CallState
    started_at: float | None
    answered_at: float | None
    owner: Leg | None
    talk_to: tuple[Leg, ...]
    routing_to: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class ToldCall:
    """Represent a call.

    ``direction`` is None if ``pbx.ac.get`` does not tell of the call. ``info`` is None if
    ``pbx.callsinfo.get`` does not.
    """

    id: int
    legs: tuple[Leg, ...]
    direction: Direction | None
    did: str
    info: ToldInfo | None


@dataclass(frozen=True, slots=True)
class CallsTold:
    """Hold all calls that go on."""

    calls: tuple[ToldCall, ...]
    at: float


@dataclass(frozen=True, slots=True)
class EndedTold:
    """Hold calls that ended, if the service keeps a list of them."""

    ended: tuple[EndedCall, ...]
    at: float


@dataclass(frozen=True, slots=True)
class BusyTold:
    """Hold the extensions that are in a call; None if the calls themselves tell that."""

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
