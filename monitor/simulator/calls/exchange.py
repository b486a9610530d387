"""Hold all calls, legs and participants of the simulated PBX and send events of their changes.

An operation changes legs and then *commits* the calls that it touched. Changes become visible only
at the commit. It compares what Call Control shows of these calls with what it showed before, and
sends each difference to the listeners, after all state is updated. So a table kept from events and
reads is wrong only while an event is on its way. The cost of a commit depends on the number of legs
in the committed calls, not on the number of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls import ground_truth as truth
from monitor.simulator.calls import views as projection
from monitor.simulator.calls.acts import Act, Deed
from monitor.simulator.calls.api_rows import ParticipantView, Status, Word
from monitor.simulator.calls.ground_truth import TruthEnded
from monitor.simulator.calls.model import DeviceLeg, OperationRefused, SimulatedCall, SimulatedLeg
from monitor.simulator.pbx_data.directory import Device, Directory, Dn

ENDED_KEPT: Final = 50_000
"""Number of ended calls that are remembered; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class ParticipantUpsert:
    """Report that a participant is new, or that a shown property of it has changed."""

    dn: str
    participant_id: int


@dataclass(frozen=True, slots=True)
class ParticipantRemove:
    """Report that a participant is gone."""

    dn: str
    participant_id: int


Event: TypeAlias = ParticipantUpsert | ParticipantRemove


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """Report that the party connected to a route point has pressed keys."""

    dn: str
    participant_id: int
    keys: str


@dataclass(frozen=True, slots=True)
class PromptPlayed:
    """Report that a participant of a route point has heard to the end what a program played."""

    dn: str
    participant_id: int


Signal: TypeAlias = KeysPressed | PromptPlayed


