"""Wait until the target of a call that a program sends on has taken it or has not.

Call Control answers ``routeto`` and ``transferto`` at a route point only then, unless the switch
``routeto_answer`` says otherwise. The target has taken the call when one of its phones is picked
up. It has not when none of them rings any more, or when the call is over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from monitor.simulator.calls.model import SimulatedCall, SimulatedLeg
from monitor.simulator.calls.switchboard import CallOutcome, Event, Switchboard

_NOT_TAKEN = CallOutcome("Failed", "DestinationNoAnswer", "the destination did not take the call")
_OVER = CallOutcome("Failed", "ParentConnectionTerminated", "the call ended before it was taken")
_STOPPED = CallOutcome("Failed", "Cancelled", "the PBX stopped")


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """Represent a call that is offered to phones. ``outcome`` is set once it is decided."""

    call: SimulatedCall
    targets: tuple[SimulatedLeg, ...]
    outcome: asyncio.Future[CallOutcome]

    def decided(self) -> CallOutcome | None:
        """Return how the attempt ended, or None while a phone rings."""
        if any(leg.connected for leg in self.targets):
            return CallOutcome("Success")
        if self.call.over:
            return _OVER
        rings = any(self.call.legs.get(leg.dn.number) is leg for leg in self.targets)
        return None if rings else _NOT_TAKEN


class RouteAttempts:
    """Hold the attempts that are not decided yet."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._attempts: set[Attempt] = set()
        switchboard.listen(self._heard)

    def legs_of(self, call_id: int) -> frozenset[SimulatedLeg]:
        """Return the present legs of a call."""
        call = self._switchboard.calls.get(call_id)
        return frozenset(call.legs.values()) if call is not None else frozenset()

    def attempt(self, call_id: int, before: frozenset[SimulatedLeg]) -> Attempt | None:
        """Return the attempt to reach the phones that ring now and did not ring ``before``.

        Return None if none rings, so that all is decided.
        """
        call = self._switchboard.calls.get(call_id)
        targets = tuple(leg for leg in call.ringing() if leg not in before) if call else ()
        if call is None or not targets:
            return None
        outcome = asyncio.get_running_loop().create_future()
        made = Attempt(call, targets, outcome)
        self._attempts.add(made)
        outcome.add_done_callback(lambda _: self._attempts.discard(made))
        return made

    def clear(self) -> None:
        """Decide all attempts as failed, because the PBX stops."""
        for one in self._attempts:
            if not one.outcome.done():
                one.outcome.set_result(_STOPPED)

    def _heard(self, _: Event) -> None:
        for one in self._attempts:
            outcome = one.decided()
            if outcome is not None and not one.outcome.done():
                one.outcome.set_result(outcome)
