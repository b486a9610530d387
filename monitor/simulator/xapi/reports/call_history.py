"""Keep the past calls of the simulated PBX, leg by leg, as its events told them.

Every leg is kept from the event that first names it to the one that removes it. So the reports rest
on what happened and not on what a scenario meant to do. A telephone that rings twice has two legs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from monitor.simulator.calls.switchboard import Event, ParticipantUpsert, ParticipantView
from monitor.simulator.pbx_data.directory import Directory, Dn

CALLS_KEPT: Final = 50_000
"""Number of past calls that are kept; the oldest are forgotten first."""
RECORDINGS_KEPT: Final = 10_000
"""Number of recordings that are kept; the oldest are forgotten first."""


class Participants(Protocol):
    """Describe what the history needs of the switchboard.

    ``committed_at``: POSIX seconds of the change that the present event tells.
    """

    committed_at: float

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Register a callable that receives every event."""

    def participant(self, number: str, participant_id: int) -> ParticipantView | None:
        """Return one participant of a DN, or None if it is gone."""


@dataclass(frozen=True, slots=True)
class PastParty:
    """Represent the other side of a leg when the leg began."""

    dn: str
    number: str
    name: str


@dataclass(slots=True, eq=False)
class PastLeg:
    """Represent a DN's part in a past call. Times are POSIX seconds.

    ``number``: the number outside of a trunk's leg, else the DN's. ``behalf``: DN of the queue or
    ring group for which it rang. ``did``: the number that the caller outside dialled, at an
    extension's leg. ``connected`` None: it never was. ``recorded``: its talk is recorded.
    """

    serial: int
    dn: Dn
    number: str
    party: PastParty
    behalf: str
    began: float
    did: str = ""
    connected: float | None = None
    ended: float | None = None
    recorded: bool = False
    parts: set[int] = field(default_factory=set)

    @property
    def rang(self) -> float:
        """Return the seconds until it was connected, or for which it rang in vain."""
        until = self.connected if self.connected is not None else self.ended
        return max(0.0, (until or self.began) - self.began)

    @property
    def talked(self) -> float:
        """Return the seconds for which it was connected."""
        if self.connected is None or self.ended is None:
            return 0.0
        return max(0.0, self.ended - self.connected)


@dataclass(slots=True, eq=False)
class PastCall:
    """Represent a call. ``legs``: oldest first; the first is that of the caller.

    ``ended`` None: it still goes on. ``joined``: the call to which its party was handed over.
    """

    call_id: int
    serial: int
    began: float
    legs: list[PastLeg] = field(default_factory=list)
    ended: float | None = None
    joined: PastCall | None = None

    @property
    def main(self) -> PastCall:
        """Return the call in which it went on, or itself."""
        return self if self.joined is None or self.joined is self else self.joined

    @property
    def direction(self) -> str:
        """Return ``Inbound``, ``Outbound`` or ``Internal``."""
        if self.legs[0].dn.kind == "externalline":
            return "Inbound"
        outside = any(leg.dn.kind == "externalline" for leg in self.legs)
        return "Outbound" if outside else "Internal"


class CallHistory:
    """Follow the events of all DNs and keep the calls that are over.

    All that happened in one change has the same time.
    """

    def __init__(self, participants: Participants, directory: Directory) -> None:
        self._participants = participants
        self._directory = directory
        self._over: deque[PastCall] = deque(maxlen=CALLS_KEPT)
        self.recordings: dict[int, tuple[PastCall, PastLeg]] = {}
        """Recordings by id, oldest first: the leg's serial, its call and the leg."""
        self._present: dict[int, PastCall] = {}
        self._legs: dict[tuple[int, str], PastLeg] = {}
        self._places: dict[int, tuple[int, str]] = {}
        self._serials = count(1)
        participants.listen(self._heard)

    def between(self, start: float, end: float) -> Iterator[PastCall]:
        """Yield the calls that are over and began in this period, newest first."""
        return (call for call in reversed(self._over) if start <= call.began <= end)

    def lose(self) -> None:
        """Forget the calls that go on, as when the PBX restarts. Ids begin again."""
        self._present.clear()
        self._legs.clear()
        self._places.clear()

    def forget(self) -> None:
        """Delete the calls that are over."""
        self._over.clear()

    def _heard(self, event: Event) -> None:
        if not isinstance(event, ParticipantUpsert):
            self._leave(event.participant_id)
            return
        view = self._participants.participant(event.dn, event.participant_id)
        dn = self._directory.dn(event.dn)
        if view is None or dn is None:
            return
        place = (view.callid, event.dn)
        leg = self._legs.get(place) or self._begin(place, dn, view)
        before = self._places.get(view.id, place)
        if before != place:  # an attended transfer moved it
            self._joined(before[0], place[0])
            self._leave(view.id)
        self._places[view.id] = place
        leg.parts.add(view.id)
        if view.status == "Connected" and leg.connected is None:
            leg.connected = self._participants.committed_at
            leg.recorded = self._is_recorded(dn, self._present[place[0]])

    def _is_recorded(self, dn: Dn, call: PastCall) -> bool:
        user = self._directory.entity(dn.number) if dn.kind == "extension" else None
        if user is None or user["ForbidRecording"] or not user["RecordCalls"]:
            return False
        return call.direction != "Internal" or not user["RecordExternalCallsOnly"]

    def _begin(self, place: tuple[int, str], dn: Dn, view: ParticipantView) -> PastLeg:
        now, (call_id, number) = self._participants.committed_at, place
        call = self._present.get(call_id)
        if call is None:
            call = self._present[call_id] = PastCall(call_id, next(self._serials), now)
        outside = view.party_caller_id if dn.kind == "externalline" else number
        party = PastParty(view.party_dn, view.party_caller_id, view.party_caller_name)
        leg = PastLeg(
            next(self._serials), dn, outside, party, view.on_behalf_of_dn, now, view.party_did
        )
        call.legs.append(leg)
        self._legs[place] = leg
        return leg

    def _leave(self, participant_id: int) -> None:
        place = self._places.pop(participant_id, None)
        leg = self._legs.get(place) if place is not None else None
        if place is None or leg is None:
            return
        leg.parts.discard(participant_id)
        if leg.parts:
            return
        leg.ended = self._participants.committed_at
        del self._legs[place]
        call = self._present[place[0]]
        if all(one.ended is not None for one in call.legs):
            call.ended = leg.ended
            del self._present[call.call_id]
            self._over.append(call)
            self._keep_recordings(call)

    def _keep_recordings(self, call: PastCall) -> None:
        self.recordings.update({leg.serial: (call, leg) for leg in call.legs if leg.recorded})
        while len(self.recordings) > RECORDINGS_KEPT:
            del self.recordings[next(iter(self.recordings))]

    def _joined(self, call_id: int, target: int) -> None:
        call, other = self._present.get(call_id), self._present.get(target)
        if call is not None and other is not None:
            call.joined = other
