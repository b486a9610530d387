"""Test the tracker against the simulator's truth: every call kind, every behaviour option.

No sockets and no waiting: the traffic plays in a time of its own, every event is read at once, and
ActiveCalls is read now and then, so that what passes between two reads is really missed. The same
over real sockets: tests/system.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    AgentRow,
    ConnectionChanged,
    DirectoryRead,
    IvrRow,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    PeerRow,
    QueueRow,
    RingGroupRow,
    SystemRow,
    TrunkRow,
)
from monitor.pbx.parsing import xapi
from monitor.pbx.parsing.callcontrol import parse_participant
from monitor.shared import codec
from monitor.shared.changes import Edit
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import mix_with
from monitor.simulator.calls.switchboard import Event, ParticipantRemove, Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from monitor.tracking.tracker import Tracker
from tests.system.compare import (
    NOT_TOLD_BY_ROWS,
    Known,
    differences,
    ended_differences,
)

CLIENT = "callmon"
CALLS = 160
"""A setting; two thousand in all."""
MANY = 850
"""With ``make soak-monitors``."""

SETTINGS = {
    "defaults": Switches(),
    "on_behalf_of": Switches(on_behalf_of=True),
    "party_did": Switches(party_did=True),
    "all DNs monitored": Switches(monitored="all"),
    "half of them monitored": Switches(monitored="half"),
    "callees joined": Switches(callees="joined"),
    "callees by target": Switches(callees="target"),
    "EstablishedAt the last": Switches(established="last"),
    "attended transfer by a new participant": Switches(attended="new"),
    "attended transfer into the second call": Switches(survivor="second"),
    "all the other way round": Switches(
        monitored="all",
        on_behalf_of=True,
        party_did=True,
        callees="joined",
        established="last",
        attended="new",
    ),
    "half and joined": Switches(monitored="half", callees="joined", established="last"),
    "half and by target": Switches(
        monitored="half", callees="target", on_behalf_of=True, attended="new"
    ),
}


ROWS_ALONE = {
    "defaults": Switches(),
    "callees joined": Switches(callees="joined", established="last"),
    "callees by target": Switches(callees="target"),
}
CALLS_BY_ROWS = 120


class Followed:
    """A simulated PBX and a tracker that is told of it, in a time of their own."""

    def __init__(
        self,
        seed: int,
        switches: Switches,
        calls: int = CALLS,
        *,
        call_control: bool = True,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.now = 1_700_000_000.0
        self.switches = switches
        self.client_id = CLIENT
        self.directory = make_directory(seed, 60, 4, 50, CLIENT, switches.monitored, odd_names=True)
        self.switchboard = Switchboard(self.directory, switches, lambda: self.now)
        self.traffic = TrafficGenerator(
            self.switchboard,
            self.directory,
            seed,
            rate=600,
            limit=calls,
            mix=mix_with(without=without if call_control else without | NOT_TOLD_BY_ROWS),
        )
        self.ended: dict[str, Any] = {}
        self.held = Tracker("monitor")
        self._visible = frozenset(self.directory.peers(CLIENT)) if call_control else frozenset()
        self._told = 0.0
        kinds = {
            dn.number: f"W{dn.kind}" for dn in self.directory.dns() if dn.number in self._visible
        }
        source = "callcontrol+activecalls" if call_control else "activecalls"
        self._apply(ConnectionChanged("connected", "", self.now, source))
        self._apply(_directory_read(self.directory, self.now))
        if call_control:
            self._apply(ParticipantsRead((), kinds, self._moment(), self.now))
            self.switchboard.listen(self._hear)

    @property
    def state(self) -> dict[str, dict[str, Any]]:
        """Calls and extensions as a subscriber has them."""
        return {topic: _plain(self.held.state[topic]) for topic in ("calls", "extensions")}

    def play(self, seconds: float) -> None:
        """Let the PBX's time pass."""
        self.traffic.advance(seconds)
        self.now += seconds

    def poll(self) -> None:
        """Read ActiveCalls."""
        shown = self.switchboard.active_calls()
        self.switchboard.served_rows(shown)
        told = (
            ActiveCall(r.id, r.caller, r.callee, r.status, r.last_change_status, r.established_at)
            for r in shown
        )
        self._apply(ActiveCallsRead(tuple(told), self._moment(), self.now))

    def _hear(self, event: Event) -> None:
        if event.dn not in self._visible:
            return
        if isinstance(event, ParticipantRemove):
            self._apply(ParticipantGone(event.dn, event.participant_id, self._moment(), self.now))
            return
        view = self.switchboard.participant(event.dn, event.participant_id)
        if view is not None:
            self.switchboard.served_participant(view)
            seen = parse_participant(view.to_json(self.switches))
            self._apply(ParticipantSeen(seen, self._moment(), self.now))

    def _apply(self, fact: Any) -> None:
        edits: tuple[Edit, ...] = self.held.apply(fact)
        self.ended |= _plain(
            {e.id: e.after for e in edits if e.topic == "ended" and e.after is not None}
        )

    def _moment(self) -> float:
        self._told += 1.0
        return self._told


