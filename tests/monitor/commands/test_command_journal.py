"""Test what is recorded of a command, when the file takes it and when it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from monitor.commands import command_journal as module
from monitor.commands.command_journal import CommandJournal
from monitor.counters import CommandCounters
from monitor.persistence.command_record import Stage, decode_record, encode_record
from monitor.persistence.sqlite_store import Store
from monitor.shared.command_messages import (
    MAX_TEXT,
    NOT_RECORDED,
    CommandFailure,
    IdempotencyKey,
    Outcome,
    Request,
    decode_request,
    encode,
)
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.key_names import RecordKeys
from monitor.shared.tasks import running
from tests.bus import Bus, RealBus, patient, until, until_async


@asynccontextmanager
async def journal(bus: Bus) -> AsyncIterator[tuple[CommandJournal, Store]]:
    """A leader's, running."""
    store = Store(None)
    await store.open()
    held = CommandJournal(bus.client(), "pbx", store, CommandCounters())
    try:
        async with running(held.run(lambda: True)):
            yield held, store
    finally:
        await store.close()


async def full(store: Store, *, is_full: bool = True) -> None:
    """The disk takes nothing more, or again."""
    await store._with(lambda db: db.execute(f"PRAGMA query_only = {int(is_full)}"))


def request(id_: str) -> Request:
    return Request(id_, "gateway", "ext.del", {"num": "101", "vmpin": "1234"}, "tester", "10.0.0.1")


async def results(store: Store) -> dict[str, str]:
    return {record.request: record.result for record in await store.commands("pbx", 100)}


async def test_whatever_request_is_taken_its_record_can_be_read_by_the_other_monitors(
    bus: Bus,
) -> None:
    text = "x" * MAX_TEXT
    longest = Request(text, text, text, {"num": "x" * 64_000}, "x" * 1_000, text)
    once = IdempotencyKey("d" * MAX_TEXT, "f" * MAX_TEXT)
    taken = decode_request(encode(structs.replace(longest, once=once)))
    async with journal(bus) as (held, store):
        record = held.new_record(taken)
        assert await held.begin(record, repeated=True)
        for kept in (record, *await store.commands("pbx", 10)):
            assert decode_record(encode_record(kept)) == kept


async def test_an_end_that_the_file_does_not_take_is_written_down_later_and_never_called_unknown(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_S", 0.01)
    async with journal(bus) as (held, store):
        done, refused = held.new_record(request("1")), held.new_record(request("2"))
        assert await held.begin(done) is None
        await full(store)
        await held.finish(done, Outcome("1", {"result": True}))
        await held.finish(
            refused, Outcome("2", None, CommandFailure("unavailable", NOT_RECORDED, "Full."))
        )
        for _ in range(3):  # it tries again and again
            store.trouble = ""
            await until(lambda: store.trouble != "")
        await full(store, is_full=False)

        async def written() -> bool:
            return await results(store) == {"1": "success"}

        await until_async(written)


async def test_an_end_that_the_file_has_not_taken_yet_is_known_to_the_next_one_under_the_same_key(
    bus: Bus,
) -> None:
    once = IdempotencyKey("d" * 64, "f" * 64)
    store = Store(None)
    await store.open()
    held = CommandJournal(
        bus.client(), "pbx", store, CommandCounters()
    )  # its own attempts come later
    first, second = (
        held.new_record(structs.replace(request(id_), once=once)) for id_ in ("1", "2")
    )
    assert await held.begin(first) is None
    await full(store)
    await held.finish(first, Outcome("1", {"result": True}))
    known = await held.begin(second)
    assert known is not None
    assert known.outcome is not None, "a full disk does not call it undone"
    with pytest.raises(StoreFailed):
        await held.begin(held.new_record(request("3")))
    await full(store, is_full=False)
    known = await held.begin(second)
    assert known is not None
    assert known.outcome is not None
    assert held.unsaved() == ()
    await store.close()


async def test_what_an_earlier_leader_left_open_is_settled_and_what_is_in_hand_is_not(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_S", 0.01)
    async with journal(bus) as (held, store):
        mine, other = (
            held.new_record(request("mine")),
            CommandJournal(bus.client(), "pbx", store, CommandCounters()),
        )
        await held.begin(mine)
        left = other.new_record(request("left"))
        await store.merge([left])

        async def settled() -> bool:
            return (await results(store))["left"] == "outcome_unknown"

        await until_async(settled)
        assert (await results(store))["mine"] == "begun"
        await other.finish(left, Outcome("left", {"result": True}))  # who had it was only slow
        (known,) = [
            record for record in await store.commands("pbx", 100) if record.request == "left"
        ]
        assert (known.result, known.stage) == ("success", Stage.DONE)
        assert "1234" not in known.arguments


async def test_an_end_that_redis_does_not_take_is_told_when_it_answers_again(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_S", 0.01)
    async with journal(valkey) as (held, _):
        record, outcome = held.new_record(request("1")), Outcome("1", {"result": True})
        await held.begin(record)
        valkey.kill()
        record = await held.finish(record, outcome)
        with pytest.raises(BusUnreachable):
            await held.publish_outcome(record, outcome)
        await valkey.start()

        async def told() -> bool:
            entries: Any = await patient(valkey).xrange(RecordKeys("pbx").log)
            return [decode_record(fields[b"record"]).stage for _, fields in entries] == [Stage.DONE]

        await until_async(told)


async def test_a_full_disk_keeps_no_end_from_redis_that_answers_again(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_S", 0.01)
    async with journal(valkey) as (held, store):
        record, outcome = held.new_record(request("1")), Outcome("1", {"result": True})
        await held.begin(record)
        await full(store)
        valkey.kill()
        record = await held.finish(record, outcome)
        with pytest.raises(BusUnreachable):
            await held.publish_outcome(record, outcome)
        await valkey.start()

        async def told() -> bool:
            return await patient(valkey).xlen(RecordKeys("pbx").log) == 1

        await until_async(told)
        assert held.unsaved() == (record,)


async def test_a_record_of_whatever_a_gateway_sends_can_be_read_by_the_others(bus: Bus) -> None:
    async with journal(bus) as (held, _):
        long = "x" * 70_000
        record = held.new_record(Request("1", long, long, {"num": long}, long, long))
        assert decode_record(encode_record(record)) == record
