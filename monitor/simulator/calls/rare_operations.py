"""Change calls as telephones do now and then: paging, listening in, parking, a second call.

As all operations, each is complete at once, and one that is impossible has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.simulator.calls.acts import Deed
from monitor.simulator.calls.model import DeviceLeg, OperationRefused, SimulatedCall, SimulatedLeg
from monitor.simulator.calls.operations import Operations
from monitor.simulator.calls.routing import ToPhones


class RareOperations(Operations):
    """Offer the operations that only a few calls need."""

    def page(self, number: str, callees: Iterable[str], group: str = "") -> SimulatedCall:
        """Call phones that answer by themselves at once.

        ``group``: the paging group; empty for an intercom call to one phone.
        """
        caller = self.router.phone(number)
        phones = [self.router.phone(callee) for callee in callees if callee != number]
        if not phones or any(self.busy(dn.number) for dn in (caller, *phones)):
            raise OperationRefused("DestinationIsNotReachable", "there is nobody to page")
        called = group or phones[0].number
        call = self._open(caller, number, called, external=False)
        call.paging_group = group
        self._note("paged", call, caller, to=called)
        self._add_first(call, SimulatedLeg(caller, "Dialing"))
        for dn in phones:
            leg = SimulatedLeg(dn, "Connected", routed=bool(group), behalf=group)
            self._add_first(call, leg, "auto_answered")
        self._connected(call)
        self._say(call, "Talking")
        self._commit(call)
        return call

    def supervise(self, call: SimulatedCall, agent: str, supervisor: str) -> None:
        """Let a supervisor listen to an agent's talk. The call does not depend on it."""
        self._leg(call, agent, "Connected")
        self._partner(call, agent)
        dn = self.router.phone(supervisor)
        if self.busy(supervisor):
            raise OperationRefused("DestinationBusy", f"{supervisor} is in a call")
        self._add_first(call, SimulatedLeg(dn, "Connected", listens_to=agent), "listens")
        self._commit(call)

    def retrieve(self, call: SimulatedCall, number: str) -> None:
        """Take a parked caller at a phone, which is connected at once."""
        if call.of_kind("parking") is None:
            raise OperationRefused("NotSpecified", f"call {call.id} is not parked")
        dn = self.router.phone(number)
        if self.busy(number):
            raise OperationRefused("DestinationBusy", f"{number} is in a call")
        leg = SimulatedLeg(dn, "Dialing", routed=call.external)
        self._add_first(call, leg)
        self._pick_up(call, leg, "retrieved")
        self._commit(call)

    def ring_busy(self, call: SimulatedCall, number: str) -> None:
        """Ring a phone that may be in another call, as its profile accepts several."""
        self._alive(call)
        phone = self.router.phone(number)
        if number in call.legs:
            raise OperationRefused("RoutingLoopDetected", f"{number} is in the call already")
        self._note("routed", call, to=number)
        self._clear_ringing(call)
        self._apply(call, ToPhones((phone,)), "Routing")
        self._commit(call)

    def ring_twice(self, call: SimulatedCall, number: str) -> None:
        """Show a second participant of a ringing phone, which has no device and never connects.

        It goes when the call is answered, or by ``drop`` with an empty device.
        """
        leg = self._leg(call, number, "Ringing")
        part = DeviceLeg(self._new_part(), call.next_leg)
        call.next_leg += 1
        leg.parts.append(part)
        self._parts[part.id] = call
        self._commit(call)

    def call_back(self, agent: str, number: str, orderer: str) -> SimulatedCall:
        """Ring an agent's phone to call a number that asked for it.

        ``orderer``: the DN that orders the call in place of a program, such as ``QCB``.
        """
        dn = self.directory.dn(orderer)
        if dn is None:
            raise OperationRefused("UnknownDestination", f"{orderer} is not a DN")
        return self.ring_first(agent, number, orderer=dn.number)

    def _add_first(self, call: SimulatedCall, leg: SimulatedLeg, deed: Deed = "entered") -> None:
        """Add a leg at the first device of its DN."""
        self._add(call, leg, self.directory.devices(leg.dn.number)[0].device_id, deed)
