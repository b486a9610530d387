"""Hold what both trackers share: the PBX's state and what an earlier monitor knew. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping

from monitor.pbx.facts import ContactChanged, ContactsRead, DirectoryRead, HandoverFact
from monitor.shared.changes import Edit, difference
from monitor.shared.entities import topics
from monitor.tracking import call_recovery
from monitor.tracking.pbx_state import PbxState


class BaseTracker(ABC):
    """Hold the state of one PBX and bring it forward fact by fact.

    The edits that a method returns are already made in that state.
    """

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        self._pbx_state = PbxState(monitor, did_map)
        self._read: set[str] = set()
        self._memories: dict[int, topics.Call] = {}

    @property
    def state(self) -> topics.State:
        """Return the live topics."""
        return self._pbx_state.state

    @property
    def book(self) -> topics.State:
        """Return the contacts."""
        return self._pbx_state.book

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Return whether everything has been read that a first full state needs."""

    def remember(
        self, state: topics.State, facts: Iterable[HandoverFact | ContactsRead] = ()
    ) -> None:
        """Take over what an earlier monitor stored; call it before the first fact.

        ``state``: its stored entities. ``facts``: what held when they were stored; they are
        applied.
        """
        self._pbx_state.remember(
            state["ended"], topics.table(state, "extensions", topics.Extension)
        )
        for fact in facts:
            self.apply(fact)
        self._memories = {
            call.call_id: call for call in topics.table(state, "calls", topics.Call).values()
        }

    def join_ended(self, found: Iterable[topics.EndedCall]) -> tuple[Edit, ...]:
        """Put in calls that an earlier monitor saw end, and return what that changed."""
        return self._pbx_state.join_ended(found)

    def note_store(self, reason: str) -> tuple[Edit, ...]:
        """Set what is wrong with the store, in words, and return what that changed.

        ``reason``: empty if nothing is wrong.
        """
        return self._pbx_state.note_store(reason)

    @abstractmethod
    def apply(self, fact: HandoverFact | ContactsRead) -> tuple[Edit, ...]:
        """Apply a fact and return the edits that follow from it.

        They are already made in ``state``, or in ``book`` if they are about contacts.
        """

    @abstractmethod
    def _show(self, calls: Collection[int] | None) -> tuple[Edit, ...]:
        """Draw these calls (None: all) again with the current directory and address book."""

    def _read_directory(self, fact: DirectoryRead) -> tuple[Edit, ...]:
        amended = self._pbx_state.update_users(fact) if "directory" in self._read else None
        if amended is not None:
            calls, edits = amended
            return (*edits, *self._show(calls))
        self._read.add("directory")
        before = {topic: dict(table) for topic, table in self.state.items()}
        self._pbx_state.replace_directory(fact)
        self._show(None)
        self._pbx_state.draw_all()
        return difference(before, self.state)

    def _change_book(self, fact: ContactsRead | ContactChanged) -> tuple[Edit, ...]:
        if isinstance(fact, ContactsRead):
            return self._refresh_names(self._pbx_state.read_book(fact))
        return self._refresh_names(self._pbx_state.change_contact(fact))

    def _refresh_names(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Draw all calls again if the address book has changed: their names come from it."""
        return (*edits, *self._show(None)) if edits else ()

    def _end_missing_calls(self, at: float) -> tuple[Edit, ...]:
        """End the calls that an earlier monitor knew and that no longer exist.

        Another monitor may have told the end of such a call already. That stays as it is. Does
        nothing until the tracker is ready: only then is it known which calls exist.
        """
        if not self.ready:
            return ()
        ended = [
            call_recovery.ended_unseen(call, at)
            for call in self._memories.values()
            if not self._pbx_state.ends_of(call)
        ]
        self._memories.clear()
        return self._pbx_state.keep_ended(ended)
