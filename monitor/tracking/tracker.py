"""Turn facts from a PBX into edits of entities. Pure: no clock, no I/O; facts bring the time.

The tracker holds the whole state of one PBX. Each fact touches some calls. Each touched call is
drawn again by the rules of :mod:`monitor.tracking.call_rules`. With it, the
:class:`~monitor.tracking.pbx_state.PbxState` draws the extensions, queues and lines that it
touches. An entity that came out equal is no edit. All edits of one fact belong together: they are
one change and are never split.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

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
    QueueFiguresRead,
    QueueLoginsRead,
)
from monitor.shared.changes import Edit
from monitor.tracking import call_recovery, entity_builder
from monitor.tracking import call_rules as calls
from monitor.tracking.base import BaseTracker
from monitor.tracking.call_registry import CallRegistry
from monitor.tracking.leg_rules import CallRecord
from monitor.tracking.party_text import parse_several, plain_participant


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
                fact = replace(fact, participant=plain_participant(fact.participant))
                self._learn((fact.participant,))
                return self._update(self._call_registry.seen(fact), fact.at)
            case ParticipantGone():
                self._note_unseen(fact)
                return self._update(self._call_registry.gone(fact), fact.at)
            case ParticipantsRead():
                return self._participants_read(fact)
            case ActiveCallsRead():
                return self._rows_read(fact)
            case DirectoryRead():
                return self._read_directory(fact)
            case ContactsRead():
                return self._refresh_names(pbx_state.read_book(fact))
            case ContactChanged():
                return self._refresh_names(pbx_state.change_contact(fact))
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
            *self._update(over, at, over),
            *self._end_missing_calls(at),
            *self._pbx_state.forget(at),
        )

    # facts

    def _note_unseen(self, fact: ParticipantGone) -> None:
        """Note that a leg which was never read may have answered.

        That is possible only if more than its beginning was told (at least two unread events).
        """
        if (
            fact.unread < 2
            or self._call_registry.participant(fact.dn, fact.participant_id) is not None
        ):
            return
        for record in self._call_registry.records.values():
            callees = (
                parse_several(record.row.callee, self._pbx_state.directory_index)
                if record.row
                else ()
            )
            if record.reached == fact.dn or any(party.dn == fact.dn for party in callees):
                record.answer_unseen = True

    def _participants_read(self, fact: ParticipantsRead) -> tuple[Edit, ...]:
        self._read.add("callcontrol")
        fact = replace(fact, participants=tuple(map(plain_participant, fact.participants)))
        touched = self._call_registry.full_read(fact)
        for dn, w_type in fact.dns.items():
            self._pbx_state.directory_index.set_kind(dn, w_type)
        self._learn(fact.participants)
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
        edits: list[Edit] = []
        replaced: set[int] = set()
        for record in list(self._call_registry.reused_call_ids(fact)):
            record.watched = False
            edits += self._end(record, fact.at)
            replaced.add(record.id)
        return (*edits, *self._update(self._call_registry.rows(fact) | replaced, fact.at))

    def _learn(self, participants: Iterable[Participant]) -> None:
        for participant in participants:
            self._pbx_state.directory_index.set_kind(
                participant.party_dn, participant.party_dn_type
            )

    def _connection_changed(self, fact: ConnectionChanged) -> tuple[Edit, ...]:
        before = self._pbx_state.connection
        if before.connection == "connected" and fact.connection != "connected":
            self._call_registry.connection_lost(fact.at)
        elif "activecalls" in before.source and fact.source == "callcontrol":
            self._call_registry.active_calls_lost()
        return self._pbx_state.connect(fact)

    # entities

    def _show(self, calls: Collection[int] | None) -> tuple[Edit, ...]:
        return self._update(
            set(self._call_registry.records) if calls is None else calls, self._pbx_state.at
        )

    def _update(
        self, touched: Iterable[int], at: float, over: Iterable[int] = ()
    ) -> tuple[Edit, ...]:
        if "directory" not in self._read:
            return ()  # the kind of a number is not known yet; all is drawn once it is read
        edits: list[Edit] = []
        over = set(over)
        for call_id in sorted(touched):
            record = self._call_registry.records.get(call_id)
            if record is None:
                continue
            if call_id in over or self._call_registry.is_over(record):
                edits += self._end(record, at)
            else:
                self._recall(record, at)
                calls.observe(
                    record, self._pbx_state.directory_index, self._call_registry.visible, at
                )
                edits += self._pbx_state.show(
                    entity_builder.call(
                        record, self._pbx_state.directory_index, self._pbx_state.phones
                    )
                )
        edits += self._pbx_state.settle()
        return tuple(edits)

    def _recall(self, record: CallRecord, at: float) -> None:
        """Restore what an earlier monitor knew of a call whose beginning was not seen."""
        known = self._memories.get(record.id)
        if known is None:
            return
        calls.observe(record, self._pbx_state.directory_index, self._call_registry.visible, at)
        if call_recovery.is_same(record, known):
            call_recovery.take_over(record, known)
            del self._memories[record.id]

    def _end(self, record: CallRecord, at: float) -> tuple[Edit, ...]:
        self._call_registry.forget(record)
        directory_index, phones = self._pbx_state.directory_index, self._pbx_state.phones
        ended = entity_builder.ended(
            record, directory_index, phones, record.left or at, looking=record.watched
        )
        return self._pbx_state.over(record.id, ended, at)
