"""Keep the participants and the ActiveCalls row of each call, fact by fact. Pure.

The registry alone writes :class:`~monitor.tracking.call_evidence.CallEvidence`. It decides what
belongs together and which calls are over. What follows from that for a call is concluded by
:mod:`monitor.tracking.call_inference`.

*Ends.* A call is over when two things hold: it has no participants left, and an ActiveCalls answer
that was asked for after its last event does not list it. Where there are no ActiveCalls answers, a
call is over two seconds after its last participant went: queue waves and transfers leave gaps in
which no leg is visible. While the PBX cannot be reached, calls stay as they were; the reads after
that tell what is left of them.

*Reused ids.* A PBX that restarted numbers its calls and participants from the beginning again, so a
known id may belong to another call. A call is *unconfirmed* if the PBX may have restarted since it
was last seen: the connection was lost; or, if only ActiveCalls tells of calls, a read of it failed;
or a full read found that all its participants were replaced without an event; or an answer of
ActiveCalls names another caller, and times later than all that was known. The restart may be
noticed late, and the facts of both lives may come in any order. So an unconfirmed call is not
inferred, and it stays as it was shown. It is the same call as soon as one of its participants is
seen in it again. Without that, it is decided after a full read and an ActiveCalls answer, each
asked for after the one before, have told what there is now: it is the same if its row tells the
caller and the EstablishedAt of its first row, or by
:func:`~monitor.tracking.call_recovery.is_same`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

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
        self._unconfirmed: dict[int, Mapping[tuple[str, int], Participant]] = {}
        """Unconfirmed calls → the participants by which each is known again."""
        self._doubted_at = float("-inf")
        """Monotonic time; only what was asked for after it can decide on unconfirmed calls."""
        self._full_asked: float | None = None
        """Time at which the first full read after that was asked for; None before it."""

    def connection_lost(self) -> None:
        """Note that the PBX cannot be reached from now on.

        Until it is reached again, a call may end unseen. May be called again.
        """
        self._rows_followed = False
        for call in self.calls.values():
            call.watched = False
            self._doubt(call, self._rows_asked)

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
        again = self._recognise(participant)
        call = self.calls.get(participant.call_id)
        if (
            call is not None
            and heard <= call.heard
            and call.participants.get((participant.dn, participant.id)) == participant
        ):
            self._note_told(call, at)
            return {call.id} if again else set()
        return self._move(participant, heard, at)

    def ordered(self, order: CallOrdered) -> set[int]:
        """Put in an order; it waits for its call if that is not known yet."""
        call = self.calls.get(order.call_id)
        if (
            call is not None
            and call.id not in self._unconfirmed
            and call.started_at >= order.at - _ORDERED
        ):
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
        if self._full_asked is None and fact.asked > self._doubted_at:
            self._full_asked = fact.asked
        listed = {(p.dn, p.id): p for p in fact.participants if (p.dn, p.id) not in fact.kept}
        touched: set[int] = set()
        come, went = self._replaced(listed)
        for key in sorted(self._home.keys() - listed.keys() - fact.kept):
            # No event told that it went, so its last change may have been missed as well.
            held = self.calls[self._home[key]].participants[key]
            went.setdefault(held.call_id, {})[key] = held
            if self._may_have_answered(held):
                self.calls[held.call_id].answer_missed = True
            touched |= self._take_out(key, fact.asked, fact.at)
        for participant in listed.values():
            touched |= self._listed(participant, fact)
        for call_id, before in went.items():
            call = self.calls[call_id]
            replaced = bool(call.participants) and call.participants.keys() <= come
            if replaced and call_id not in self._unconfirmed:
                self._doubt(call, fact.asked, before)
                self._full_asked = fact.asked
        return touched

    def _listed(self, participant: Participant, fact: ParticipantsRead) -> set[int]:
        """Put in a participant that a full read lists."""
        call = self.calls.get(participant.call_id)
        touched = {participant.call_id} if self._recognise(participant) else set()
        if call is None or call.participants.get((participant.dn, participant.id)) != participant:
            touched |= self._move(participant, fact.asked, fact.at)
            self.calls[participant.call_id].found |= call is None
        else:
            self._note_told(call, fact.at)
        return touched

    def rows(self, fact: ActiveCallsRead) -> set[int]:
        """Take in all rows of ActiveCalls.

        A call that is not listed keeps its row if it had an event after the request was sent.
        """
        self._doubt_by_rows(fact)
        self._rows_asked = fact.asked
        touched = {row.id for row in fact.rows if self._row(row, fact)}
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

    def _row(self, row: ActiveCall, fact: ActiveCallsRead) -> bool:
        """Put in a row; return whether it tells anything new of its call."""
        unseen = row.id not in self.calls and not self._rows_followed
        call = self._call(row.id, fact.at)
        call.found |= unseen
        was_fresh = call.fresh
        changed = call.row is not row and call.row != row  # most rows are the very same
        call.row_asked = fact.asked
        self._note_told(call, max([fact.at, *_times(row)]))
        if changed:
            _take_row(call, row, first=row.id not in self._unconfirmed)
        return changed or call.fresh != was_fresh

    # unconfirmed calls

    def is_unconfirmed(self, call_id: int) -> bool:
        """Return whether the id may belong to another call than the one that is known."""
        return call_id in self._unconfirmed

    def undecided(self, source: str) -> list[CallEvidence]:
        """Return the unconfirmed calls on which everything has been told that can decide.

        ``source``: the interfaces that tell of calls. Call :meth:`confirm` or :meth:`replace` for
        each of them.
        """
        if not self._unconfirmed or ("callcontrol" in source and self._full_asked is None):
            return []
        latest = max(self._doubted_at, self._full_asked or self._doubted_at)
        if "activecalls" in source and self._rows_asked <= latest:
            return []
        calls = (self.calls[call_id] for call_id in self._unconfirmed)
        return [call for call in calls if call.participants or self._row_since(call) is not None]

    def renewed(self, call: CallEvidence, at: float) -> CallEvidence:
        """Return what is said now of an unconfirmed call, as evidence of another call."""
        row = self._row_since(call)
        anew = CallEvidence(
            call.id,
            at,
            heard=call.heard,
            told_at=call.told_at,
            participants=call.participants,
            found=True,
        )
        if row is not None:
            anew.row_asked = call.row_asked
            _take_row(anew, row)
        return anew

    def has_same_row(self, call: CallEvidence) -> bool:
        """Return whether the row shows that an undecided call is still the same.

        Its first row is the measure: a later one may be another call's already.
        """
        before, now = call.first_row, self._row_since(call)
        if before is None or now is None or now.established_at is None:
            return False
        return (before.caller, before.established_at) == (now.caller, now.established_at)

    def confirm(self, call: CallEvidence) -> None:
        """Note that the id still belongs to the call that is known."""
        del self._unconfirmed[call.id]
        call.first_row = call.first_row or call.row
        call.watched = True

    def replace(self, call: CallEvidence, anew: CallEvidence, at: float) -> None:
        """Note that the id belongs to another call now; :meth:`renewed` returned its evidence.

        The call that was known has ended unseen, at ``at`` at the latest.
        """
        self.forget(call)
        call.watched, call.left = False, at
        self.calls[anew.id] = anew
        self._give_order(anew, at)

    def _row_since(self, call: CallEvidence) -> ActiveCall | None:
        return call.row if call.row_asked > self._doubted_at else None

    def _doubt(
        self,
        call: CallEvidence,
        asked: float,
        before: Mapping[tuple[str, int], Participant] | None = None,
    ) -> None:
        """Note that the id may belong to another call; what is asked after ``asked`` decides."""
        if call.id not in self._unconfirmed:
            self._unconfirmed[call.id] = dict(call.participants) if before is None else before
        self._doubted_at = max(self._doubted_at, asked)
        self._full_asked = None

    def _doubt_by_rows(self, fact: ActiveCallsRead) -> None:
        """Doubt the calls that may be others, before the answer is taken in.

        That is each call after a failure, if nothing but ActiveCalls tells of calls. It is also a
        call with another caller than before, all of whose times are news. Of these, a full read
        shows whether the participants are still there.
        """
        if fact.after_failure and not self.visible:
            for call in self.calls.values():
                self._doubt(call, self._rows_asked)
        for row in fact.rows:
            held = self.calls.get(row.id)
            if held is None or held.row is None or not held.participants:
                continue
            if row.id in self._unconfirmed:
                continue  # another full read would decide nothing sooner
            if held.row.caller != row.caller and _began(row) > held.told_at:
                self._doubt(held, fact.asked)
                self.inconsistent_calls.add(held.id)

    def _replaced(
        self, listed: Mapping[tuple[str, int], Participant]
    ) -> tuple[set[tuple[str, int]], dict[int, dict[tuple[str, int], Participant]]]:
        """Return the participants that a full read is the first to tell, and those they replace.

        The second ones, by call, had the same DN and id, but another number outside.
        """
        come, went = set[tuple[str, int]](), dict[int, dict[tuple[str, int], Participant]]()
        for key, participant in listed.items():
            held = self.participant(*key)
            if held is None or _is_other_outside(held, participant):
                come.add(key)
            if held is not None and key in come:
                went.setdefault(held.call_id, {})[key] = held
        return come, went

    def _recognise(self, participant: Participant) -> bool:
        """Return whether this participant shows that an unconfirmed call is still the same."""
        before = self._unconfirmed.get(participant.call_id)
        if before is None:
            return False
        held = before.get((participant.dn, participant.id))
        if held is None or _is_other_outside(held, participant):
            return False
        del self._unconfirmed[participant.call_id]
        return True

    # the end of a call

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
            self._give_order(call, at)
        return call

    def _give_order(self, call: CallEvidence, at: float) -> None:
        order = self._orders.pop(call.id, None)
        if order is not None and at - order.at <= _ORDERED:
            call.order = order

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
                call.id,
                call.left,
                heard=call.heard,
                told_at=call.told_at,
                participants=call.participants,
            )

    def _move(self, participant: Participant, heard: float, at: float) -> set[int]:
        key = (participant.dn, participant.id)
        touched = {participant.call_id}
        if self._home.get(key, participant.call_id) != participant.call_id:
            touched |= self._take_out(key, heard, at)
        call = self._call(participant.call_id, at)
        call.heard = max(call.heard, heard)
        self._note_told(call, at)
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
        call.told_at = max(call.told_at, at)
        return {call_id}

    def _note_told(self, call: CallEvidence, at: float) -> None:
        """Note that something told of the call at this time, if it is known to be the same one."""
        call.watched |= call.id not in self._unconfirmed
        call.told_at = max(call.told_at, at)


def _take_row(call: CallEvidence, row: ActiveCall, *, first: bool = True) -> None:
    """Put in a row. ``first``: it may be the call's first one, as the id is known to be its own."""
    call.row = row
    if first:
        call.first_row = call.first_row or row
    call.started_at = min(call.started_at, _began(row, call.started_at))
    if call.changed is None or call.changed[0] != row.last_change_status:
        call.changed = row.last_change_status, row.callee


def _is_other_outside(held: Participant, now: Participant) -> bool:
    """Return whether both times the other side is a number outside, but not the same one.

    A participant keeps it for as long as it is the same. After a restart its id is another's.
    """
    parties = held.party_dn_type, now.party_dn_type
    numbers = {held.party_caller_id, now.party_caller_id}
    return parties == ("Wexternalline",) * 2 and len(numbers - {""}) > 1


def _began(row: ActiveCall, unknown: float = float("-inf")) -> float:
    """Return the earliest time that a row tells of its call, or ``unknown`` if it tells none."""
    return min(_times(row), default=unknown)


def _times(row: ActiveCall) -> list[float]:
    times = row.established_at, row.last_change_status
    return [time for time in times if time is not None]