class Late(Followed):
    """Read each participant up to half a second after its event: reads overtake each other."""

    def __init__(self, seed: int, switches: Switches) -> None:
        self._late: list[tuple[float, Event, float, float]] = []
        self._chance = random.Random(seed)
        super().__init__(seed, switches)

    def play(self, seconds: float) -> None:
        """Let time pass and due answers arrive, in whatever order they overtake each other."""
        super().play(seconds)
        for waiting in sorted(self._late, key=lambda waiting: waiting[0]):
            if waiting[0] <= self.now:
                self._late.remove(waiting)
                self._read(*waiting[1:])

    def settle(self) -> None:
        """Let all answers arrive while nothing happens."""
        before = self.traffic.stats.started
        while self._late:
            self.play(0.0)
            self.now += 0.05
        self.poll()
        assert self.traffic.stats.started == before

    def _hear(self, event: Event) -> None:
        if event.dn in self._visible:
            self._late.append(
                (self.now + self._chance.uniform(0.0, 0.5), event, self._moment(), self.now)
            )

    def _read(self, event: Event, heard: float, at: float) -> None:
        removed = isinstance(event, ParticipantRemove)
        view = None if removed else self.switchboard.participant(event.dn, event.participant_id)
        if view is None:
            self._apply(ParticipantGone(event.dn, event.participant_id, heard, at))
            return
        self.switchboard.served_participant(view)
        self._apply(ParticipantSeen(parse_participant(view.to_json(self.switches)), heard, at))


@pytest.mark.parametrize("seed", [6, 15])
def test_answers_that_overtake_each_other_lead_to_the_truth_as_well(seed: int) -> None:
    pbx = Late(seed, Switches())
    known = Known.of(pbx, tolerance=2.0)
    for step in range(1, 1_001):
        pbx.play(0.1)
        if step % 5 == 0:
            pbx.poll()
        if step % 50 == 0:
            pbx.settle()
            assert differences(pbx, pbx.state, known) == []


@pytest.mark.parametrize("calls", [CALLS, pytest.param(MANY, marks=pytest.mark.soak)])
@pytest.mark.parametrize("switches", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_tracker_holds_the_truth(switches: Switches, calls: int) -> None:
    pbx = Followed(7, switches, calls)
    known = Known.of(pbx, tolerance=2.0)
    pauses = random.Random(1)
    for step in count():
        pbx.play(pauses.choice((0.05, 0.2, 1.0)))
        pbx.poll()
        if (
            step % 4 == 0
        ):  # looking costs most of the time, and what is wrong does not pass by itself
            assert differences(pbx, pbx.state, known) == []
        if pbx.traffic.stats.over >= calls:
            break
    pbx.poll()
    assert pbx.held.state["calls"] == {}
    assert ended_differences(pbx, pbx.ended, known) == []
    assert len(pbx.ended) >= calls * 0.9, (
        "calls that came and went between two reads, and nothing else, may be missing"
    )
    kinds = {kind for kind, count in pbx.traffic.stats.kinds.items() if count}
    assert len(kinds) >= 12, f"too few kinds of calls to prove anything: {kinds}"


@pytest.mark.parametrize("switches", ROWS_ALONE.values(), ids=ROWS_ALONE.keys())
def test_without_call_control_it_holds_all_that_the_rows_name(switches: Switches) -> None:
    pbx = Followed(11, switches, call_control=False)
    known = Known.of(pbx, tolerance=2.0, call_control=False)
    pauses = random.Random(2)
    while pbx.traffic.stats.over < CALLS_BY_ROWS:
        pbx.play(pauses.choice((0.05, 0.2, 1.0)))
        pbx.poll()
        assert differences(pbx, pbx.state, known) == []
    assert ended_differences(pbx, pbx.ended, known) == []


def _directory_read(directory: Directory, at: float) -> DirectoryRead:
    """The directory as XAPI would tell it."""
    users = [
        user | {"IsRegistered": directory.registered(user["Number"])}
        for user in directory.users.values()
    ]
    return DirectoryRead(
        users=tuple(row for user in users if (row := xapi.user(user)) is not None),
        queues=tuple(
            QueueRow(
                q["Id"], q["Number"], q["Name"], tuple(AgentRow(a["Number"]) for a in q["Agents"])
            )
            for q in directory.queues.values()
        ),
        ring_groups=tuple(
            RingGroupRow(
                g["Id"],
                g["Number"],
                g["Name"],
                tuple(m["Number"] for m in g["Members"]),
                g["RingStrategy"],
            )
            for g in directory.ring_groups.values()
        ),
        ivrs=tuple(
            IvrRow(i["Id"], i["Number"], i["Name"]) for i in directory.receptionists.values()
        ),
        trunks=tuple(
            TrunkRow(t["Id"], t["Number"], t["Gateway"]["Name"]) for t in directory.trunks.values()
        ),
        departments=(),
        inbound_rules=tuple(
            rule for r in directory.inbound_rules.values() if (rule := xapi.inbound_rule(r))
        ),
        system=SystemRow(),
        at=at,
        peers=tuple(
            PeerRow(dn.number, dn.name, dn.kind)
            for dn in directory.dns()
            if dn.kind in ("conference", "specialmenu", "parking", "fax", "routepoint")
        ),
    )


def _plain(table: Any) -> dict[str, Any]:
    plain: dict[str, Any] = codec.from_json(codec.to_json(table))
    return plain
