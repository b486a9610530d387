"""Make legs join, ring and part. The operations are made of these steps. Nothing here commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.acts import Deed
from monitor.simulator.calls.api_rows import Word
from monitor.simulator.calls.exchange import Exchange
from monitor.simulator.calls.model import (
    HOSTS,
    TALKERS,
    OperationRefused,
    SimulatedCall,
    SimulatedLeg,
)
from monitor.simulator.calls.routing import Route, Router, ToHost, ToOutside, ToPhones
from monitor.simulator.pbx_data.directory import Directory, Dn


class Connections(Exchange):
    """Apply the rules by which legs come and go."""

    def __init__(
        self, directory: Directory, switches: Switches, clock: Callable[[], float]
    ) -> None:
        super().__init__(directory, switches, clock)
        self.router = Router(directory, self.busy)

    def _apply(
        self,
        call: SimulatedCall,
        route: Route,
        word: Word,
        *,
        greeting: bool = True,
        referred_by: str = "",
        instead_of: str = "",
    ) -> None:
        match route:
            case ToPhones(phones, group):
                self._clear_hosts(call)
                call.group = group
                for dn in phones:
                    leg = SimulatedLeg(
                        dn, "Ringing", routed=call.external or bool(group), behalf=group
                    )
                    self._ring(call, leg, referred_by, instead_of)
                self._say(call, word)
                if phones[0].kind == "routepoint" and self.switches.route_point == "connects":
                    self._pick_up(call, call.legs[phones[0].number])
            case ToOutside(trunk, number):
                self._clear_hosts(call)
                call.group = ""
                self._ring(
                    call,
                    SimulatedLeg(trunk, "Ringing", outside=number, routed=call.external),
                    referred_by,
                    instead_of,
                )
                self._say(call, word)
            case ToHost(host):
                self._clear_ringing(call)
                self._clear_hosts(call)
                if instead_of in call.legs:
                    self._take(call, call.legs[instead_of])
                if host.kind == "conference":
                    call.creator = call.caller
                self._add(call, SimulatedLeg(host, "Connected", routed=call.external))
                self._connected(call)
                unheard = host.kind == "queue" and not greeting
                if unheard:
                    self._note("unheard", call, host)
                self._say(call, "Transferring" if unheard else "Talking")
            case _:
                assert_never(route)

    def _ring(
        self, call: SimulatedCall, leg: SimulatedLeg, referred_by: str, instead_of: str
    ) -> None:
        leg.referred_by, leg.instead_of = referred_by, instead_of
        self._add(call, leg)

    def _pick_up(self, call: SimulatedCall, leg: SimulatedLeg, deed: Deed = "picked_up") -> None:
        """Connect a leg that rings, or that somebody takes the caller at.

        All other ringing stops, hosts are removed, and the leg that it was to replace leaves.
        """
        self._note(deed, call, leg.dn, number=leg.outside)
        replaced = call.legs.get(leg.instead_of)
        leg.status, leg.referred_by, leg.instead_of = "Connected", "", ""
        self._clear_ringing(call)
        self._clear_hosts(call)
        if replaced is not None:
            self._take(call, replaced)
        self._connected(call)
        self._say(call, "Talking")

    def _answer_own(self, call: SimulatedCall, leg: SimulatedLeg, device_id: str) -> None:
        """Call the destination, now that the originator, which rang first, has picked up."""
        self._note("picked_up", call, leg.dn)
        destination, call.forward_to = call.forward_to, ""
        self._keep_device(leg, device_id)
        leg.status = "Dialing"
        try:
            self._apply(call, self.router.resolve(destination, call.legs), "Routing")
        except OperationRefused:
            self._finish(call)
        self._commit(call)

    def _after_ringing(self, call: SimulatedCall, last: SimulatedLeg) -> None:
        """Decide how the call goes on when no phone rings any more."""
        if call.ringing():
            return
        call.group = ""
        queue = call.of_kind("queue")
        settled = (queue is not None and queue.connected) or (
            sum(leg.connected for leg in call.talkers()) > 1
        )
        if settled:
            self._say(call, "Talking")
        elif last.referred_by and self._comes_back(call, last.referred_by):
            self._say(call, "Rerouting" if call.ringing() else "Talking")
        else:
            self._finish(call)

    def _comes_back(self, call: SimulatedCall, referrer: str) -> bool:
        """Ring the DN that transferred the call, or connect it again if it is a route point.

        Return False if that is not possible.
        """
        dn = self.directory.dn(referrer)
        if dn is not None and dn.kind == "routepoint":
            self._note("returned", call, dn)
            leg = self._add(call, SimulatedLeg(dn, "Ringing", routed=call.external))
            if self.switches.route_point == "connects":
                self._pick_up(call, leg)
            return True
        if dn is None or dn.kind != "extension" or self.busy(referrer):
            return False
        if not self.directory.devices(referrer):
            return False
        self._note("returned", call, dn)
        self._add(call, SimulatedLeg(dn, "Ringing", routed=call.external))
        return True

    def _leave(self, call: SimulatedCall, leg: SimulatedLeg) -> None:
        """Remove a party that was there.

        The call goes on only if two other parties remain, or one if the leaving party was being
        replaced.
        """
        if leg.listens_to:
            self._take(call, leg)
            return
        replaced = any(other.instead_of == leg.dn.number for other in call.ringing())
        others = [other for other in call.talkers() if other is not leg and not other.listens_to]
        if call.paging_group and leg.dn.number == call.originator:
            others = []
        if len(others) < (1 if replaced else 2) or leg.dn.kind not in TALKERS:
            self._finish(call)
            return
        self._take(call, leg)
        for other in call.ringing():
            other.instead_of = ""

    def _close_merged(
        self,
        call: SimulatedCall,
        moved: SimulatedLeg,
        target: SimulatedCall,
        *,
        told: bool = True,
    ) -> None:
        """End a call and move one of its legs to another call.

        ``told``: False if the call's story goes on there, and this is not an end of it.
        """
        call.merged = True
        self._remember_end(call, told=told)
        self._move(moved, call, target)
        self._close(call)

    def _connected(self, call: SimulatedCall) -> None:
        """Connect the legs that were dialling."""
        for leg in call.legs.values():
            if leg.status == "Dialing":
                leg.status = "Connected"
        call.group = ""
        call.established_at = self.clock()

    def _clear_ringing(self, call: SimulatedCall, but: SimulatedLeg | None = None) -> None:
        for leg in call.ringing():
            if leg is not but:
                self._take(call, leg)

    def _clear_hosts(self, call: SimulatedCall) -> None:
        """Remove the hosts, but not one that calls."""
        for leg in list(call.legs.values()):
            if leg.dn.kind in HOSTS and leg.status != "Dialing":
                self._take(call, leg)

    def _caller(self, number: str) -> Dn:
        """Return the DN if it may call: an extension with a phone, or another DN with a device.

        Raises OperationRefused otherwise.
        """
        dn = self.directory.dn(number)
        if dn is not None and dn.kind != "extension" and self.directory.devices(number):
            return dn
        return self.router.phone(number)

    def _alive(self, call: SimulatedCall) -> None:
        if call.over:
            raise OperationRefused("SubjectNotFound", f"call {call.id} is over")

    def _queue_of(self, call: SimulatedCall) -> SimulatedLeg:
        queue = call.of_kind("queue")
        if queue is None:
            raise OperationRefused("NotSpecified", f"call {call.id} is in no queue")
        return queue

    def _partner(self, call: SimulatedCall, number: str) -> SimulatedLeg:
        """Return the one party to which a connected party talks, if the call has no other leg.

        Raises OperationRefused otherwise.
        """
        others = [leg for leg in call.legs.values() if leg.dn.number != number]
        if len(others) != 1 or others[0].dn.kind not in TALKERS or not others[0].connected:
            raise OperationRefused("NotSpecified", f"{number} does not talk to exactly one party")
        return others[0]
