"""Turn facts of a service with the documented interface into edits of a PBX's state. Pure.

This is the counterpart of :mod:`monitor.tracking.tracker` for a PBX that is reached through such a
service. Calls are shown as they are told (see :mod:`monitor.tracking.webapi_call_rules`). A call
that is no longer told has ended. How it ended is concluded from what was told of it before. If the
service keeps a list of the calls that ended, what that list says counts instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import assert_never

from msgspec.structs import replace

from monitor.pbx.facts import (
    ConnectionChanged,
    ContactChanged,
    ContactsRead,
    DirectoryRead,
    QueueLoginsRead,
)
from monitor.pbx.webapi.facts import BusyTold, CallsTold, EndedTold, ToldCall, ToldFact
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.timestamps import moment
from monitor.tracking import call_recovery
from monitor.tracking.base import BaseTracker
from monitor.tracking.call_inference import CallInference
from monitor.tracking.entity_builder import build_ended
from monitor.tracking.webapi_call_rules import build_told, infer_told, is_another

_SAME_START = 10.0
"""Seconds by which the start of a call may be told differently before and after its end."""
_NEEDED = frozenset(("directory", "calls"))


class WebApiTracker(BaseTracker):
    """Follow one PBX fact by fact, used like :class:`~monitor.tracking.tracker.Tracker`."""

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        super().__init__(monitor, did_map)
        self._pbx_state.monitored = None
        self._told: dict[int, ToldCall] = {}
        self._inferences: dict[int, CallInference] = {}
        self._watched = True
        """True while the service has been heard without a break since it told the calls last."""
        self._concluded: dict[int, topics.EndedCall] = {}
        self._busy: frozenset[str] | None = None

    @property
    def inconsistent_calls(self) -> set[int]:
        """Return an empty set: there is only one source, so nothing can contradict it."""
        return set()

    @property
    def ready(self) -> bool:
        """Return whether directory and calls have been told."""
        return self._pbx_state.connection.source != "" and self._read >= _NEEDED

    def apply(self, fact: ToldFact) -> tuple[Edit, ...]:
        """Apply a fact and return the edits that follow from it.

        They are already made in ``state``, or in ``book`` if they are about contacts.
        """
        pbx_state = self._pbx_state
        pbx_state.advance_clock(fact)
        match fact:
            case CallsTold():
                return self._calls_told(fact)
            case EndedTold():
                return self._ended_told(fact)
            case BusyTold():
                self._busy = fact.numbers
                return self._mark_busy(pbx_state.draw_extensions())
            case DirectoryRead():
                return self._mark_busy(self._read_directory(fact))
            case ContactsRead() | ContactChanged():
                return self._change_book(fact)
            case QueueLoginsRead():
                return self._mark_busy(pbx_state.set_queue_logins(fact.logins))
            case ConnectionChanged():
                return self._connection_changed(fact)
        assert_never(fact)

    def tick(self, at: float) -> tuple[Edit, ...]:
        """Advance the time and forget calls that ended a day ago. ``at``: the service's clock."""
        return (*self._end_missing_calls(at), *self._forget(at))

    # facts

    def _calls_told(self, fact: CallsTold) -> tuple[Edit, ...]:
        self._read.add("calls")
        told = {call.id: call for call in fact.calls}
        edits: list[Edit] = []
        for id_, before in self._told.items():
            if id_ not in told or is_another(before, told[id_]):
                edits += self._end(id_, fact.at)
        changed = [
            call
            for call in fact.calls
            if call != self._told.get(call.id) or call.id not in self._inferences
        ]
        self._told = told
        self._watched = True
        return (*edits, *self._tell(changed, fact.at))

    def _ended_told(self, fact: EndedTold) -> tuple[Edit, ...]:
        edits: list[Edit] = []
        for ended in fact.ended:
            own = self._concluded.pop(ended.call_id, None)
            if own is not None and own.id != ended.id and _apart(own, ended) < _SAME_START:
                edits += self._pbx_state.take_back(own)
            edits += self._pbx_state.keep_ended((ended,))
        return (*edits, *self._forget(fact.at))

    def _forget(self, at: float) -> tuple[Edit, ...]:
        edits = self._pbx_state.forget(at)
        kept = self._pbx_state.state["ended"]
        if len(self._concluded) > len(kept):
            self._concluded = {
                id_: ended for id_, ended in self._concluded.items() if ended.id in kept
            }
        return edits

    def _connection_changed(self, fact: ConnectionChanged) -> tuple[Edit, ...]:
        if fact.connection != "connected":
            self._watched = False
        return self._pbx_state.connect(fact)

    # entities

    def _show(self, calls: Collection[int] | None) -> tuple[Edit, ...]:
        ids = self._told if calls is None else sorted(calls)
        return self._tell([self._told[id_] for id_ in ids], self._pbx_state.at)

    def _tell(self, calls: Iterable[ToldCall], at: float) -> tuple[Edit, ...]:
        if "directory" not in self._read:
            return ()  # names and groups come from it; all is shown once it is there
        pbx_state = self._pbx_state
        edits: list[Edit] = []
        for told in calls:
            call = self._inferences[told.id] = self._infer(told, at)
            edits += pbx_state.show(
                build_told(call, told, pbx_state.directory_index, pbx_state.phones)
            )
        return (*edits, *self._mark_busy(pbx_state.settle()))

    def _infer(self, told: ToldCall, at: float) -> CallInference:
        """Infer a call; begin with what an earlier monitor knew if it is the same call."""
        previous, directory_index = self._inferences.get(told.id), self._pbx_state.directory_index
        call = infer_told(told, previous, directory_index, at)
        known = self._memories.get(told.id) if previous is None else None
        if known is None or _later(call, known) or not call_recovery.is_same(call, known):
            return call
        del self._memories[told.id]
        return infer_told(told, call_recovery.recalled(call, known), directory_index, at)

    def _end(self, id_: int, at: float) -> tuple[Edit, ...]:
        """End a call; its DNs are drawn by the :meth:`_tell` that follows."""
        call = self._inferences.pop(id_, None)
        if call is None:
            return ()
        pbx_state = self._pbx_state
        ended = build_ended(
            call, pbx_state.directory_index, pbx_state.phones, at, looking=self._watched
        )
        self._concluded[id_] = ended
        return pbx_state.over(id_, ended, at)

    def _mark_busy(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Mark extensions busy by their own state, for a service that tells no calls."""
        if self._busy is None:
            return edits
        table = topics.table(self.state, "extensions", topics.Extension)
        marked: dict[str, topics.Entity] = {}
        for number, extension in table.items():
            busy = number in self._busy or bool(extension.talks)
            available = extension.available and not busy
            marked[number] = replace(
                extension, status="Busy" if busy else "Free", available=available
            )
        return (*edits, *self._pbx_state.commit("extensions", marked))


def _later(call: CallInference, known: topics.Call) -> bool:
    return call.started_at > moment(known.started_at).timestamp() + _SAME_START


def _apart(one: topics.EndedCall, other: topics.EndedCall) -> float:
    return abs((moment(one.started_at) - moment(other.started_at)).total_seconds())
