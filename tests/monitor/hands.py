"""Play a PBX with a tracker and a source that do what a test says."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from monitor.leadership.pbx_service import Emit, MayMint
from monitor.pbx.facts import ActiveCallsRead, ConnectionChanged, ContactsRead, Fact, HandoverFact
from monitor.persistence.command_record import CommandRecord, Stage
from monitor.persistence.sqlite_store import ResultT, Store
from monitor.shared import changes as model
from monitor.shared.changes import Edit
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    EndedCall,
    Ivr,
    State,
    empty_state,
)


class CountingTracker:
    """Ready once connected; every read of the active calls is one more step of an IVR's name."""

    def __init__(self) -> None:
        self.state = empty_state(TOPICS)
        self.book = empty_state(BOOK_TOPICS)
        self.ready = False
        self.inconsistent_calls: set[int] = set()
        self.count = 0
        self.store_reason = ""

    def apply(self, fact: Fact) -> tuple[Edit, ...]:
        match fact:
            case ConnectionChanged():
                self.ready = fact.connection == "connected"
                return self._name("connected")
            case ActiveCallsRead():
                self.count += 1
                self.inconsistent_calls.add(self.count)
                return self._name(str(self.count))
            case ContactsRead():
                new: State = {"contacts": {str(contact.id): contact for contact in fact.contacts}}
                edits = model.difference(self.book, new)
                model.apply(self.book, edits)
                return edits
            case _:
                return ()

    def remember(self, state: State, facts: Iterable[HandoverFact | ContactsRead] = ()) -> None:
        """It makes up its own state."""

    def tick(self, at: float) -> tuple[Edit, ...]:
        return ()

    def join_ended(self, found: Iterable[EndedCall]) -> tuple[Edit, ...]:
        return ()

    def note_store(self, reason: str) -> tuple[Edit, ...]:
        self.store_reason = reason
        return ()

    def _name(self, name: str) -> tuple[Edit, ...]:
        edit = Edit("ivrs", "1", self.state["ivrs"].get("1"), Ivr("1", name))
        model.apply(self.state, [edit])
        return (edit,)


class NoteBook(Store):
    """What must outlive Redis, in memory, and the commands whose end it was told.

    Opened when it is first used.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self.entries: list[CommandRecord] = []
        self._opening = asyncio.Lock()

    async def merge(self, records: Iterable[CommandRecord]) -> None:
        records = tuple(records)
        await super().merge(records)
        known = {(entry.request, entry.stage) for entry in self.entries}
        ended = (record for record in records if record.stage != Stage.BEGUN)
        self.entries += [record for record in ended if (record.request, record.stage) not in known]

    async def _do(self, work: Callable[[], ResultT]) -> ResultT:
        if work not in (self._open, self._close):
            async with self._opening:
                if self._connection is None:
                    await super()._do(self._open)
        return await super()._do(work)

    def _open(self) -> None:
        super()._open()
        assert self._connection is not None
        weakref.finalize(
            self, self._connection.close
        )  # nobody closes it: it goes with the test that made it


class HandSource:
    """A source that says what the test says.

    ``done``: the commands that it carried out. Each changes the state, waits for ``hand`` if it is
    not set, and then raises ``trouble`` if there is any, else replies with how many there were, and
    with what is ``told``.
    """

    def __init__(self, emit: Emit, may_mint: MayMint) -> None:
        self.emit = emit
        self.may_mint = may_mint
        self.running = self.closed = False
        self.wanted = 0
        self.done: list[tuple[str, dict[str, str]]] = []
        self.hand = asyncio.Event()
        self.hand.set()
        self.trouble: Exception | None = None
        self.told: dict[str, object] = {}

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    async def close(self) -> None:
        self.closed = True

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        self.done.append((command, dict(arguments)))
        await self.hand.wait()
        if self.trouble is not None:
            raise self.trouble
        self.call()
        return {"count": len(self.done)} | self.told

    def request_full_read(self) -> None:
        self.wanted += 1

    def connect(self) -> None:
        self.emit(ConnectionChanged("connected", "", 0.0, "activecalls"))

    def call(self) -> None:
        self.emit(ActiveCallsRead((), 0.0, 0.0))


class ReadySource(HandSource):
    """Connected as soon as it runs."""

    async def run(self) -> None:
        self.connect()
        await super().run()
