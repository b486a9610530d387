"""Test that ended calls of the file and of Redis are listed once each."""

from __future__ import annotations

import pytest

from monitor.persistence import ended_calls as module
from monitor.persistence.ended_calls import EndedCallStore, joined
from monitor.persistence.sqlite_store import Store
from monitor.shared.entities import topics as e
from monitor.shared.entities.topics import Entity
from monitor.shared.tasks import running
from monitor.shared.timestamps import from_unix
from tests.bus import Bus, until_async

NOON = 1_800_000_000.0


def ended(began: float, outcome: e.Outcome, call_id: int = 7, lasted: float = 5.0) -> e.EndedCall:
    started, over = from_unix(NOON + began), from_unix(NOON + began + lasted)
    return e.EndedCall(
        call_id, "Internal", "", "", started, None, over, outcome, "102", "", "104", ""
    )


def table(*calls: e.EndedCall) -> dict[str, Entity]:
    return {call.id: call for call in calls}


def test_a_call_whose_start_two_monitors_tell_otherwise_is_one_call() -> None:
    shown, kept = ended(0.0, "unknown"), ended(-0.02, "missed")
    assert shown.id != kept.id
    assert joined(table(kept), table(shown)) == table(shown)
    assert joined(table(kept), {}) == table(kept)


def test_of_two_words_in_the_file_the_one_that_somebody_saw_is_taken() -> None:
    blind, seen = ended(-0.02, "unknown"), ended(0.0, "missed")
    assert joined(table(blind, seen), {}) == joined(table(seen, blind), {}) == table(seen)


def test_what_the_file_alone_knows_is_there_also_where_the_pbx_gives_ids_anew() -> None:
    earlier, other, shown = (
        ended(-600.0, "missed"),
        ended(0.0, "missed", call_id=8),
        ended(0.0, "answered"),
    )
    assert joined(table(earlier, other), table(shown)) == table(earlier, other, shown)


async def test_what_was_taken_over_is_in_the_file_at_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    store, call = Store(None), ended(0.0, "missed")
    await store.open()
    held = EndedCallStore(bus.client(), "pbx", store)

    async def is_kept() -> bool:
        return await held.read() == table(call)

    try:
        async with running(held.run(lambda: {"ended": table(call)})):
            await until_async(is_kept)
    finally:
        await store.close()
