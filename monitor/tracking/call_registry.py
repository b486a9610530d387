"""Keep the participants and the ActiveCalls row of each call, fact by fact. Pure.

The registry decides what belongs together and which calls are over. What follows from that for a
call is concluded by :mod:`monitor.tracking.call_rules`.

*Ends.* A call is over when two things hold: it has no participants left, and an ActiveCalls answer
that was asked for after its last event does not list it. Where there are no ActiveCalls answers, a
call is over two seconds after its last participant went: queue waves and transfers leave gaps in
which no leg is visible. While the PBX cannot be reached, calls stay as they were; the reads after
that tell what is left of them. A PBX that restarted numbers its calls from the beginning again, so
a known id may then belong to another call.
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
    """Hold the records of all calls.

    Methods that take a fact return the ids of the calls that it touches.

    ``inconsistent_calls``: calls that still have participants though ActiveCalls no longer lists
    them. Each call is put in once. The owner of the registry reads the participants again and
    empties the set.
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
        """Note that the PBX cannot be reached from now on.

        Until it is reached again, a call may end unseen.
        """
        self._lost_at = at
        self._unconfirmed = {
            record.id: frozenset(record.participants) for record in self.records.values()
        }
        for record in self.records.values():
            record.watched = False

    def active_calls_lost(self) -> None:
        """Note that there are no ActiveCalls answers from now on.

        The end of a call without participants is then not seen.
        """
        for record in self.records.values():
            record.watched = record.watched and bool(record.participants)

    def seen(self, fact: ParticipantSeen) -> set[int]:
        """Put in a participant that was read after an event.

        It may have moved here from another call.
        """
        return self._move(fact.participant, fact.heard, fact.at)

    def gone(self, fact: ParticipantGone) -> set[int]:
        """Remove a participant; ignore one that is not known."""
        held = self.participant(fact.dn, fact.participant_id)
        if held is not None and fact.unread and self._may_have_answered(held):
            self.records[held.call_id].answer_unseen = True
        return self._take_out((fact.dn, fact.participant_id), fact.heard, fact.at)

    def participant(self, dn: str, participant_id: int) -> Participant | None:
        """Return a participant as it was last read, or None if it is not known."""
        call_id = self._home.get((dn, participant_id))
        return None if call_id is None else self.records[call_id].participants[dn, participant_id]

    def _may_have_answered(self, held: Participant) -> bool:
        """Return whether the unread last change of a participant may have been an answer.

        A phone that rang may have been picked up. A dialling phone may have been answered. If the
        phone that it dialled is visible, that phone's own leg tells this; if not, nothing does.
        """
        if held.status == "Ringing":
            return True
        outside = (
            held.party_dn_type in ("Wexternalline", "Wextension")
            and held.party_dn not in self.visible
        )
        return held.status == "Dialing" and outside

    def full_read(self, fact: ParticipantsRead) -> set[int]:
        """Bring all participants in line with a full read.

        Participants with events newer than the request stay as they are.
        """
        self.visible = frozenset(fact.dns)
        listed = {(p.dn, p.id): p for p in fact.participants if p.id not in fact.kept}
        touched: set[int] = set()
        for key in [key for key in self._home if key not in listed and key[1] not in fact.kept]:
            # No event told that it went, so its last change may have been missed as well.
            held = self.records[self._home[key]].participants[key]
            if self._may_have_answered(held):
                self.records[held.call_id].answer_unseen = True
            touched |= self._take_out(key, fact.asked, fact.at)
        for key, participant in listed.items():
            record = self.records.get(participant.call_id)
            if record is None or record.participants.get(key) != participant:
                touched |= self._move(participant, fact.asked, fact.at)
            else:
                record.watched = True
        return touched

    def rows(self, fact: ActiveCallsRead) -> set[int]:
        """Take in all rows of ActiveCalls.

        A call that is not listed keeps its row if it had an event after the request was sent.
        """
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
        """Yield calls whose id the PBX has reused for another call after a restart.

        The row shows it: it began after the connection was lost, it names another caller, and none
        of the call's participants is left. End each of these calls and :meth:`forget` it before the
        answer is taken in.
        """
        for row in fact.rows:
            record, before = self.records.get(row.id), self._unconfirmed.get(row.id)
            if record is None or before is None or self._lost_at is None:
                continue
            if (
                not record.started_at < self._lost_at < _began(row)
                or before & record.participants.keys()
            ):
                continue
            if record.row is None or record.row.caller != row.caller:
                yield record

    def over(self, at: float, *, rows_told: bool) -> Collection[int]:
        """Return the ids of calls that end only because time has passed.

        They have no participants, and there are no ActiveCalls answers that could tell their end.
        Empty if ``rows_told``. ``at``: PBX clock.
        """
        if rows_told:
            return ()
        idle = (r for r in self.records.values() if not r.participants and r.row is None)
        return [record.id for record in idle if record.left < at - _GRACE]

    def is_over(self, record: CallRecord) -> bool:
        """Return whether nothing is left of the call.

        An ActiveCalls answer that was asked for after its last event must confirm it.
        """
        return not record.participants and record.row is None and self._rows_asked > record.heard

    def record(self, call_id: int, at: float) -> CallRecord:
        """Return the call's record; open one if there is none."""
        record = self.records.get(call_id)
        if record is None:
            record = self.records[call_id] = CallRecord(call_id, at)
        return record

    def forget(self, record: CallRecord) -> None:
        """Close the record of a call.

        Participants that are still in it become the first ones of a new call with the same id.
        """
        del self.records[record.id]
        self._unconfirmed.pop(record.id, None)
        self._doubted.discard(record.id)
        self.inconsistent_calls.discard(record.id)
        if record.participants:
            heir = CallRecord(
                record.id, record.left, heard=record.heard, participants=record.participants
            )
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
    """Return the earliest time that a row tells of its call, or minus infinity if it tells none."""
    return min(
        (time for time in (row.established_at, row.last_change_status) if time is not None),
        default=float("-inf"),
    )
