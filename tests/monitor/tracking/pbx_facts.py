"""Tell a tracker of a small PBX fact by fact: one second passes for each fact unless given."""

from __future__ import annotations

from typing import Any

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    AgentRow,
    ConnectionChanged,
    DepartmentRow,
    DirectoryRead,
    InboundRuleRow,
    IvrRow,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueRow,
    RingGroupRow,
    SystemRow,
    TrunkRow,
    UserRow,
)
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from monitor.tracking.tracker import Tracker

NOON = 1_772_625_600.0
"""2026-03-04T12:00:00Z."""
SOURCES = ("callcontrol+activecalls", "activecalls")
EXTENSIONS = ("100", "101", "102", "103", "104", "105")


def directory(**changes: Any) -> DirectoryRead:
    """Return extensions 100–105, queue 800, ring group 600, IVR 700, trunks 10000 and 10001."""
    rows: dict[str, Any] = {
        "users": tuple(
            UserRow(
                id=int(number),
                number=number,
                first_name="Ext",
                last_name=number,
                enabled=True,
                registered=True,
                profile="Available",
                queue_status="LoggedIn",
            )
            for number in EXTENSIONS
        ),
        "queues": (
            QueueRow(
                1, "800", "Sales", (AgentRow("101"), AgentRow("102"), AgentRow("103")), ("100",), 20
            ),
        ),
        "ring_groups": (RingGroupRow(2, "600", "Office", ("104", "105"), "RingAll"),),
        "ivrs": (IvrRow(3, "700", "Main"),),
        "trunks": (
            TrunkRow(4, "10000", "skyetel", True, 10),
            TrunkRow(5, "10001", "other", True, 4),
        ),
        "departments": (
            DepartmentRow(6, "DEFAULT", "GRP0", EXTENSIONS, is_default=True),
            DepartmentRow(7, "Sales", "GRP1", ("101",)),
        ),
        "inbound_rules": (
            InboundRuleRow("Main number", "BasedOnDID", "+4930100", "10000"),
            InboundRuleRow("Hotline", "BasedOnDID", "+4930200", "10001"),
            InboundRuleRow("Fax", "BasedOnDID", "+4930300", "10001"),
        ),
        "system": SystemRow("20.0.10.1", "pbx.example.com", 32),
        "at": NOON,
    }
    return DirectoryRead(**(rows | changes))


