"""Play a PBX of any size to a tracker: one call after another moves to another phone."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    AgentRow,
    ConnectionChanged,
    DepartmentRow,
    Fact,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueRow,
    TrunkRow,
    UserRow,
)
from monitor.shared.changes import Edit
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import NOON, directory

_AGENTS = 20
"""Of a queue. For a hundred extensions there is one."""


class Office:
    """So many extensions, and so many calls from outside, each with one of them.

    ``rows``: whether ActiveCalls are read too.
    """

    def __init__(self, extensions: int, calls: int, *, rows: bool = False) -> None:
        source = "callcontrol+activecalls" if rows else "callcontrol"
        self.tracker = Tracker("bench")
        self.numbers = [str(10_000 + number) for number in range(extensions)]
        self._now = NOON
        self._calls = calls
        self._talking: dict[int, Participant] = {}
        self._legs = 0
        self.facts = self._facts()
        for fact in (
            ConnectionChanged("connected", "", NOON, source),
            self._directory(),
            ParticipantsRead(
                (), dict.fromkeys(self.numbers, "Wextension"), NOON, NOON, frozenset()
            ),
            *([ActiveCallsRead((), NOON, NOON)] if rows else []),
        ):
            self.tracker.apply(fact)
        for place in range(calls):
            for status in ("Ringing", "Connected"):
                self.tracker.apply(self._seen(place, status))

    def _facts(self) -> Iterator[Fact]:
        """Yield events without end: each call leaves its phone, rings at another, is answered."""
        while True:
            for place in range(self._calls):
                yield self._gone(place)
                yield self._seen(place, "Ringing")
                yield self._seen(place, "Connected")

    def edits(self) -> Iterator[tuple[Edit, ...]]:
        """What follows from each event."""
        return map(self.tracker.apply, self.facts)

    def polls(self) -> tuple[Fact, ...]:
        """Full reads that find everything as it is known."""
        self._tick()
        rows = tuple(
            ActiveCall(held.call_id, held.party_caller_id, held.dn, "Talking", NOON, NOON)
            for held in self._talking.values()
        )
        dns = dict.fromkeys(self.numbers, "Wextension")
        return (
            ParticipantsRead(tuple(self._talking.values()), dns, self._now, self._now, frozenset()),
            ActiveCallsRead(rows, self._now, self._now),
        )

    def _seen(self, place: int, status: str) -> Fact:
        self._tick()
        if status == "Ringing":
            self._legs += 1
        dn = self.numbers[self._legs % len(self.numbers)]
        held = Participant(
            self._legs,
            dn,
            status,
            place + 1,
            1,
            "",
            "1",
            f"0301{place:06}",
            "",
            "Wexternalline",
            f"sip:{dn}@test",
        )
        self._talking[place] = held
        return ParticipantSeen(held, self._now, self._now)

    def _gone(self, place: int) -> Fact:
        self._tick()
        held = self._talking.pop(place)
        return ParticipantGone(held.dn, held.id, self._now, self._now)

    def _tick(self) -> None:
        self._now += 0.001

    def _directory(self) -> Fact:
        users = tuple(
            UserRow(
                id=int(number), number=number, first_name="Ext", last_name=number, enabled=True,
                registered=True, profile="Available", queue_status="LoggedIn",
            )
            for number in self.numbers
        )  # fmt: skip
        queues = tuple(
            QueueRow(
                at,
                f"8{at:04}",
                f"Queue {at}",
                tuple(AgentRow(number) for number in self.numbers[at : at + _AGENTS]),
            )
            for at in range(0, len(self.numbers), 100)
        )
        return directory(
            users=users,
            queues=queues,
            ring_groups=(),
            trunks=(TrunkRow(1, "1", "trunk", True, 10_000),),
            departments=(
                DepartmentRow(6, "DEFAULT", "GRP0", tuple(self.numbers), is_default=True),
            ),
            inbound_rules=(),
        )
