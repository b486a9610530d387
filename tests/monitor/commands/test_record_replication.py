"""Test the log of records on Redis: reading, writing again after a loss, trimming, positions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from monitor.commands import record_replication as module
from monitor.commands.command_journal import CommandJournal
from monitor.commands.record_replication import RecordReplication
from monitor.counters import CommandCounters, MonitorCounters
from monitor.persistence.command_record import CommandRecord, Stage, encode_record
from monitor.persistence.sqlite_store import ONCE_KEPT_S, Store
from monitor.shared.command_messages import (
    CommandFailure,
    IdempotencyKey,
    Outcome,
    Request,
    decode_outcome,
    encode,
)
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.key_names import RecordKeys, RequestKeys
from tests.bus import Bus, RealBus, copy, flush, patient, restore, until_async

KEYS = RecordKeys("pbx")


class Side:
    """A monitor's file and its way to the log."""

    def __init__(self, bus: Bus, name: str, *, leading: bool = False) -> None:
        self.redis = bus.client()
        self.store = Store(None)
        self.counters = MonitorCounters()
        self.sync = RecordReplication(
            self.redis, "pbx", name, self.store, self.counters, leading=lambda: leading
        )

    async def write(self, *records: CommandRecord) -> None:
        """As a leader does it: in the file, and in the log."""
        await self.store.merge(records)
        for record in records:
            await self.redis.xadd(KEYS.log, {"record": encode_record(record)})

    async def known(self) -> dict[str, int]:
        return {record.request: record.stage for record in await self.store.commands("pbx", 1_000)}


@asynccontextmanager
async def two(bus: Bus) -> AsyncIterator[tuple[Side, Side]]:
    sides = Side(bus, "leader", leading=True), Side(bus, "standby")
    for side in sides:
        await side.store.open()
    yield sides
    for side in sides:
        await side.store.close()


async def caught_up(side: Side) -> bool:
    await side.sync.catch_up()
    return side.sync.level


def record(request: str, stage: Stage = Stage.BEGUN, arguments: str = "") -> CommandRecord:
    return CommandRecord(
        request, "pbx", time.time(), "gateway", "key", "", "ext.del", arguments, stage=stage
    )