class Told:
    """A tracker and the facts that it is told.

    Checks that the edits account for every change of the state.
    """

    def __init__(
        self,
        *,
        source: str = "callcontrol+activecalls",
        did_map: dict[str, str] | None = None,
        memories: topics.State | None = None,
    ) -> None:
        self.tracker = Tracker("monitor-1", did_map)
        self.now = NOON
        self._mirror: topics.State = topics.empty_state(topics.TOPICS | topics.BOOK_TOPICS)
        if memories is not None:
            self.tracker.remember(memories)
            self._mirror["ended"] = dict(self.tracker.state["ended"])
        self.tell(ConnectionChanged("connected", "", NOON, source))
        self.tell(directory())
        if "callcontrol" in source:
            self.full()
        if "activecalls" in source:
            self.rows()

    def tell(self, fact: Any) -> tuple[Edit, ...]:
        """Apply one fact.

        The edits, applied in their order, must lead to the very state that the tracker holds.
        """
        self.now += 1
        edits = self.tracker.apply(fact)
        for edit in edits:
            held = self._mirror[edit.topic].get(edit.id)
            assert edit.before == held, (
                f"{edit.topic} {edit.id}: before is {edit.before}, held {held}"
            )
            assert edit.before != edit.after
            if edit.after is None:
                del self._mirror[edit.topic][edit.id]
            else:
                self._mirror[edit.topic][edit.id] = edit.after
        assert self._mirror == self.tracker.state | self.tracker.book
        return edits

    def see(
        self, dn: str, pid: int, call: int, status: str, party: str, leg: int = 1, **more: Any
    ) -> tuple[Edit, ...]:
        """Tell of a participant; ``party`` is ``DN`` or ``DN:number`` for a trunk."""
        return self.tell(
            ParticipantSeen(
                participant(dn, pid, call, status, party, leg, **more), self.now, self.now
            )
        )

    def gone(self, dn: str, pid: int) -> tuple[Edit, ...]:
        """Tell of a participant's removal."""
        return self.tell(ParticipantGone(dn, pid, self.now, self.now))

    def full(
        self, *participants: Participant, kept: frozenset[tuple[str, int]] = frozenset()
    ) -> tuple[Edit, ...]:
        """Tell a full read of Call Control."""
        dns = dict.fromkeys(EXTENSIONS, "Wextension")
        return self.tell(ParticipantsRead(participants, dns, self.now, self.now, kept))

    def rows(
        self, *rows: tuple[int, str, str, str], asked: float | None = None
    ) -> tuple[Edit, ...]:
        """Tell an ActiveCalls answer of (id, caller, callee, status).

        Times are those of the question.
        """
        asked = self.now if asked is None else asked
        held = tuple(
            ActiveCall(id_, caller, callee, status, asked, asked)
            for id_, caller, callee, status in rows
        )
        return self.tell(ActiveCallsRead(held, asked, asked))

    def call(self, id_: int) -> topics.Call:
        """The call as it stands."""
        return topics.table(self.tracker.state, "calls", topics.Call)[str(id_)]

    def legs(self, id_: int) -> dict[str, tuple[str, str]]:
        """DN → (status, other side's number) of the call's legs."""
        return {leg.dn_num: (leg.status, leg.external_party) for leg in self.call(id_).legs}

    def extension(self, number: str) -> topics.Extension:
        """The extension as it stands."""
        return topics.table(self.tracker.state, "extensions", topics.Extension)[number]

    def queue(self, number: str = "800") -> topics.Queue:
        """The queue as it stands."""
        return topics.table(self.tracker.state, "queues", topics.Queue)[number]

    @property
    def calls(self) -> set[str]:
        """Ids of the calls that there are."""
        return set(self.tracker.state["calls"])

    @property
    def ended(self) -> list[topics.EndedCall]:
        """Calls that ended, in the order in which they did."""
        return list(topics.table(self.tracker.state, "ended", topics.EndedCall).values())


class Counted(Told):
    """A PBX with or without Call Control; the figures follow."""

    def __init__(self, source: str, memories: topics.State | None = None) -> None:
        self.statistics: Statistics | None = None
        super().__init__(source=source, memories=memories)
        self._seen = "callcontrol" in source
        self.statistics = Statistics(StatisticsSettings())
        self.statistics.reconcile(self.tracker.state, self.now)

    def tell(self, fact: Any) -> tuple[Edit, ...]:
        """Apply one fact to the tracker, and its edits to the figures."""
        edits = super().tell(fact)
        if self.statistics is not None:
            self.statistics.take(edits, self.now)
            self.statistics.tick(self.now)
        return edits

    def see(
        self, dn: str, pid: int, call: int, status: str, party: str, leg: int = 1, **more: Any
    ) -> tuple[Edit, ...]:
        """Tell of a participant, if this PBX shows any."""
        return super().see(dn, pid, call, status, party, leg, **more) if self._seen else ()

    def gone(self, dn: str, pid: int) -> tuple[Edit, ...]:
        """Tell of a participant's removal, if this PBX shows any."""
        return super().gone(dn, pid) if self._seen else ()

    def figures(self, topic: str, num: str) -> Any:
        """A statistics entity as it stands."""
        assert self.statistics is not None
        return self.statistics.figures[topic][num]


def participant(
    dn: str, pid: int, call: int, status: str, party: str, leg: int = 1, **more: Any
) -> Participant:
    """A participant whose other side is ``DN``, or ``DN:number`` for a trunk."""
    party_dn, _, number = party.partition(":")
    kinds = {
        "1000": "Wexternalline",
        "80": "Wqueue",
        "60": "Wringgroup",
        "70": "Wivr",
        "99": "Wspecialmenu",
        "": "None",
    }
    kind = next(
        (w for head, w in kinds.items() if head and party_dn.startswith(head)), "Wextension"
    )
    return Participant(
        id=pid,
        dn=dn,
        status=status,
        call_id=call,
        leg_id=leg,
        party_dn=party_dn,
        party_caller_id=number or party_dn,
        party_dn_type=kind if party_dn else "None",
        device_id=f"sip:{dn}@127.0.0.1",
        **more,
    )
