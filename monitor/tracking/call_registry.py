"""Which call has which participants and which row, fact by fact. Pure.

The ledger decides what belongs together and what is over; what follows from it for a call is drawn by
:mod:`monitor.tracking.call_rules`.

*Ends.* A call is over when it has no participants left and an ActiveCalls answer, asked for after its last event, does
not list it. Where there are no ActiveCalls answers, it is over two seconds after its last participant: queue waves and
transfers leave gaps in which no leg is visible. While the PBX is out of reach calls stay as they were; after that the
reads tell what is left of them. A PBX that restarted numbers its calls anew, so a known id may then be another call's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
)
from monitor.tracking.leg_rules import CallRecord

_GRACE = 2.0


class CallRegistry:
    """The records of all calls. The methods that take a fact give the ids of the calls that it touches.

    ``doubts``: calls of which participants are left though ActiveCalls lists them no more, each told once. Whoever
    holds the ledger has the participants read again and empties the set.
    """

    def __init__(self) -> None:
        self.records: dict[int, CallRecord] = {}
        self.visible: frozenset[str] = frozenset()
        self.inconsistent_calls: set[int] = set()
        self._doubted: set[int] = set()
        self._home: dict[tuple[str, int], int] = {}
        self._rows_asked = float("-inf")
        self._lost_at: float | None = None
        self._unconfirmed: dict[int, frozenset[tuple[str, int]]] = {}

    def connection_lost(self, at: float) -> None:
        """Take note that the PBX is out of reach from now on: until it is seen again a call may end unseen."""
        self._lost_at = at
        self._unconfirmed = {record.id: frozenset(record.participants) for record in self.records.values()}
        for record in self.records.values():
            record.watched = False

    def active_calls_lost(self) -> None:
        """Take note that ActiveCalls is done without from now on: of calls without participants nobody sees the end."""
        for record in self.records.values():
            record.watched = record.watched and bool(record.participants)

    def seen(self, fact: ParticipantSeen) -> set[int]:
        """Take in a participant that was read after an event; it may have moved here from another call."""
        return self._move(fact.participant, fact.heard, fact.at)

    def gone(self, fact: ParticipantGone) -> set[int]:
        """Take out a participant; one that is not known is ignored."""
        held = self.participant(fact.dn, fact.participant_id)
        if held is not None and fact.unread and self._may_have_answered(held):
            self.records[held.call_id].answer_unseen = True
        return self._take_out((fact.dn, fact.participant_id), fact.heard, fact.at)

    def participant(self, dn: str, participant_id: int) -> Participant | None:
        """Return a participant as it was read last; None if it is not known."""
        call_id = self._home.get((dn, participant_id))
        return None if call_id is None else self.records[call_id].participants[dn, participant_id]

    def _may_have_answered(self, held: Participant) -> bool:
        """Tell whether what was not read of a participant may have been an answer.

        A phone that rang may have been picked up. Whom somebody dialled tells it by a leg of his own, if that is shown.
        """
        if held.status == "Ringing":
            return True
        outside = held.party_dn_type in ("Wexternalline", "Wextension") and held.party_dn not in self.visible
        return held.status == "Dialing" and outside

    def full_read(self, fact: ParticipantsRead) -> set[int]:
        """Bring all participants in line with a full read, but for those with events newer than the question."""
        self.visible = frozenset(fact.dns)
        listed = {(p.dn, p.id): p for p in fact.participants if p.id not in fact.kept}
        touched: set[int] = set()
        for key in [key for key in self._home if key not in listed and key[1] not in fact.kept]:
            touched |= self._take_out(key, fact.asked, fact.at)
        for key, participant in listed.items():
            record = self.records.get(participant.call_id)
            if record is None or record.participants.get(key) != participant:
                touched |= self._move(participant, fact.asked, fact.at)
            else:
                record.watched = True
        return touched

    def rows(self, fact: ActiveCallsRead) -> set[int]:
        """Take in all rows of ActiveCalls. A call that is not listed keeps its row if it had an event since."""
        self._rows_asked = fact.asked
        for row in fact.rows:
            self._unconfirmed.pop(row.id, None)
        touched: set[int] = set()
        for row in fact.rows:
            record = self.record(row.id, fact.at)
            was_fresh, changed = record.fresh, record.row != row
            record.row, record.row_asked, record.watched = row, fact.asked, True
            if changed or record.fresh != was_fresh:
                touched.add(row.id)
        listed = {row.id for row in fact.rows}
        for record in self.records.values():
            if record.id in listed or fact.asked <= record.heard:
                continue
            if record.row is not None or not record.participants:
                if record.fresh:
                    record.left = fact.at
                record.row = None
                touched.add(record.id)
            if record.participants and record.id not in self._doubted:
                self.inconsistent_calls.add(record.id)
                self._doubted.add(record.id)
        return touched

    def reused_call_ids(self, fact: ActiveCallsRead) -> Iterator[CallRecord]:
        """The calls whose ids other calls bear in this answer, as the PBX restarted since they were last listed.

        Told by the row: it began after the connection was lost, another caller stands in it, and none of the call's
        participants is left. Each is to be ended and :meth:`forget`-ten before the answer is taken in.
        """
        for row in fact.rows:
            record, before = self.records.get(row.id), self._unconfirmed.get(row.id)
            if record is None or before is None or self._lost_at is None:
                continue
            if not record.started_at < self._lost_at < _began(row) or before & record.participants.keys():
                continue
            if record.row is None or record.row.caller != row.caller:
                yield record

    def over(self, at: float, *, rows_told: bool) -> Collection[int]:
        """The calls that only time can end: those without participants, where no ActiveCalls answers are to be had."""
        if rows_told:
            return ()
        idle = (r for r in self.records.values() if not r.participants and r.row is None)
        return [record.id for record in idle if record.left < at - _GRACE]

    def is_over(self, record: CallRecord) -> bool:
        """Whether nothing is left of the call and an answer asked for after its last event says so."""
        return not record.participants and record.row is None and self._rows_asked > record.heard

    def record(self, call_id: int, at: float) -> CallRecord:
        """The call's record, opened now if there is none."""
        record = self.records.get(call_id)
        if record is None:
            record = self.records[call_id] = CallRecord(call_id, at)
        return record

    def forget(self, record: CallRecord) -> None:
        """Close the record. Participants that are in it stay known, as the first of another call with the same id."""
        del self.records[record.id]
        self._unconfirmed.pop(record.id, None)
        self._doubted.discard(record.id)
        self.inconsistent_calls.discard(record.id)
        if record.participants:
            heir = CallRecord(record.id, record.left, heard=record.heard, participants=record.participants)
            self.records[record.id] = heir

    def _move(self, participant: Participant, heard: float, at: float) -> set[int]:
        key = (participant.dn, participant.id)
        touched = {participant.call_id}
        if self._home.get(key, participant.call_id) != participant.call_id:
            touched |= self._take_out(key, heard, at)
        record = self.record(participant.call_id, at)
        record.heard = max(record.heard, heard)
        record.watched = True
        record.participants[key] = participant
        self._home[key] = record.id
        return touched

    def _take_out(self, key: tuple[str, int], heard: float, at: float) -> set[int]:
        call_id = self._home.pop(key, None)
        if call_id is None:
            return set()
        record = self.records[call_id]
        del record.participants[key]
        record.heard = max(record.heard, heard)
        record.left = at
        return {call_id}


def _began(row: ActiveCall) -> float:
    """The earliest that a row tells of its call; the beginning of time if it tells nothing."""
    return min(
        (time for time in (row.established_at, row.last_change_status) if time is not None), default=float("-inf")
    )
