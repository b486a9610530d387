"""Change calls in single steps. Each step is complete and tells the listeners at once.

Scenarios and Call Control's actions use the same steps. A step that is impossible raises
:class:`OperationRefused` and has changed nothing. Other modules decide when things happen (people,
time-outs).
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.simulator.calls.ground_truth import continue_story
from monitor.simulator.calls.leg_operations import Connections
from monitor.simulator.calls.model import TALKERS, OperationRefused, SimulatedCall, SimulatedLeg
from monitor.simulator.calls.routing import ToPhones

_FIRST_ROUTED_LEG = 4
"""Leg id of the first phone in a call from outside.

The trunk's leg and the router's come before it, as captures show."""


class Operations(Connections):
    """Offer the primitive operations on calls."""

    # starting calls

    def arrive(self, trunk: str, number: str, did: str = "", rule: str = "") -> SimulatedCall:
        """Start a call that comes in on a trunk. Nothing rings yet.

        ``rule``: name of the inbound rule, empty if there is none. ``did``: that rule's number.
        """
        dn = self.directory.dn(trunk)
        if dn is None or dn.kind != "externalline":
            raise OperationRefused("UnknownDestination", f"{trunk} is not a trunk")
        call = self._open(dn, number, did, external=True)
        call.rule = rule
        self._note("arrived", call, dn, number=number, to=did)
        self._add(call, SimulatedLeg(dn, "Dialing", outside=number))
        call.next_leg = _FIRST_ROUTED_LEG
        self._commit(call)
        return call

    def dial(
        self,
        number: str,
        destination: str,
        device_id: str = "",
        *,
        trunk: str = "",
        greeting: bool = True,
    ) -> SimulatedCall:
        """Start a call from a DN to a number and route it at once.

        ``device_id``: the device to call from; empty: the DN's first device.
        """
        dn = self._caller(number)
        route = self.router.resolve(destination, (number,), trunk)
        devices = self.directory.devices(number)
        call = self._open(dn, number, destination, external=False)
        self._note("dialled", call, dn, to=destination)
        self._add(
            call,
            SimulatedLeg(dn, "Dialing"),
            device_id or (devices[0].device_id if devices else ""),
        )
        self._apply(call, route, "Routing", greeting=greeting)
        self._commit(call)
        return call

    def ring_first(self, number: str, destination: str, *, orderer: str = "") -> SimulatedCall:
        """Ring a DN's own phones and call the destination once one is picked up.

        ``orderer``: the DN that orders the call; empty: the PBX's MakeCall service.
        """
        dn = self._caller(number)
        if dn.kind != "extension":  # it has no person to pick up first
            return self.dial(number, destination)
        self.router.resolve(destination, (number,))
        call = self._open(dn, number, destination, external=False)
        call.forward_to, call.orderer = destination, orderer
        self._note("ordered", call, dn, to=destination)
        self._add(call, SimulatedLeg(dn, "Ringing"))
        self._say(call, "Routing")
        self._commit(call)
        return call

    # calls in progress

    def route(
        self, call: SimulatedCall, destination: str, *, trunk: str = "", greeting: bool = True
    ) -> None:
        """Send the waiting caller on: phones ring, or a host takes the call.

        ``greeting``: True if a queue has a greeting. In a queue without one, the call's first state
        is Transferring.
        """
        self._alive(call)
        route = self.router.resolve(destination, call.legs, trunk)
        self._note("routed", call, to=destination)
        self._clear_ringing(call)
        self._apply(call, route, "Routing", greeting=greeting)
        self._commit(call)

    def wait(self, call: SimulatedCall) -> None:
        """Put the caller among those that wait in a queue without a greeting."""
        self._note("waits", call, self._queue_of(call).dn)
        self._say(call, "Talking")
        self._commit(call)

    def poll(self, call: SimulatedCall, agents: Iterable[str]) -> None:
        """Ring these agents' phones for the queue, and no others."""
        queue = self._queue_of(call)
        phones = [self.router.phone(number) for number in agents]
        if not phones or any(
            dn.number in call.legs and not call.legs[dn.number].ringing for dn in phones
        ):
            raise OperationRefused("DestinationIsNotReachable", "there is nobody to ring")
        self._note("polled", call, queue.dn)
        self._clear_ringing(call)
        for dn in phones:
            self._add(call, SimulatedLeg(dn, "Ringing", routed=True, behalf=queue.dn.number))
        self._say(call, "Routing")
        self._commit(call)

    def answer(self, call: SimulatedCall, number: str, device_id: str = "") -> None:
        """Pick up a ringing phone.

        The other phones stop ringing, the queue is left, and the two parties are connected.
        """
        leg = self._leg(call, number, "Ringing")
        if call.forward_to:
            self._answer_own(call, leg, device_id)
            return
        self._keep_device(leg, device_id)
        self._pick_up(call, leg)
        self._commit(call)

    def no_answer(self, call: SimulatedCall, numbers: Iterable[str] = ()) -> None:
        """Stop these phones, or all if none is named, because they have rung long enough.

        If no other phone rings, the call goes back to its queue, to the talk that it was to leave,
        or to the DN that transferred it if its phone is free. Otherwise it ends.
        """
        self._alive(call)
        stopped = [self._leg(call, number, "Ringing") for number in numbers] or call.ringing()
        if not stopped:
            raise OperationRefused("NotSpecified", "nothing rings")
        for leg in stopped:
            self._note("timed_out", call, leg.dn, number=leg.outside)
        if call.forward_to:
            self._finish(call)
        else:
            for leg in stopped:
                self._take(call, leg)
            self._after_ringing(call, stopped[-1])
        self._commit(call)

    def divert(self, call: SimulatedCall, number: str, destination: str) -> None:
        """Send a ringing phone's call elsewhere. All other ringing stops, and the queue is left."""
        leg = self._leg(call, number, "Ringing")
        if call.forward_to:
            raise OperationRefused(
                "NotSpecified", f"{number} is being called back and cannot divert itself"
            )
        route = self.router.resolve(destination, call.legs)
        self._note("diverted", call, leg.dn, to=destination)
        self._clear_ringing(call)
        self._apply(call, route, "Rerouting")
        self._commit(call)

    def add_route(self, call: SimulatedCall, number: str, destination: str) -> None:
        """Ring another destination as well.

        It rings beside a ringing phone, or to take the place of a connected party. A call that
        rings from a queue leaves the queue.
        """
        leg = self._leg(call, number, "Ringing", "Connected")
        if call.forward_to:
            raise OperationRefused(
                "NotSpecified", f"{number} is being called back and has no other route"
            )
        if leg.connected:
            self._partner(call, number)
        route = self.router.resolve(destination, call.legs)
        self._note("forked", call, leg.dn, to=destination)
        if call.host is not None:
            self._clear_ringing(call, leg)
        instead_of = number if leg.connected else leg.instead_of
        self._apply(call, route, "Rerouting", instead_of=instead_of)
        self._commit(call)

    def transfer(
        self, call: SimulatedCall, number: str, destination: str, *, greeting: bool = True
    ) -> None:
        """Send a connected party's partner elsewhere blindly. The party leaves at once."""
        leg = self._leg(call, number, "Connected")
        self._partner(call, number)
        route = self.router.resolve(destination, call.legs)
        self._note("transferred", call, leg.dn, to=destination)
        self._take(call, leg)
        self._apply(call, route, "Transferring", greeting=greeting, referred_by=number)
        self._commit(call)

    def merge(self, first: SimulatedCall, second: SimulatedCall, number: str) -> None:
        """Connect the other parties of two calls (attended transfer).

        The party ``number``, which is in both calls, leaves. The switch ``survivor`` says which
        call goes on. If it is the second, it takes over who called whom from the first.
        """
        ours, theirs = (
            self._leg(first, number, "Connected"),
            self._leg(second, number, "Connected", "Dialing"),
        )
        partner = self._partner(first, number)
        moved = next((leg for leg in second.legs.values() if leg is not theirs), None)
        if (
            first is second
            or moved is None
            or len(second.legs) != 2
            or moved.dn.kind not in TALKERS
        ):
            raise OperationRefused(
                "NotSpecified", f"call {second.id} has no one party to hand over"
            )
        if moved.dn.number in first.legs:
            raise OperationRefused(
                "RoutingLoopDetected", f"{moved.dn.number} is in the call already"
            )
        if self.switches.survivor == "second":
            self._merge_into_second(first, second, partner, theirs)
            return
        outside = partner.dn.kind == "externalline"
        self._note("merged", first, ours.dn, to=moved.dn.number, other=second.id)
        self._take(first, ours)
        self._close_merged(second, moved, first)
        moved.routed = moved.routed or outside
        if moved.connected:
            self._connected(first)
        self._say(first, "Talking" if moved.connected else "Transferring")
        self._commit(first, second)

    def _merge_into_second(
        self,
        first: SimulatedCall,
        second: SimulatedCall,
        partner: SimulatedLeg,
        theirs: SimulatedLeg,
    ) -> None:
        """Move the first call's other party to the second. A caller outside stays the caller."""
        if partner.dn.number in second.legs:
            raise OperationRefused(
                "RoutingLoopDetected", f"{partner.dn.number} is in the call already"
            )
        self._note("merged", second, theirs.dn, to=partner.dn.number, other=first.id)
        self._take(first, first.legs[theirs.dn.number])
        self._take(second, theirs)
        self._close_merged(first, partner, second, told=False)
        second.legs = {partner.dn.number: partner, **second.legs}
        continue_story(first, second)
        for leg in second.ringing():
            leg.routed = True
        if not second.ringing():
            self._connected(second)
        self._say(second, "Transferring" if second.ringing() else "Talking")
        self._commit(first, second)

    def invite(self, call: SimulatedCall, number: str, guest: str) -> None:
        """Make a connected party's talk a conference and ring a third phone for it."""
        leg = self._leg(call, number, "Connected")
        if call.conference is None:
            self._partner(call, number)
        conference = self.router.special("conference")
        if conference is None:
            raise OperationRefused("UnknownDestination", "this PBX has no conference")
        route = self.router.resolve(guest, call.legs)
        if not isinstance(route, ToPhones) or route.group:
            raise OperationRefused("DestinationIsNotReachable", f"{guest} cannot be invited")
        self._note("invited", call, leg.dn, to=guest)
        if call.conference is None:
            call.creator = leg.number
            self._add(call, SimulatedLeg(conference, "Connected"))
        for dn in route.phones:
            self._add(call, SimulatedLeg(dn, "Ringing", routed=call.external))
        self._commit(call)

    # ending calls

    def drop(self, call: SimulatedCall, number: str, device_id: str | None = None) -> None:
        """Hang up or reject as a party.

        If several of its devices ring and ``device_id`` names one, only that one stops.
        """
        leg = self._leg(call, number)
        part = next((part for part in leg.parts if part.device_id == device_id), None)
        if leg.ringing and part is not None and len(leg.parts) > 1:
            self._lose_part(leg, part)
        elif leg.ringing and not call.forward_to:
            self._note("rejected", call, leg.dn, number=leg.outside)
            self._take(call, leg)
            self._after_ringing(call, leg)
        else:
            self._note("hung_up", call, leg.dn, number=leg.outside)
            self._leave(call, leg)
        self._commit(call)

    def end(self, call: SimulatedCall) -> bool:
        """End a call in any state. Return False if it is over already."""
        if call.over:
            return False
        self._finish(call)
        self._commit(call)
        return True
