"""What all who make a PBX's state of facts share: the board, its directory, what an earlier monitor knew. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping

from monitor.pbx.facts import ContactsRead, DirectoryRead, HandoverFact
from monitor.shared.changes import Edit, difference
from monitor.shared.entities import topics as e
from monitor.tracking import call_recovery as memory
from monitor.tracking.pbx_state import PbxState


class BaseTracker(ABC):
    """The state of one PBX, brought forward fact by fact. Edits that are given are made in it already."""

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        self._board = PbxState(monitor, did_map)
        self._read: set[str] = set()
        self._memories: dict[int, e.Call] = {}

    @property
    def state(self) -> e.State:
        """The live topics."""
        return self._board.state

    @property
    def book(self) -> e.State:
        """The contacts."""
        return self._board.book

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether all has been read that a first full state needs."""

    def remember(self, state: e.State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """Take over what an earlier monitor stored, and ``facts`` that held, before the first fact."""
        self._board.remember(state["ended"], e.table(state, "extensions", e.Extension))
        for fact in facts:
            self.apply(fact)
        self._memories = {call.call_id: call for call in e.table(state, "calls", e.Call).values()}

    @abstractmethod
    def apply(self, fact: HandoverFact | ContactsRead) -> tuple[Edit, ...]:
        """Take in a fact; give the edits that follow from it, already made in ``state`` (contacts: in ``book``)."""

    @abstractmethod
    def _show(self, calls: Collection[int] | None) -> tuple[Edit, ...]:
        """Draw these calls anew, None: all, by the directory and the address book that there are now."""

    def _read_directory(self, fact: DirectoryRead) -> tuple[Edit, ...]:
        amended = self._board.update_users(fact) if "directory" in self._read else None
        if amended is not None:
            calls, edits = amended
            return (*edits, *self._show(calls))
        self._read.add("directory")
        before = {topic: dict(table) for topic, table in self.state.items()}
        self._board.replace_directory(fact)
        self._show(None)
        self._board.draw_all()
        return difference(before, self.state)

    def _refresh_names(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Draw all calls anew if the address book has changed: their names come from it."""
        return (*edits, *self._show(None)) if edits else ()

    def _end_missing_calls(self, at: float) -> tuple[Edit, ...]:
        """End the calls that an earlier monitor knew and that are no more, once it is known which there are."""
        if not self.ready:
            return ()
        ended = [memory.ended_unseen(call, at) for call in self._memories.values()]
        self._memories.clear()
        return self._board.commit("ended", {call.id: call for call in ended})
