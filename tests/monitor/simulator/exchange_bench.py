"""Hold a small PBX for tests of the switchboard, and a client that believes events and reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.ground_truth import TruthCall, TruthEnded
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.calls.switchboard import (
    CallOutcome,
    ControlRequest,
    Event,
    ParticipantUpsert,
    ParticipantView,
    Switchboard,
)
from monitor.simulator.pbx_data.directory import Device, Directory
from monitor.simulator.pbx_data.generator import make_directory

NOON = 1_772_625_600.0
CALLER = "+491701234567"
MOBILE = "+15155550199"
TWO_DEVICES, NO_DEVICE, CONTROLLED = "103", "109", "108"
AGENTS = ("104", "105", "106")
MEMBERS = ("101", "102")


def small_directory() -> Directory:
    """Return extensions 100–119, a queue of three, a ring group of two, an IVR, three trunks."""
    directory = make_directory(1, 20, 2, contacts=5)
    for number in directory.extensions():
        user = directory.entity(number)
        assert user is not None
        directory.update(
            user,
            {
                "FirstName": "Ann",
                "LastName": f"No{number}",
                "DisplayName": f"No{number}, Ann",
                "Enabled": True,
                "QueueStatus": "LoggedIn",
                "CurrentProfileName": "Available",
            },
        )
        agent = "Yealink SIP-T46U" if number == CONTROLLED else "3CX Web Client"
        count = {NO_DEVICE: 0, TWO_DEVICES: 2}.get(number, 1)
        directory.set_devices(
            number, [Device(number, f"sip:{number}@10.0.0.{i}", agent) for i in range(count)]
        )
    for number, name, rows in (("800", "Agents", AGENTS), ("600", "Members", MEMBERS)):
        entity = directory.entity(number)
        assert entity is not None
        directory.update(entity, {name: [{"Number": row} for row in rows]})
    return directory


@dataclass
class Bench:
    """A switchboard with a clock that stands still until it is moved."""

    switches: Switches = field(default_factory=Switches)
    now: float = NOON
    directory: Directory = field(default_factory=small_directory)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.switchboard = Switchboard(self.directory, self.switches, lambda: self.now)
        self.switchboard.listen(self.events.append)

    def said(self) -> list[str]:
        """The events since this was asked last: ``+dn`` and ``-dn``."""
        said = [("+" if isinstance(e, ParticipantUpsert) else "-") + e.dn for e in self.events]
        self.events.clear()
        return said

    def truth(self, call: SimulatedCall) -> TruthCall:
        (found,) = [truth for truth in self.switchboard.truth() if truth.call_id == call.id]
        return found

    def legs(self, call: SimulatedCall) -> dict[str, tuple[str, str]]:
        return {leg.dn: (leg.status, leg.external_party) for leg in self.truth(call).legs}

    def row(self, call: SimulatedCall) -> tuple[str, str, str]:
        (row,) = [row for row in self.switchboard.active_calls() if row.id == call.id]
        return row.caller, row.callee, row.status

    def one(self, number: str) -> ParticipantView:
        (view,) = self.switchboard.participants(number)
        return view

    def end(self, call: SimulatedCall) -> TruthEnded:
        """End it if it is not over; what became of it."""
        self.switchboard.end(call)
        return next(end for end in reversed(self.switchboard.ended()) if end.call_id == call.id)

    def inbound(self, callee: str = "100") -> SimulatedCall:
        """A call from outside that rings at an extension."""
        call = self.switchboard.arrive("10002", CALLER)
        self.switchboard.route(call, callee)
        return call

    def talk(self, callee: str = "100") -> SimulatedCall:
        """A call from outside that an extension has answered."""
        call = self.inbound(callee)
        self.switchboard.answer(call, callee)
        self.events.clear()
        return call

    def act(self, number: str, action: str, destination: str = "", **attached: str) -> CallOutcome:
        view = self.switchboard.participants(number)[0]
        request = ControlRequest(destination=destination, attached=attached)
        return self.switchboard.act(number, view.id, action, request)


class Client:
    """Build a table from events, each followed by a read, as programs do with Call Control."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.switchboard = switchboard
        self.table: dict[tuple[str, int], ParticipantView] = {}
        self.errors: list[str] = []
        switchboard.listen(self._hear)

    def _hear(self, event: Event) -> None:
        key = (event.dn, event.participant_id)
        found = self.switchboard.participant(*key)
        if isinstance(event, ParticipantUpsert):
            if found is None:
                self.errors.append(f"{key} was announced and is not there")
            elif self.table.get(key) == found:
                self.errors.append(f"{key} was announced and is as before")
            else:
                self.table[key] = found
        elif found is not None:
            self.errors.append(f"{key} was removed and is there")
        elif self.table.pop(key, None) is None:
            self.errors.append(f"{key} was removed and never known")
