"""Keep the participants and the ActiveCalls row of each call, fact by fact. Pure.

The registry alone writes :class:`~monitor.tracking.call_evidence.CallEvidence`. It decides what
belongs together and which calls are over. What follows from that for a call is concluded by
:mod:`monitor.tracking.call_inference`.

*Ends.* A call is over when two things hold: it has no participants left, and an ActiveCalls answer
that was asked for after its last event does not list it. Where there are no ActiveCalls answers, a
call is over two seconds after its last participant went: queue waves and transfers leave gaps in
which no leg is visible. While the PBX cannot be reached, calls stay as they were; the reads after
that tell what is left of them. A PBX that restarted numbers its calls from the beginning again, so
a known id may then belong to another call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    CallOrdered,
    Participant,
    ParticipantGone,
    ParticipantsRead,
)
from monitor.tracking.call_evidence import CallEvidence

_GRACE = 2.0
_ORDERED = 60.0
"""Seconds within which a call that was ordered begins, or began before the answer to the order."""
_ORDERS = 1_000
"""Orders that are kept until their calls are seen."""


class CallRegistry:
    """Hold the evidence of all calls.

    Methods that take a fact return the ids of the calls that it touches.

    ``inconsistent_calls``: calls that still have participants though ActiveCalls no longer lists
    them. Each call is put in once. The owner of the registry reads the participants again and
    empties the set.
    """

    def __init__(self) -> None:
        self.calls: dict[int, CallEvidence] = {}
        self.visible: frozenset[str] = frozenset()
        self.inconsistent_calls: set[int] = set()
        self._doubted: set[int] = set()
        self._orders: OrderedDict[int, CallOrdered] = OrderedDict()
        self._home: dict[tuple[str, int], int] = {}
        self._rows_asked = float("-inf")
        self._rows_followed = False
        """True while each ActiveCalls answer follows another without a break."""
        self._lost_at: float | None = None
        self._unconfirmed: dict[int, frozenset[tuple[str, int]]] = {}

    def connection_lost(self, at: float) -> None:
        """Note that the PBX cannot be reached from now on.

        Until it is reached again, a call may end unseen.
        """
        self._lost_at = at
        self._rows_followed = False
        self._unconfirmed = {call.id: frozenset(call.participants) for call in self.calls.values()}
        for call in self.calls.values():
            call.watched = False

    def active_calls_lost(self) -> None:
        """Note that there are no ActiveCalls answers from now on.

        The end of a call without participants is then not seen.
        """
        self._rows_followed = False
        for call in self.calls.values():
            call.watched = call.watched and bool(call.participants)

    def seen(self, participant: Participant, heard: float, at: float) -> set[int]:
        """Put in a participant that was read after an event, heard and dated then.

        It may have moved here from another call. What is known word for word touches no call.
        """
        call = self.calls.get(participant.call_id)
        if (
            call is not None
            and heard <= call.heard
            and call.participants.get((participant.dn, participant.id)) == participant
        ):
            call.watched = True
            return set()
        return self._move(participant, heard, at)

    def ordered(self, order: CallOrdered) -> set[int]:
        """Put in an order; it waits for its call if that is not known yet."""
        call = self.calls.get(order.call_id)
        if call is not None and call.started_at >= order.at - _ORDERED:
            call.order = order
            return {call.id}
        self._orders[order.call_id] = order
        if len(self._orders) > _ORDERS:
            self._orders.popitem(last=False)
        return set()

    def note_missed_answers(self, call_ids: Iterable[int]) -> None:
        """Note that these calls may have been answered by a leg that was never read."""
        for call_id in call_ids:
            self.calls[call_id].answer_missed = True

    def counted(self, call_id: int, queue: str) -> bool:
        """Note that the PBX counts a call in a queue; return whether that is news."""
        call = self.calls.get(call_id)
        if call is None or call.counted_in == queue:
            return False
        call.counted_in = queue
        return True

    def gone(self, fact: ParticipantGone) -> set[int]:
        """Remove a participant; ignore one that is not known."""
        held = self.participant(fact.dn, fact.participant_id)
        if held is not None and fact.unread and self._may_have_answered(held):
            self.calls[held.call_id].answer_missed = True
        return self._take_out((fact.dn, fact.participant_id), fact.heard, fact.at)

    def participant(self, dn: str, participant_id: int) -> Participant | None:
        """Return a participant as it was last read, or None if it is not known."""
        call_id = self._home.get((dn, participant_id))
        return None if call_id is None else self.calls[call_id].participants[dn, participant_id]

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
            held = self.calls[self._home[key]].participants[key]
            if self._may_have_answered(held):
                self.calls[held.call_id].answer_missed = True
            touched |= self._take_out(key, fact.asked, fact.at)
        for key, participant in listed.items():
            call = self.calls.get(participant.call_id)
            if call is None or call.participants.get(key) != participant:
                touched |= self._move(participant, fact.asked, fact.at)
                self.calls[participant.call_id].found |= call is None
            else:
                call.watched = True
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
            unseen = row.id not in self.calls and not self._rows_followed
            call = self._call(row.id, fact.at)
            call.found |= unseen
            was_fresh = call.fresh
            changed = call.row is not row and call.row != row  # most rows are the very same
            call.row_asked, call.watched = fact.asked, True
            if changed:
                _take_row(call, row)
            if changed or call.fresh != was_fresh:
                touched.add(row.id)
        self._rows_followed = True
        listed = {row.id for row in fact.rows}
        for call in self.calls.values():
            if call.id in listed or fact.asked <= call.heard:
                continue
            if call.row is not None or not call.participants:
                if call.fresh:
                    call.left = fact.at
                call.row = None
                touched.add(call.id)
            if call.participants and call.id not in self._doubted:
                self.inconsistent_calls.add(call.id)
                self._doubted.add(call.id)
        return touched

    def reused_call_ids(self, fact: ActiveCallsRead) -> Iterator[CallEvidence]:
        """Yield calls whose id the PBX has reused for another call after a restart.

        The row shows it: it began after the connection was lost, it names another caller, and none
        of the call's participants is left. End each of these calls and :meth:`forget` it before the
        answer is taken in.
        """
        for row in fact.rows:
            call, before = self.calls.get(row.id), self._unconfirmed.get(row.id)
            if call is None or before is None or self._lost_at is None:
                continue
            if (
                not call.started_at < self._lost_at < _began(row)
                or before & call.participants.keys()
            ):
                continue
            if call.row is None or call.row.caller != row.caller:
                call.watched = False  # nobody saw its end
                yield call

    def over(self, at: float, *, rows_told: bool) -> Collection[int]:
        """Return the ids of calls that end only because time has passed.

        They have no participants, and there are no ActiveCalls answers that could tell their end.
        Empty if ``rows_told``. ``at``: PBX clock.
        """
        if rows_told:
            return ()
        idle = (r for r in self.calls.values() if not r.participants and r.row is None)
        return [call.id for call in idle if call.left < at - _GRACE]

    def is_over(self, call: CallEvidence) -> bool:
        """Return whether nothing is left of the call.

        An ActiveCalls answer that was asked for after its last event must confirm it.
        """
        return not call.participants and call.row is None and self._rows_asked > call.heard

    def _call(self, call_id: int, at: float) -> CallEvidence:
        """Return the call's evidence; open it if there is none."""
        call = self.calls.get(call_id)
        if call is None:
            call = self.calls[call_id] = CallEvidence(call_id, at)
            order = self._orders.pop(call_id, None)
            if order is not None and at - order.at <= _ORDERED:
                call.order = order
        return call

    def forget(self, call: CallEvidence) -> None:
        """Close the evidence of a call.

        Participants that are still in it become the first ones of a new call with the same id.
        """
        del self.calls[call.id]
        self._unconfirmed.pop(call.id, None)
        self._doubted.discard(call.id)
        self.inconsistent_calls.discard(call.id)
        if call.participants:
            self.calls[call.id] = CallEvidence(
                call.id, call.left, heard=call.heard, participants=call.participants
            )

    def _move(self, participant: Participant, heard: float, at: float) -> set[int]:
        key = (participant.dn, participant.id)
        touched = {participant.call_id}
        if self._home.get(key, participant.call_id) != participant.call_id:
            touched |= self._take_out(key, heard, at)
        call = self._call(participant.call_id, at)
        call.heard = max(call.heard, heard)
        call.watched = True
        call.participants[key] = participant
        self._home[key] = call.id
        return touched

    def _take_out(self, key: tuple[str, int], heard: float, at: float) -> set[int]:
        call_id = self._home.pop(key, None)
        if call_id is None:
            return set()
        call = self.calls[call_id]
        del call.participants[key]
        call.heard = max(call.heard, heard)
        call.left = at
        return {call_id}


def _take_row(call: CallEvidence, row: ActiveCall) -> None:
    call.row = row
    call.started_at = min(call.started_at, _began(row, call.started_at))
    if call.changed is None or call.changed[0] != row.last_change_status:
        call.changed = row.last_change_status, row.callee


def _began(row: ActiveCall, unknown: float = float("-inf")) -> float:
    """Return the earliest time that a row tells of its call, or ``unknown`` if it tells none."""
    return min(
        (time for time in (row.established_at, row.last_change_status) if time is not None),
        default=unknown,
    )
