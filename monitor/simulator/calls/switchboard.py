"""Offer all calls of the simulated PBX: the truth, what its APIs show, and what programs may do.

The steps of calls are in :mod:`monitor.simulator.calls.operations` and ``rare_operations``. This
module adds what Call
Control and the XAPI read and order, and the truth that tests compare with. Call Control's
restrictions:

- ``answer``: a ringing participant whose device can be told to answer, or a route point's.
- ``divert``: a ringing participant.
- ``routeto``: a ringing or connected participant.
- ``transferto``: a participant that talks to exactly one party.
- ``drop``: any participant.
- ``attach_…``: any participant, with keys that begin with ``public_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from monitor.simulator.calls import views as projection
from monitor.simulator.calls.api_rows import ActiveCallRow, ParticipantView
from monitor.simulator.calls.exchange import (
    Event,
    KeysPressed,
    ParticipantRemove,
    ParticipantUpsert,
    PromptPlayed,
    Signal,
)
from monitor.simulator.calls.ground_truth import TruthCall, TruthEnded, truth_of
from monitor.simulator.calls.model import (
    PEOPLE,
    DeviceLeg,
    OperationRefused,
    Reason,
    SimulatedCall,
    SimulatedLeg,
)
from monitor.simulator.calls.rare_operations import RareOperations

__all__ = [
    "ActiveCallRow",
    "CallOutcome",
    "ControlRequest",
    "Event",
    "KeysPressed",
    "ParticipantRemove",
    "ParticipantUpsert",
    "ParticipantView",
    "PromptPlayed",
    "Signal",
    "Switchboard",
]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """Represent the outcome of a request, which is Call Control's result.

    ``participant``: the participant as it is now; None if it is gone.
    """

    finalstatus: Literal["Success", "Failed", "Rejected"]
    reason: Reason = "NotSpecified"
    reasontext: str = ""
    participant: ParticipantView | None = None


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Represent a CallControlRequest. Every field may be missing. ``timeout``: seconds to ring."""

    reason: str = "None"
    destination: str = ""
    timeout: int | None = None
    attached: Mapping[str, str] | None = None