class Exchange:
    """Hold calls by id, legs by DN and participants by id. ``clock`` returns POSIX seconds."""

    def __init__(
        self, directory: Directory, switches: Switches, clock: Callable[[], float]
    ) -> None:
        self.directory = directory
        self.switches = switches
        self.clock = clock
        self.committed_at = 0.0
        """POSIX seconds of the latest commit."""
        self.calls: dict[int, SimulatedCall] = {}
        self._by_dn: dict[str, dict[int, SimulatedLeg]] = {}
        self._parts: dict[int, SimulatedCall] = {}
        self._ended: deque[tuple[SimulatedCall, TruthEnded]] = deque(maxlen=ENDED_KEPT)
        self._over: dict[int, SimulatedCall] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._signal_listeners: list[Callable[[Signal], None]] = []
        self._idle_listeners: list[Callable[[str], None]] = []
        self._act_listeners: list[Callable[[Act], None]] = []
        self._idled: list[str] = []
        self._next_call = self._next_part = 1

    # subscriptions

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Register a callable that receives every event of every DN, in order, as it happens.

        The callable must not change calls.
        """
        self._listeners.append(callback)

    def unlisten(self, callback: Callable[[Event], None]) -> None:
        """Remove a callable that :meth:`listen` registered."""
        self._listeners.remove(callback)

    def on_signal(self, callback: Callable[[Signal], None]) -> None:
        """Register a callable that receives the signals of route points' participants.

        A signal changes no participant: keys were pressed, or a prompt has ended.
        """
        self._signal_listeners.append(callback)

    def on_idle(self, callback: Callable[[str], None]) -> None:
        """Register a callable that receives the number of each DN that has left its last call.

        The callable must not change calls.
        """
        self._idle_listeners.append(callback)

    def on_act(self, callback: Callable[[Act], None]) -> None:
        """Register a callable that receives every act, in order, as it is done.

        An act comes before the events of the commit that it belongs to. Nothing is recorded here:
        without such a callable there is no journal. The callable must not change calls.
        """
        self._act_listeners.append(callback)

    # look-ups

    def busy(self, number: str) -> bool:
        """Return whether a DN has a leg in any call."""
        return number in self._by_dn

    def in_use(self, number: str) -> int:
        """Return the number of calls in which a DN has a leg."""
        return len(self._by_dn.get(number, ()))

    # for the operations

    def _note(
        self,
        deed: Deed,
        call: SimulatedCall,
        dn: Dn | None = None,
        *,
        number: str = "",
        to: str = "",
        other: int = 0,
    ) -> None:
        """Tell the listeners of an act."""
        if self._act_listeners:
            name, kind = (dn.number, dn.kind) if dn is not None else ("", None)
            self._tell_act(Act(self.clock(), deed, call.id, name, kind, number, to, other))

    def _open(self, dn: Dn, number: str, dialled: str, *, external: bool) -> SimulatedCall:
        """Make a call. It stays invisible until it is committed."""
        now = self.clock()
        call = SimulatedCall(
            self._next_call,
            external,
            dn.number,
            number,
            dialled,
            now,
            changed_at=now,
            established_at=now,
        )
        self._next_call += 1
        self.calls[call.id] = call
        return call

    def _add(
        self,
        call: SimulatedCall,
        leg: SimulatedLeg,
        device_id: str | None = None,
        deed: Deed = "entered",
    ) -> SimulatedLeg:
        """Add a leg to a call, at one device or at all devices of its DN (None).

        A leg has no device if its DN cannot call. Neither has a queue or a menu that is called.
        ``deed``: the way in which a leg came that is connected at once.
        """
        number = leg.dn.number
        if leg.ringing:
            self._note("ringing", call, leg.dn, number=leg.outside, to=leg.behalf)
        elif leg.connected:
            self._note(deed, call, leg.dn, to=leg.listens_to)
        for device in self._devices(leg.dn, device_id):
            self._attach(call, leg, device)
        call.legs[number] = leg
        self._by_dn.setdefault(number, {})[call.id] = leg
        return leg

    def _take(self, call: SimulatedCall, leg: SimulatedLeg) -> None:
        """Remove a leg from a call."""
        if not call.over:
            self._note("silent" if leg.ringing else "left", call, leg.dn, number=leg.outside)
        for part in leg.parts:
            self._parts.pop(part.id, None)
        self._unlink(call, leg)

    def _move(self, leg: SimulatedLeg, origin: SimulatedCall, target: SimulatedCall) -> None:
        """Move a leg to another call.

        The switch for attended transfers says whether its participants keep their ids or get new
        ones.
        """
        self._unlink(origin, leg)
        for part in leg.parts:
            if self.switches.attended == "new":
                del self._parts[part.id]
                part.id = self._new_part()
            self._parts[part.id] = target
            part.leg_id = _take_leg_id(target)
        target.legs[leg.dn.number] = leg
        self._by_dn.setdefault(leg.dn.number, {})[target.id] = leg

    def _keep_device(self, leg: SimulatedLeg, device_id: str) -> None:
        """Keep only one device of a leg."""
        kept = next((part for part in leg.parts if part.device_id == device_id), leg.parts[0])
        for part in leg.parts:
            if part is not kept:
                del self._parts[part.id]
        leg.parts = [kept]

    def _lose_part(self, leg: SimulatedLeg, part: DeviceLeg) -> None:
        """Remove one of several devices from a leg."""
        leg.parts.remove(part)
        del self._parts[part.id]

    def _say(self, call: SimulatedCall, word: Word) -> None:
        """Set the call's state."""
        if call.state != word:
            call.state, call.changed_at = word, self.clock()

    def _commit(self, *calls: SimulatedCall) -> None:
        """Show the present state of these calls and send the events of what changed."""
        now = self.committed_at = self.clock()
        upserts: list[Event] = []
        removes: list[Event] = []
        for call in calls:
            truth.remember(call, now)
            call.row = None
            shown = {view.id: view for view in projection.views(call, self.directory)}
            before, call.views = call.views, shown
            upserts += [
                ParticipantUpsert(v.dn, v.id) for v in shown.values() if before.get(v.id) != v
            ]
            removes += [
                ParticipantRemove(v.dn, v.id) for v in before.values() if v.id not in self._parts
            ]
        for event in (*upserts, *removes):
            self._tell(event)
        self._tell_idle()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _finish(self, call: SimulatedCall) -> None:
        """End a call: record its truth and remove all its legs. Commit it afterwards."""
        self._remember_end(call)
        self._close(call)

    def _remember_end(self, call: SimulatedCall, *, told: bool = True) -> None:
        self._note("ended", call)
        call.last_row = call.row
        if told:
            self._ended.append((call, truth.truth_of_end(call, self.clock())))
        self._over[call.id] = call
        if len(self._over) > ENDED_KEPT:
            del self._over[next(iter(self._over))]

    def _close(self, call: SimulatedCall) -> None:
        call.over = True
        for leg in list(call.legs.values()):
            self._take(call, leg)
        del self.calls[call.id]

    def _forget(self) -> None:
        """Drop everything without an event, as a restart of the process does. Ids begin again."""
        for call in self.calls.values():
            call.over = True
        self.calls.clear()
        self._over.clear()
        self._by_dn.clear()
        self._parts.clear()
        self._idled.clear()
        self._next_call = self._next_part = 1
        if self._act_listeners:
            self._tell_act(Act(self.clock(), "restarted"))

    def _view(self, number: str, participant_id: int) -> ParticipantView | None:
        call = self._parts.get(participant_id)
        view = call.views.get(participant_id) if call is not None else None
        return view if view is not None and view.dn == number else None

    def _part(
        self, number: str, participant_id: int
    ) -> tuple[SimulatedCall, SimulatedLeg, DeviceLeg]:
        """Return a participant with its call and leg. Raises OperationRefused if it is gone."""
        call = self._parts.get(participant_id)
        leg = call.legs.get(number) if call is not None else None
        for part in leg.parts if leg is not None else ():
            if call is not None and leg is not None and part.id == participant_id:
                return call, leg, part
        raise OperationRefused(
            "SubjectNotFound", f"there is no participant {participant_id} of {number}"
        )

    def _note_shown(
        self, call_id: int, numbers: Iterable[str], *, talking: bool, accepted: bool
    ) -> None:
        """Record what an answer has shown of a call.

        ``talking``: it showed that people talk. ``accepted``: it showed that the call was accepted.
        """
        call = self.calls.get(call_id) or self._over.get(call_id)
        if call is not None:
            call.shown.update(number for number in numbers if number)
            now = self.clock()
            call.shown_at = now if call.shown_at is None else call.shown_at
            if talking and call.answered_at is not None and call.answer_shown_at is None:
                call.answer_shown_at = now
            originator = call.legs.get(call.originator)
            call.accepted_shown = call.accepted_shown or (
                accepted and originator is not None and originator.status == "Connected"
            )

    def _leg(self, call: SimulatedCall, number: str, *statuses: Status) -> SimulatedLeg:
        """Return a DN's leg, which must be in one of ``statuses`` if any are given.

        Raises OperationRefused if it is not, or if there is no leg.
        """
        leg = call.legs.get(number)
        if leg is None:
            raise OperationRefused("SubjectNotFound", f"{number} is not in call {call.id}")
        if statuses and leg.status not in statuses:
            raise OperationRefused(
                "NotSpecified", f"{number} is {leg.status}, not {' or '.join(statuses)}"
            )
        return leg

    # internal

    def _devices(self, dn: Dn, device_id: str | None) -> list[Device | None]:
        if dn.kind in ("queue", "ivr"):
            if device_id is None:  # it is called, so it has no telephone
                return [None]
        elif dn.kind not in ("extension", "routepoint"):
            return [None]
        known = self.directory.devices(dn.number)
        if device_id is None:
            return [*known] or [None]
        return [next((device for device in known if device.device_id == device_id), None)]

    def _attach(self, call: SimulatedCall, leg: SimulatedLeg, device: Device | None) -> None:
        direct = device is not None and device.on_desk
        part = DeviceLeg(
            self._new_part(), _take_leg_id(call), device.device_id if device else "", direct
        )
        leg.parts.append(part)
        self._parts[part.id] = call

    def _unlink(self, call: SimulatedCall, leg: SimulatedLeg) -> None:
        number = leg.dn.number
        del call.legs[number]
        legs = self._by_dn[number]
        del legs[call.id]
        if not legs:
            del self._by_dn[number]
            self._idled.append(number)

    def _new_part(self) -> int:
        self._next_part += 1
        return self._next_part - 1

    def _tell_act(self, act: Act) -> None:
        for listener in self._act_listeners:
            listener(act)

    def _tell_idle(self) -> None:
        idled, self._idled = self._idled, []
        for number in idled:
            if number not in self._by_dn:
                for listener in self._idle_listeners:
                    listener(number)


def _take_leg_id(call: SimulatedCall) -> int:
    call.next_leg += 1
    return call.next_leg - 1
