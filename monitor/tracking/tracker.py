"""Turn facts from a PBX into edits of entities. Pure: no clock, no I/O; facts bring the time.

The tracker holds the whole state of one PBX. Each fact touches some calls. Each touched call is
inferred again (:mod:`monitor.tracking.call_inference`) and drawn. With it, the
:class:`~monitor.tracking.pbx_state.PbxState` draws the extensions, queues and lines that it
touches. An entity that came out equal makes no edit. All edits of one fact belong together: they
are one change and are never split.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from msgspec import structs

from monitor.pbx.facts import (
    ActiveCallsRead,
    CallOrdered,
    ConnectionChanged,
    ContactChanged,
    ContactsRead,
    DirectoryRead,
    Fact,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueFiguresRead,
    QueueLoginsRead,
)
from monitor.shared.changes import Edit
from monitor.shared.entities.topics import Call, table
from monitor.tracking import call_recovery
from monitor.tracking.base import BaseTracker
from monitor.tracking.call_evidence import CallEvidence
from monitor.tracking.call_inference import CallInference, infer
from monitor.tracking.call_registry import CallRegistry
from monitor.tracking.call_transfers import CallTransfers, Handover, continued
from monitor.tracking.entity_builder import build_call, build_ended
from monitor.tracking.party_text import plain_participant


class Tracker(BaseTracker):
    """Follow one PBX fact by fact and hold its state.

    ``state`` holds the live topics, ``book`` the contacts; a writer of a full state reads both.
    ``ready`` turns true once everything has been read that a first full state needs.
    ``inconsistent_calls`` are calls whose participants and row contradict each other: the program
    that runs the tracker has the participants read again and clears the set.
    """

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        super().__init__(monitor, did_map)
        self._call_registry = CallRegistry()
        self._inferences: dict[int, CallInference] = {}
        self._transfers = CallTransfers()

    @property
    def inconsistent_calls(self) -> set[int]:
        """Return the calls whose participants and rows contradict each other.

        The program that acts on the set must empty it.
        """
        return self._call_registry.inconsistent_calls

    @property
    def ready(self) -> bool:
        """Return whether all that the source offers has been read.

        That is the directory, the participants and the rows.
        """
        source = self._pbx_state.connection.source
        needed = {"directory"} | set(source.split("+")) - {""}
        return source != "" and needed <= self._read

    def apply(self, fact: Fact) -> tuple[Edit, ...]:  # noqa: C901 - one case for each fact
        """Apply a fact and return the edits that follow from it.

        They are already made in ``state``, or in ``book`` if they are about contacts.
        """
        pbx_state = self._pbx_state
        pbx_state.advance_clock(fact)
        match fact:
            case ParticipantSeen():
                seen = plain_participant(fact.participant)
                pbx_state.directory_index.set_kind(seen.party_dn, seen.party_dn_type)
                return self._update(self._call_registry.seen(seen, fact.heard, fact.at), fact.at)
            case ParticipantGone():
                self._note_unseen(fact)
                return self._update(self._call_registry.gone(fact), fact.at)
            case ParticipantsRead():
                return self._participants_read(fact)
            case ActiveCallsRead():
                return self._rows_read(fact)
            case DirectoryRead():
                return self._read_directory(fact)
            case CallOrdered():
                return self._update(self._call_registry.ordered(fact), fact.at)
            case ContactsRead() | ContactChanged():
                return self._change_book(fact)
            case QueueLoginsRead():
                return pbx_state.set_queue_logins(fact.logins)
            case QueueFiguresRead():
                return ()
            case ConnectionChanged():
                return self._connection_changed(fact)
        assert_never(fact)

    def tick(self, at: float) -> tuple[Edit, ...]:
        """Advance the time; return the edits that follow. ``at``: PBX clock, POSIX seconds.

        Forgets calls that ended a day ago and ends calls that only time can end.
        """
        connection = self._pbx_state.connection
        connected = connection.connection == "connected"
        over = self._call_registry.over(
            at, rows_told="activecalls" in connection.source or not connected
        )
        return (
            *self._update((*over, *self._transfers.revived(at)), at, over),
            *self._end_missing_calls(at),
            *self._pbx_state.forget(at),
        )

    # facts

    def _note_unseen(self, fact: ParticipantGone) -> None:
        """Note that a leg which was never read may have answered.

        That is possible only if more than its beginning was told (at least two unread events).
        """
        known = self._call_registry.participant(fact.dn, fact.participant_id)
        if fact.unread >= 2 and known is None:
            self._call_registry.note_missed_answers(
                id_ for id_, call in self._inferences.items() if call.may_have_rung(fact.dn)
            )

    def _participants_read(self, fact: ParticipantsRead) -> tuple[Edit, ...]:
        self._read.add("callcontrol")
        # The order in which they are listed means nothing: the oldest counts first.
        participants = sorted(map(plain_participant, fact.participants), key=lambda p: (p.id, p.dn))
        fact = replace(fact, participants=tuple(participants))
        touched = self._call_registry.full_read(fact)
        directory_index = self._pbx_state.directory_index
        for dn, w_type in fact.dns.items():
            directory_index.set_kind(dn, w_type)
        for participant in fact.participants:
            directory_index.set_kind(participant.party_dn, participant.party_dn_type)
        moved, self._pbx_state.monitored = (
            self._call_registry.visible != self._pbx_state.monitored,
            self._call_registry.visible,
        )
        edits = self._update(touched, fact.at)
        return (
            (*edits, *self._pbx_state.draw_extensions(), *self._pbx_state.draw_system())
            if moved
            else edits
        )

    def _rows_read(self, fact: ActiveCallsRead) -> tuple[Edit, ...]:
        self._read.add("activecalls")
        return self._update(self._call_registry.rows(fact), fact.at)

    def _connection_changed(self, fact: ConnectionChanged) -> tuple[Edit, ...]:
        before = self._pbx_state.connection
        opened = fact.connection == "connecting" and before.connection != "connected"
        if fact.connection != "connected" and not opened:
            self._call_registry.connection_lost()
        elif "activecalls" in before.source and fact.source == "callcontrol":
            self._call_registry.active_calls_lost()
        edits = self._pbx_state.connect(fact)
        return (*edits, *self._update((), fact.at))

    # entities

    def _show(self, calls: Collection[int] | None) -> tuple[Edit, ...]:
        return self._update(
            set(self._call_registry.calls) if calls is None else calls, self._pbx_state.at
        )

    def _update(
        self, touched: Iterable[int], at: float, over: Iterable[int] = ()
    ) -> tuple[Edit, ...]:
        if "directory" not in self._read:
            return ()  # the kind of a number is not known yet; all is drawn once it is read
        over = set(over)
        ended: list[CallEvidence] = []
        edits, decided = self._decide(at)
        for call_id in sorted(decided.union(touched)):
            evidence = self._call_registry.calls.get(call_id)
            if evidence is None:
                continue
            if call_id in over or self._call_registry.is_over(evidence):
                ended.append(evidence)
            elif not self._transfers.is_continued(
                call_id
            ) and not self._call_registry.is_unconfirmed(call_id):
                edits += self._draw(evidence, at)
        # Last: the parties of a call that is over may have gone on in one that was drawn now.
        for evidence in ended:
            edits += self._end(evidence, at)
        edits += self._pbx_state.settle()
        return tuple(edits)

    def _decide(self, at: float) -> tuple[list[Edit], set[int]]:
        """Decide which unconfirmed calls are the same, and end the others.

        Return the edits, and the ids on which was decided. Their calls are to be drawn.
        """
        registry, edits, decided = self._call_registry, list[Edit](), set[int]()
        for evidence in registry.undecided(self._pbx_state.connection.source):
            decided.add(evidence.id)
            anew = registry.renewed(evidence, at)
            if registry.has_same_row(evidence) or self._is_known_again(anew, at):
                registry.confirm(evidence)
            else:
                registry.replace(evidence, anew, at)
                edits += self._conclude(evidence, at)
        return edits, decided

    def _is_known_again(self, evidence: CallEvidence, at: float) -> bool:
        """Return whether this is the call that is shown under the same id."""
        shown = table(self.state, "calls", Call).get(str(evidence.id))
        surroundings = self._pbx_state.directory_index, self._call_registry.visible, at
        call = infer(evidence, None, *surroundings)
        return shown is not None and call_recovery.is_same(call, shown)

    def _draw(self, evidence: CallEvidence, at: float) -> tuple[Edit, ...]:
        """Show a call as it is inferred now."""
        before = self._inferences.get(evidence.id)
        call = self._infer(evidence, at)
        handover = self._transfers.find(call, before, self._inferences, at)
        edits: tuple[Edit, ...] = ()
        if handover is not None and handover.main.id == evidence.id:
            edits = self._end_consultation(handover.consultation)
        elif handover is not None:
            edits = self._hand_over(handover, evidence, at)
            call = self._inferences[evidence.id]
        pbx_state = self._pbx_state
        shown = build_call(call, pbx_state.directory_index, pbx_state.phones)
        return (*edits, *pbx_state.show(shown))

    def _end_consultation(self, consultation: CallInference) -> tuple[Edit, ...]:
        """Let a consultation end as transferred, now if it is over already."""
        ended = self._transfers.kept_end(consultation)
        if ended is None:
            self._transfers.unanswered.add(consultation.id)
            return ()
        return self._pbx_state.correct_end(ended, structs.replace(ended, outcome="transferred"))

    def _hand_over(self, handover: Handover, evidence: CallEvidence, at: float) -> tuple[Edit, ...]:
        """End the consultation, and let the first call go on under the consultation's id."""
        main, pbx_state = handover.main, self._pbx_state
        consultation = build_ended(
            handover.consultation,
            pbx_state.directory_index,
            pbx_state.phones,
            at,
            looking=True,
            transferred=True,
        )
        del self._inferences[main.id]
        self._transfers.forget(main.id, main)
        self._transfers.note_continued(main.id, at)
        story = continued(main, self._inferences[evidence.id])
        self._inferences[evidence.id] = infer(
            evidence, story, pbx_state.directory_index, self._call_registry.visible, at
        )
        return (
            *pbx_state.keep_ended((consultation,)),
            *pbx_state.remove(main.id, heir=evidence.id),
        )

    def _infer(self, evidence: CallEvidence, at: float) -> CallInference:
        """Infer a call; begin with what an earlier monitor knew if it is the same call."""
        previous = self._inferences.get(evidence.id)
        surroundings = self._pbx_state.directory_index, self._call_registry.visible, at
        call = infer(evidence, previous, *surroundings)
        known = self._memories.get(evidence.id)
        if known is not None and call_recovery.is_same(call, known, evidence.participants.keys()):
            call = infer(evidence, call_recovery.recalled(call, known), *surroundings)
            del self._memories[evidence.id]
        self._inferences[evidence.id] = call
        return call

    def _end(self, evidence: CallEvidence, at: float) -> tuple[Edit, ...]:
        self._call_registry.forget(evidence)
        return self._conclude(evidence, at)

    def _conclude(self, evidence: CallEvidence, at: float) -> tuple[Edit, ...]:
        """Show how a call ended that the registry has forgotten."""
        call = self._inferences.pop(evidence.id, None)
        transferred = evidence.id in self._transfers.unanswered
        self._transfers.forget(evidence.id, call)
        if call is None:
            return ()  # it was never shown, or it goes on under another id
        ended = build_ended(
            call,
            self._pbx_state.directory_index,
            self._pbx_state.phones,
            evidence.left or at,
            looking=evidence.watched and not evidence.answer_missed,
            found=evidence.found,
            transferred=transferred,
        )
        self._transfers.note_over(call, ended, at)
        return self._pbx_state.over(evidence.id, ended, at)