class Switchboard(RareOperations):
    """Run the calls of one PBX. Single-threaded; nothing here waits.

    ``clock`` returns POSIX seconds.
    """

    _on_order: Callable[[SimulatedCall], None] | None = None

    # what the APIs show

    def participants(self, number: str) -> list[ParticipantView]:
        """Return the participants of a DN, those of its oldest call first."""
        return [
            self.calls[call_id].views[part.id]
            for call_id, leg in self._by_dn.get(number, {}).items()
            for part in leg.parts
        ]

    def participant(self, number: str, participant_id: int) -> ParticipantView | None:
        """Return one participant of a DN, or None if it is gone."""
        return self._view(number, participant_id)

    def active_calls(self) -> list[ActiveCallRow]:
        """Return the rows of ActiveCalls, oldest first."""
        return [self._row(call) for call in self.calls.values()]

    def served_participant(self, view: ParticipantView) -> None:
        """Record that an answer or event has shown a participant."""
        connected = view.status == "Connected"
        self._note_shown(
            view.callid,
            (view.dn, view.party_dn),
            talking=connected and view.party_dn_type.removeprefix("W") in PEOPLE,
            accepted=connected or (view.on_behalf_of_dn != "" and self.switches.on_behalf_of),
        )

    def served_rows(self, rows: Iterable[ActiveCallRow]) -> None:
        """Record that an answer has shown rows of ActiveCalls."""
        for row in rows:
            call = self.calls.get(row.id) or self._over.get(row.id)
            hosted = call is not None and call.host is not None and call.host.dn.number in row.dns
            self._note_shown(
                row.id,
                row.dns,
                talking=row.status == "Talking",
                accepted=hosted or row.status in ("Talking", "Transferring"),
            )
            if call is not None and call.served_row is not row:
                call.served_row, call.served_row_at = row, self.clock()

    # the truth

    def truth(self) -> list[TruthCall]:
        """Return every call in progress, oldest first."""
        return [truth_of(call) for call in self.calls.values()]

    def ended(self) -> list[TruthEnded]:
        """Return every call that ended, oldest end first.

        Calls that were lost in a restart never ended, so they are not among them.
        """
        return [
            replace(
                end,
                shown=frozenset(call.shown),
                shown_at=call.shown_at,
                answer_shown_at=call.answer_shown_at,
                last_shown_at=call.served_row_at if call.served_row is call.last_row else None,
            )
            for call, end in self._ended
        ]

    # orders from programs

    def on_order(self, callback: Callable[[SimulatedCall], None]) -> None:
        """Register a callable that receives each call that a program made or changed.

        The callable then plays the people of that call.
        """
        self._on_order = callback

    def makecall(
        self,
        number: str,
        device_id: str | None,
        destination: str,
        timeout: int | None,
        attached: Mapping[str, str],
    ) -> CallOutcome:
        """Call a destination from a device of a DN.

        Without ``device_id`` the DN's phones ring first. ``timeout``: seconds for which the
        destination rings, if somebody plays its people.
        """
        try:
            if number == destination:
                raise OperationRefused("RoutingLoopDetected", f"{number} cannot call itself")
            _check_keys(attached)
            if device_id is None:
                call = self.ring_first(number, destination)
            else:
                call = self.dial(number, destination, device_id)
        except OperationRefused as refused:
            return CallOutcome("Failed", refused.reason, refused.text)
        call.timeout = timeout
        part = call.legs[number].parts[0]
        part.attached.update(attached)
        self._ordered(call)
        return CallOutcome("Success", participant=self._view(number, part.id))

    def act(
        self, number: str, participant_id: int, action: str, request: ControlRequest
    ) -> CallOutcome:
        """Carry out an action on a participant and return its outcome."""
        try:
            call, leg, part = self._part(number, participant_id)
            self._act(call, leg, part, action, request)
        except OperationRefused as refused:
            status: Literal["Failed", "Rejected"] = (
                "Rejected" if refused.reason == "NotSpecified" else "Failed"
            )
            return CallOutcome(
                status, refused.reason, refused.text, self._view(number, participant_id)
            )
        if not call.over and not action.startswith("attach"):
            call.timeout = request.timeout
            self._ordered(call)
        return CallOutcome("Success", participant=self._view(number, participant_id))

    def press(self, call: SimulatedCall, keys: str) -> None:
        """Press keys as the party that is connected to a route point in this call.

        Raises OperationRefused if no route point is connected.
        """
        point = call.of_kind("routepoint")
        if point is None or not point.connected:
            raise OperationRefused("NotSpecified", f"no route point is connected in call {call.id}")
        for part in point.parts:
            self._signal(KeysPressed(point.dn.number, part.id, keys))

    def played(self, number: str, participant_id: int) -> None:
        """Signal that a participant has heard to the end what a program played.

        Does nothing if the participant is gone.
        """
        if self._view(number, participant_id) is not None:
            self._signal(PromptPlayed(number, participant_id))

    def drop_call(self, call_id: int) -> bool:
        """End a call. Return False if there is none."""
        call = self.calls.get(call_id)
        return call is not None and self.end(call)

    def attached(self, number: str, participant_id: int) -> dict[str, str]:
        """Return the data attached to a participant. Raises OperationRefused if it is gone."""
        return dict(self._part(number, participant_id)[2].attached)

    def restart(self) -> None:
        """Lose all calls without an event, as when the PBX restarts. Ids begin again."""
        self._forget()

    # internal

    def _row(self, call: SimulatedCall) -> ActiveCallRow:
        if call.row is None:
            call.row = projection.row(call, self.directory, self.switches)
        return call.row

    def _signal(self, signal: Signal) -> None:
        for listener in self._signal_listeners:
            listener(signal)

    def _ordered(self, call: SimulatedCall) -> None:
        if self._on_order is not None and not call.over:
            self._on_order(call)

    def _act(
        self,
        call: SimulatedCall,
        leg: SimulatedLeg,
        part: DeviceLeg,
        action: str,
        request: ControlRequest,
    ) -> None:
        number = leg.dn.number
        match action:
            case "drop":
                self.drop(call, number, part.device_id)
            case "answer":
                if not part.direct and leg.dn.kind != "routepoint":
                    raise OperationRefused("NotSpecified", "the device cannot be told to answer")
                self.answer(call, number, part.device_id)
            case "divert":
                self.divert(call, number, request.destination)
            case "routeto":
                self.add_route(call, number, request.destination)
            case "transferto":
                self.transfer(call, number, request.destination)
            case "attach_participant_data":
                self._attach_data([leg], part, request)
            case "attach_party_data":
                others = [other for other in call.legs.values() if other is not leg]
                self._attach_data(others, None, request)
            case _:
                raise OperationRefused("NotSpecified", f"there is no action {action}")

    def _attach_data(
        self, legs: Iterable[SimulatedLeg], only: DeviceLeg | None, request: ControlRequest
    ) -> None:
        data = request.attached or {}
        _check_keys(data)
        for leg in legs:
            for part in leg.parts if only is None else [only]:
                part.attached.update(data)
                self._tell(ParticipantUpsert(leg.dn.number, part.id))


def _check_keys(data: Mapping[str, str]) -> None:
    if any(not key.startswith("public_") for key in data):
        raise OperationRefused("NotSpecified", "keys of attached data begin with public_")
