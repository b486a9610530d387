"""Facts from the PBX in, edits of entities out. Pure: no clock, no I/O; what time it is comes with the facts.

The tracker holds the whole state of one PBX. Each fact touches some calls; each touched call is drawn up anew by the
rules of :mod:`monitor.calls`, and with it the extensions, queues and lines that it touches. What came out equal is no
edit. All edits of one fact belong together: they are one change, never two halves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import assert_never

from msgspec.structs import replace

from monitor import calls, drawing, memory
from monitor.ledger import Ledger
from monitor.legs import CallRecord
from monitor.model import entities as e
from monitor.model.change import Edit, apply, difference
from monitor.model.instants import from_unix
from monitor.model.phonebook import PhoneIndex
from monitor.pbx.facts import (
    ActiveCallsRead,
    ConnectionChanged,
    ContactChanged,
    ContactsRead,
    DirectoryRead,
    Fact,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueLoginsRead,
)
from monitor.roster import Roster

ENDED_KEPT = 1_000
ENDED_SECONDS = 24 * 3600.0


class Tracker:
    """The state of one PBX, brought forward fact by fact.

    ``state`` holds the live topics, ``book`` the contacts; both are read by whoever writes a whole state. ``ready``
    turns true once everything that a first full state needs has been read. ``doubts`` are calls whose participants and
    row contradict each other: whoever runs the tracker has the participants read again and clears the set.
    """

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        self.state = e.empty_state(e.TOPICS)
        self.book = e.empty_state(e.BOOK_TOPICS)
        self._monitor = monitor
        self._did_map = dict(did_map or {})
        self._roster = Roster(did_map=self._did_map)
        self._phones = PhoneIndex()
        self._ledger = Ledger()
        self._connection = ConnectionChanged("connecting", "", 0.0)
        self._read: set[str] = set()
        self._on_dn: dict[str, set[int]] = defaultdict(set)
        self._dns_of: dict[int, set[str]] = {}
        self._at = 0.0
        self._memories: dict[int, e.Call] = {}

    def remember(self, state: e.State) -> None:
        """Take over what an earlier monitor stored of calls, before the first fact."""
        self.state["ended"] = dict(sorted(state["ended"].items(), key=lambda item: _ended_at(item[1])))
        self._memories = {call.call_id: call for call in e.table(state, "calls", e.Call).values()}

    @property
    def doubts(self) -> set[int]:
        """Calls whose participants and rows contradict each other; to be emptied by whoever acts on it."""
        return self._ledger.doubts

    @property
    def ready(self) -> bool:
        """Whether directory, participants and rows have been read as far as the source offers them."""
        needed = {"directory"} | set(self._connection.source.split("+")) - {""}
        return self._connection.source != "" and needed <= self._read

    def apply(self, fact: Fact) -> tuple[Edit, ...]:
        """Take in a fact; give the edits that follow from it, already made in ``state`` (contacts: in ``book``)."""
        if not isinstance(fact, ContactsRead):
            self._at = max(self._at, fact.at)
        match fact:
            case ParticipantSeen():
                self._learn((fact.participant,))
                return self._update(self._ledger.seen(fact), fact.at)
            case ParticipantGone():
                return self._update(self._ledger.gone(fact), fact.at)
            case ParticipantsRead():
                return self._participants_read(fact)
            case ActiveCallsRead():
                return self._rows_read(fact)
            case DirectoryRead():
                return self._directory_read(fact)
            case ContactsRead() | ContactChanged():
                return self._book_read(fact)
            case QueueLoginsRead():
                return self._logins_read(fact)
            case ConnectionChanged():
                return self._connection_changed(fact)
        assert_never(fact)

    def tick(self, at: float) -> tuple[Edit, ...]:
        """Let time pass: forget calls that ended a day ago, end calls that only time can end. ``at``: PBX clock."""
        connected = self._connection.connection == "connected"
        over = self._ledger.over(at, rows_told="activecalls" in self._connection.source or not connected)
        edits = list(self._update(over, at, over))
        if self.ready:
            edits += self._bury(at)
        edits += self._forget(at)
        return tuple(edits)

    # facts

    def _participants_read(self, fact: ParticipantsRead) -> tuple[Edit, ...]:
        self._read.add("callcontrol")
        before = self._ledger.visible
        touched = self._ledger.full_read(fact)
        for dn, w_type in fact.dns.items():
            self._roster.learn(dn, w_type)
        self._learn(fact.participants)
        edits = list(self._update(touched, fact.at))
        if self._ledger.visible != before:
            edits += self._commit("extensions", {num: self._extension(num) for num in self._roster.extensions})
            edits += self._commit("system", self._system())
        return tuple(edits)

    def _rows_read(self, fact: ActiveCallsRead) -> tuple[Edit, ...]:
        self._read.add("activecalls")
        edits: list[Edit] = []
        replaced: set[int] = set()
        for record in list(self._ledger.impostors(fact)):
            record.watched = False
            edits += self._end(record, fact.at)
            replaced.add(record.id)
        return (*edits, *self._update(self._ledger.rows(fact) | replaced, fact.at))

    def _learn(self, participants: Iterable[Participant]) -> None:
        for participant in participants:
            self._roster.learn(participant.party_dn, participant.party_dn_type)

    def _directory_read(self, fact: DirectoryRead) -> tuple[Edit, ...]:
        self._read.add("directory")
        roster = Roster(fact, self._did_map, self._roster.logins)
        roster.learnt(self._roster)
        self._roster = roster
        before = {topic: dict(table) for topic, table in self.state.items()}
        self._update(set(self._ledger.records), fact.at)
        for topic, table in (
            ("groups", roster.groups),
            ("ivrs", roster.ivrs),
            ("extgroups", roster.extgroups),
            ("queues", {num: self._queue(num) for num in roster.queues}),
            ("lines", {num: self._line(num) for num in roster.lines}),
            ("extensions", {num: self._extension(num) for num in roster.extensions}),
            ("system", self._system()),
        ):
            self.state[topic] = dict(table)
        return difference(before, self.state)

    def _book_read(self, fact: ContactsRead | ContactChanged) -> tuple[Edit, ...]:
        return self._contacts_read(fact) if isinstance(fact, ContactsRead) else self._contact_changed(fact)

    def _contacts_read(self, fact: ContactsRead) -> tuple[Edit, ...]:
        before = self.book
        self.book = {"contacts": {str(contact.id): contact for contact in fact.contacts}}
        edits = difference(before, self.book)
        if not edits:
            return ()
        self._phones = PhoneIndex(fact.contacts)
        return (*edits, *self._update(set(self._ledger.records), self._at))

    def _contact_changed(self, fact: ContactChanged) -> tuple[Edit, ...]:
        held = self.book["contacts"]
        before = held.get(str(fact.id))
        if before == fact.contact:
            return ()
        if isinstance(before, e.Contact):
            self._phones.remove(before)
        if fact.contact is not None:
            self._phones.add(fact.contact)
        edit = Edit("contacts", str(fact.id), before, fact.contact)
        apply(self.book, (edit,))
        return (edit, *self._update(set(self._ledger.records), self._at))

    def _logins_read(self, fact: QueueLoginsRead) -> tuple[Edit, ...]:
        self._roster.log_in(fact.logins)
        if "directory" not in self._read:
            return ()
        return (
            *self._commit("extensions", {num: self._extension(num) for num in self._roster.queues_of}),
            *self._commit("system", self._system()),
        )

    def _connection_changed(self, fact: ConnectionChanged) -> tuple[Edit, ...]:
        before = self._connection
        if fact.connection == before.connection:
            fact = ConnectionChanged(fact.connection, fact.reason, before.at, fact.source or before.source)
        elif not fact.source:
            fact = ConnectionChanged(fact.connection, fact.reason, fact.at, before.source)
        if before.connection == "connected" and fact.connection != "connected":
            self._ledger.lost(fact.at)
        self._connection = fact
        return self._commit("system", self._system())

    # entities

    def _update(self, touched: Iterable[int], at: float, over: Iterable[int] = ()) -> tuple[Edit, ...]:
        if "directory" not in self._read:
            return ()  # without it nothing tells what a number is; all is drawn once it is read
        edits: list[Edit] = []
        numbers: set[str] = set()
        over = set(over)
        for call_id in sorted(touched):
            record = self._ledger.records.get(call_id)
            after = None
            if record is None:
                pass
            elif call_id in over or self._ledger.is_over(record):
                edits += self._end(record, at)
            else:
                self._recall(record, at)
                calls.observe(record, self._roster, self._ledger.visible, at)
                after = drawing.call(record, self._roster, self._phones)
                edits += self._commit("calls", {str(call_id): after})
            numbers |= self._reindex(call_id, after)
        for number in sorted(numbers):
            if number in self._roster.extensions:
                edits += self._commit("extensions", {number: self._extension(number)})
            elif number in self._roster.lines:
                edits += self._commit("lines", {number: self._line(number)})
            elif number in self._roster.queues:
                edits += self._commit("queues", {number: self._queue(number)})
        return tuple(edits)

    def _recall(self, record: CallRecord, at: float) -> None:
        """Give a call that was found, not seen to begin, what an earlier monitor knew of it."""
        known = self._memories.get(record.id)
        if known is None:
            return
        calls.observe(record, self._roster, self._ledger.visible, at)
        if memory.is_same(record, known):
            memory.take_over(record, known)
            del self._memories[record.id]

    def _end(self, record: CallRecord, at: float) -> list[Edit]:
        self._ledger.forget(record)
        before = self.state["calls"].pop(str(record.id), None)
        if before is None:
            return []
        ended = drawing.ended(record, self._roster, self._phones, record.left or at, looking=record.watched)
        return [
            Edit("calls", str(record.id), before, None),
            *self._commit("ended", {ended.id: ended}),
            *self._forget(at),
        ]

    def _bury(self, at: float) -> list[Edit]:
        """End the calls that an earlier monitor knew and that are no more."""
        edits: list[Edit] = []
        for call in self._memories.values():
            ended = memory.ended_unseen(call, at)
            edits += self._commit("ended", {ended.id: ended})
        self._memories.clear()
        return edits

    def _forget(self, at: float) -> list[Edit]:
        ended = self.state["ended"]
        edits: list[Edit] = []
        horizon = from_unix(at - ENDED_SECONDS)
        for id_ in list(ended):
            entity = ended[id_]
            too_old = isinstance(entity, e.EndedCall) and entity.ended_at < horizon
            if len(ended) <= ENDED_KEPT and not too_old:
                break
            edits.append(Edit("ended", id_, ended.pop(id_), None))
        return edits

    def _commit(self, topic: str, entities: Mapping[str, e.Entity]) -> tuple[Edit, ...]:
        held = self.state[topic]
        edits = tuple(
            Edit(topic, id_, held.get(id_), entity) for id_, entity in entities.items() if held.get(id_) != entity
        )
        apply(self.state, edits)
        return edits

    def _reindex(self, call_id: int, call: e.Call | None) -> set[str]:
        """Keep the look-ups between DNs and calls; give every DN whose entity may have changed."""
        old = self._dns_of.pop(call_id, set())
        new = _dns(call) if call is not None else set()
        for dn in old - new:
            self._on_dn[dn].discard(call_id)
            if not self._on_dn[dn]:
                del self._on_dn[dn]
        for dn in new - old:
            self._on_dn[dn].add(call_id)
        if new:
            self._dns_of[call_id] = new
        return old | new

    def _calls_on(self, dn: str) -> list[e.Call]:
        table = e.table(self.state, "calls", e.Call)
        return [table[str(call_id)] for call_id in sorted(self._on_dn.get(dn, ())) if str(call_id) in table]

    def _extension(self, number: str) -> e.Extension:
        idle = replace(self._roster.extensions[number], monitored=number in self._ledger.visible)
        return drawing.extension(idle, self._calls_on(number), self.state["extensions"].get(number), self._at)

    def _queue(self, number: str) -> e.Queue:
        return drawing.queue(self._roster.queues[number], self._calls_on(number))

    def _line(self, number: str) -> e.Line:
        return replace(self._roster.lines[number], in_use=len(self._on_dn.get(number, ())))

    def _system(self) -> dict[str, e.Entity]:
        row = self._roster.system
        hidden = [number for number in self._roster.users if number not in self._ledger.visible]
        return {
            e.SYSTEM_ID: e.System(
                connection=self._connection.connection,
                since=from_unix(self._connection.at),
                reason=self._connection.reason,
                version=row.version,
                fqdn=row.fqdn,
                licence_limit=row.max_sim_calls,
                source=self._connection.source,
                monitor=self._monitor,
                queue_rule=self._roster.queue_rule,
                unmonitored=len(hidden),
            )
        }


def _dns(call: e.Call) -> set[str]:
    dns = {leg.dn_num for leg in call.legs}
    return dns | {call.queue} if call.queue else dns


def _ended_at(entity: e.Entity) -> str:
    return entity.ended_at if isinstance(entity, e.EndedCall) else ""