async def test_what_one_monitor_writes_stands_in_the_others_file(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        await leader.write(*(record(str(number)) for number in range(450)))
        assert await caught_up(standby)
        assert len(await standby.known()) == 450
        await leader.write(record("7", Stage.DONE), record("new"))
        await standby.sync.step()
        known = await standby.known()
        assert (known["7"], known["8"], known["new"]) == (Stage.DONE, Stage.BEGUN, Stage.BEGUN)


async def test_a_log_that_was_lost_is_filled_anew_from_every_file(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        await leader.sync.step()
        await leader.write(record("1", Stage.DONE))
        await standby.sync.step()
        await standby.store.merge(
            [record("2", Stage.UNKNOWN)]
        )  # of a time when it led, and wrote no more to Redis
        await flush(bus)
        for side in (standby, leader, standby):
            await side.sync.step()
        assert (
            await leader.known() == await standby.known() == {"1": Stage.DONE, "2": Stage.UNKNOWN}
        )
        length = await leader.redis.xlen(KEYS.log)
        for side in (standby, leader):
            await side.sync.step()
        assert await leader.redis.xlen(KEYS.log) == length, "it is offered once"


async def test_what_cannot_be_read_is_left_out_and_costs_no_other(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        await leader.write(record("1"))
        await leader.redis.xadd(KEYS.log, {"record": b"nonsense"})
        await leader.redis.xadd(KEYS.log, {"other": b"fields"})
        await leader.write(structs.replace(record("of another PBX"), pbx="branch"), record("2"))
        with capture_logs() as logs:
            await standby.sync.step()
        assert set(await standby.known()) == {"1", "2"}
    told = [line["reason"] for line in logs if line["event"] == "redis_value_rejected"]
    assert [reason.endswith(", and 1 more") for reason in told] == [True], "in one line"


async def test_the_log_is_bounded_in_bytes_and_the_leader_cuts_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 100_000)
    async with two(bus) as (leader, standby):
        for number in range(100):
            await leader.write(record(str(number), arguments="x" * 2_000))
        await standby.sync.step()
        assert await leader.redis.xlen(KEYS.log) == 100, "a standby cuts nothing"
        await leader.sync.step()
        assert 30 < await leader.redis.xlen(KEYS.log) < 50
        assert len(await standby.known()) == 100
        await leader.write(record("last"))
        await standby.sync.step()
        assert "last" in await standby.known()


async def test_the_leader_counts_who_stands_by_and_who_is_in_step(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        for side in (standby, leader):
            await side.sync.step()
            await side.sync._say()
        assert (leader.counters.standbys, leader.counters.standbys_level) == (1, 1)
        await leader.write(record("1"))
        for _ in range(module._LAG + 1):  # the standby reads no more
            await leader.sync.step()
            await standby.sync._say()
            await leader.sync._say()
        assert (leader.counters.standbys, leader.counters.standbys_level) == (1, 0)
        await standby.sync.step()
        await standby.sync._say()
        await leader.sync._say()
        assert (leader.counters.standbys, leader.counters.standbys_level) == (1, 1)


async def test_a_file_that_takes_nothing_is_not_level_and_reads_it_again_later(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        await leader.write(record("1"))
        await standby.store._with(lambda db: db.execute("PRAGMA query_only = 1"))
        assert not await caught_up(standby)
        await standby.store._with(lambda db: db.execute("PRAGMA query_only = 0"))
        assert await caught_up(standby)
        assert await standby.known() == {"1": Stage.BEGUN}


async def test_a_file_that_takes_nothing_keeps_no_end_from_a_log_that_was_lost(bus: Bus) -> None:
    """The disk became full while a command was in hand.

    Its end was on Redis alone, which was emptied.
    """
    async with two(bus) as (leader, standby):
        journal = CommandJournal(bus.client(), "pbx", leader.store, CommandCounters())
        leader.sync._unsaved = journal.unsaved
        begun = journal.new_record(
            Request("1", "gateway", "ext.del", {"num": "101"}, "tester", "10.0.0.1")
        )
        await leader.write(begun, record("2", Stage.DONE))
        await leader.sync.step()
        await standby.sync.step()
        await leader.store._with(lambda db: db.execute("PRAGMA query_only = 1"))
        await journal.finish(begun, Outcome("1", {"result": True}))
        await flush(bus)
        await standby.store.merge(
            [record("3")]
        )  # so that the leader finds what its file does not take
        await standby.sync.step()
        for _ in range(2):
            with pytest.raises(StoreFailed):
                await leader.sync.step()
        assert await leader.redis.xlen(KEYS.log) == 4, "it is offered once"
        await standby.sync.step()
        assert (await standby.known())["1"] == Stage.DONE


async def _restarted(valkey: RealBus, sides: tuple[Side, Side]) -> None:
    """Kill Redis, and start it with what it saved last; both find out."""
    valkey.kill()
    for side in sides:
        with pytest.raises(BusUnreachable):
            await side.sync.step()
    await valkey.start()


async def test_a_redis_that_comes_back_without_what_it_took_last_gets_it_again(
    valkey: RealBus,
) -> None:
    async with two(valkey) as sides:
        leader, standby = sides
        await leader.write(record("1"))
        for side in sides:
            await side.sync.step()
        await leader.redis.save()
        await leader.write(record("1", Stage.DONE))  # nobody has read it when Redis is killed
        await _restarted(valkey, sides)
        for side in sides:
            await side.sync.step()
        await standby.sync.step()
        assert await standby.known() == {"1": Stage.DONE}
        assert await patient(valkey).xlen(KEYS.log) == 2, (
            "what the log holds is not put there again"
        )


async def test_a_redis_that_comes_back_from_long_ago_gets_all_again(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_MS", 1)
    async with two(valkey) as sides:
        leader, standby = sides
        early = [structs.replace(record(str(number)), at=time.time() - 900) for number in range(3)]
        await leader.write(early[0])
        for side in sides:
            await side.sync.step()
        await leader.redis.save()
        await leader.write(*early[1:])
        await leader.sync.step()  # the standby has not read them
        await _restarted(valkey, sides)
        for side in (*sides, standby):
            await side.sync.step()
        assert set(await standby.known()) == {"0", "1", "2"}


async def test_an_end_that_redis_took_and_lost_unnoticed_is_told_again(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        journal = CommandJournal(bus.client(), "pbx", leader.store, CommandCounters())
        leader.sync._unconfirmed, leader.sync._confirm = journal.unconfirmed, journal.confirm
        await leader.write(
            begun := journal.new_record(
                Request("1", "gateway", "ext.del", {"num": "101"}, "tester", "")
            )
        )
        for side in (leader, standby):
            await side.sync.step()
        saved = await copy(bus)
        outcome = Outcome("1", {"result": True})
        await journal.publish_outcome(await journal.finish(begun, outcome), outcome)
        await restore(bus, saved)
        for side in (leader, leader, standby):
            await side.sync.step()
        assert (await standby.known())["1"] == Stage.DONE
        assert journal.unconfirmed() == ()
        assert await leader.redis.xlen(KEYS.log) == 2


@pytest.mark.parametrize(
    "noticed", [False, True], ids=["lost before it was read", "lost after it was read"]
)
@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("1", {"result": True}),
        Outcome("1", None, CommandFailure("unavailable", "pbx_unreachable", "Away.")),
    ],
    ids=["done", "undone"],
)
async def test_the_answer_that_redis_lost_with_an_end_stands_again_or_is_asked_for_anew(
    bus: Bus, outcome: Outcome, noticed: bool
) -> None:
    requests = RequestKeys("pbx")
    async with two(bus) as (leader, standby):
        journal = CommandJournal(bus.client(), "pbx", leader.store, CommandCounters())
        leader.sync._unconfirmed, leader.sync._confirm = journal.unconfirmed, journal.confirm
        request = Request(
            "1", "gateway", "ext.del", {}, "tester", "", IdempotencyKey("d" * 64, "f" * 64)
        )
        await leader.write(begun := journal.new_record(request))
        await leader.redis.set(requests.request("1"), "leader", ex=1_000)
        for side in (leader, standby):
            await side.sync.step()
        saved = await copy(bus)
        await journal.publish_outcome(await journal.finish(begun, outcome), outcome)
        if noticed:
            await leader.sync.step()
        await restore(bus, saved)
        assert await leader.redis.get(requests.result("1")) is None
        for side in (leader, standby):
            await side.sync.step()
        stored: Any = await leader.redis.get(requests.result("1"))
        if outcome.failure is None:
            assert decode_outcome(stored or b"") == outcome
            assert 0 < await leader.redis.ttl(requests.result("1")) <= ONCE_KEPT_S
        else:
            assert stored is None
            redis = leader.redis

            async def gone() -> bool:
                return await redis.get(requests.request("1")) is None

            await until_async(gone)


async def test_what_a_leader_knew_takes_the_place_of_what_its_successor_called_unknown(
    bus: Bus,
) -> None:
    """Roll Redis back and kill the leader before it sees that: it comes back later."""
    result = RequestKeys("pbx").result("1")
    done = Outcome("1", {"result": True})
    begun = structs.replace(record("1"), digest="d", fingerprint="f")
    async with two(bus) as (killed, successor):
        await killed.store.merge([structs.replace(begun, stage=Stage.DONE, outcome=encode(done))])
        await successor.redis.xadd(KEYS.log, {"record": encode_record(begun)})
        assert await caught_up(successor)
        journal = CommandJournal(successor.redis, "pbx", successor.store, CommandCounters())
        await journal._settle()
        unknown: Any = await successor.redis.get(result)
        assert decode_outcome(unknown).failure is not None
        assert await caught_up(killed)
        stored: Any = await successor.redis.get(result)
        assert decode_outcome(stored) == done
        assert 0 < await successor.redis.ttl(result) <= ONCE_KEPT_S
        assert await caught_up(successor)
        assert await successor.known() == {"1": Stage.DONE}


async def test_entries_that_were_taken_back_unnoticed_are_put_there_again(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        await leader.write(record("1"))
        for side in (leader, standby):
            await side.sync.step()
        saved = await copy(bus)
        await leader.write(record("2"))
        await leader.sync.step()
        await restore(bus, saved)
        for side in (leader, standby):
            await side.sync.step()
        assert set(await standby.known()) == {"1", "2"}
        assert await leader.redis.xlen(KEYS.log) == 2


@pytest.mark.parametrize("wrong", ["log", "generation", "mirrored"])
async def test_a_key_of_another_kind_is_replaced_and_the_records_are_put_there_again(
    valkey: RealBus, wrong: str
) -> None:
    async with two(valkey) as (leader, standby):
        await leader.sync.step()
        await leader.write(record("1", Stage.DONE))
        redis: Any = leader.redis
        key = getattr(KEYS, wrong)
        await redis.delete(key)
        await redis.sadd(key, "zzzz")
        for side in (standby, leader, standby):
            await side.sync.step()
        await leader.sync._say()
        await standby.sync._say()
        assert await standby.known() == {"1": Stage.DONE}
        await leader.write(record("2"))
        await standby.sync.step()
        assert set(await standby.known()) == {"1", "2"}
        assert set(await redis.hgetall(KEYS.mirrored)) >= {b"standby"}


@pytest.mark.parametrize("generation", [b"", b"zzzz", b"\xff", b"0" * 10_000])
async def test_a_generation_that_is_none_begins_a_new_log(bus: Bus, generation: bytes) -> None:
    async with two(bus) as (leader, standby):
        await leader.write(record("1"))
        await leader.redis.set(KEYS.generation, generation)
        await leader.sync.step()
        assert len(await leader.redis.get(KEYS.generation) or b"") == 16
        assert await caught_up(standby)
        assert set(await standby.known()) == {"1"}


async def test_a_log_that_takes_no_entries_any_more_is_begun_anew(valkey: RealBus) -> None:
    async with two(valkey) as (leader, standby):
        redis: Any = leader.redis
        await leader.sync.step()
        await leader.write(record("1"))
        await redis.xadd(KEYS.log, {"zzzz": "zzzz"}, id="18446744073709551615-18446744073709551615")
        for side in (standby, leader, standby):
            await side.sync.step()
        await leader.write(record("2"))
        await standby.sync.step()
        assert set(await standby.known()) == {"1", "2"}


async def test_a_record_from_years_ahead_is_left_out(bus: Bus) -> None:
    async with two(bus) as (leader, standby):
        ahead = structs.replace(record("1"), at=9e10)
        await leader.redis.xadd(KEYS.log, {"record": encode_record(ahead)})
        await leader.write(record("2"))
        await standby.sync.step()
        assert set(await standby.known()) == {"2"}
