"""Test publishing on both servers."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.replication.redis_reader import read_log, read_position, read_state
from monitor.lease import Lease
from monitor.publishing import state_publisher as module
from monitor.publishing.state_publisher import LOG_BYTES, StatePublisher
from monitor.publishing.state_staging import StagedState, stage
from monitor.shared import codec
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import Ivr, State, empty_state
from monitor.shared.errors import BusUnreachable, Fenced, HistoryLost
from monitor.shared.redis.connection import text
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from tests.bus import Bus, copy, flush, next_announcement, restore
from tests.faulty import FaultyRedis, Network

KEYS = SpaceKeys("pbx", "live")


class Writer:
    """A publisher with its lease and its network."""

    def __init__(
        self,
        bus: Bus,
        name: str = "first",
        clock: float = 1_000.0,
        log_length: int = 100,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self.network = Network()
        redis = FaultyRedis(bus.client(), self.network)
        self.now = clock
        self.up = 0.0
        self.lease = Lease(redis, KEYS, name, ttl=600, uptime=lambda: self.up)
        self.publisher = StatePublisher(
            *(redis, KEYS, name),
            lease=self.lease,
            log_length=log_length,
            log_bytes=log_bytes,
            clock=lambda: self.now,
        )
        self.value = 0

    async def start(self) -> Position:
        assert await self.lease.acquire()
        return await self.publisher.start_epoch(ivr("1", str(self.value)))

    async def publish(self) -> Position:
        return await self.publisher.publish([self.edit()])

    def edit(self) -> Edit:
        before = Ivr("1", str(self.value))
        self.value += 1
        return Edit("ivrs", "1", before, Ivr("1", str(self.value)))


def ivr(num: str, name: str) -> State:
    state = empty_state(KEYS.topics)
    state["ivrs"][num] = Ivr(num, name)
    return state


async def names(redis: Redis) -> list[str]:
    read = await read_state(redis, KEYS)
    return (
        []
        if read is None
        else [entity.name for entity in read.state["ivrs"].values() if isinstance(entity, Ivr)]
    )


async def test_an_epoch_begins_with_the_whole_state_at_seq_0(bus: Bus) -> None:
    redis, writer = bus.client(), Writer(bus)
    await redis.hset(KEYS.state("groups"), "left over", b"x")
    position = await writer.start()
    read = await read_state(redis, KEYS)
    assert read is not None
    assert (position.seq, read.stored.position, read.state, read.log) == (
        0,
        position,
        ivr("1", "0"),
        (),
    )
    assert {text(key) for key in await redis.keys("*")} == {
        KEYS.lease,
        KEYS.position,
        KEYS.state("ivrs"),
    }
    assert await redis.ttl(KEYS.state("ivrs")) == -1
    await writer.publisher.aclose()


async def test_a_publish_moves_state_log_and_position_by_one_and_is_announced(bus: Bus) -> None:
    redis, writer = bus.client(), Writer(bus)
    epoch = (await writer.start()).epoch
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(KEYS.channel)
        await pubsub.get_message(timeout=5)
        position = await writer.publish()
        announced = await next_announcement(pubsub)
    assert position == Position(epoch, 1)
    assert announced.position == position
    assert await names(redis) == ["1"]
    stored, changes, _ = await read_log(redis, KEYS, 0)
    assert stored is not None
    assert (stored.position, changes) == (position, (announced,))
    await writer.publisher.aclose()


async def test_the_log_is_kept_at_its_length(bus: Bus) -> None:
    writer = Writer(bus, log_length=3)
    await writer.start()
    for _ in range(7):
        await writer.publish()
    _, changes, _ = await read_log(bus.client(), KEYS, 0)
    assert [change.position.seq for change in changes] == [5, 6, 7]
    await writer.publisher.aclose()


async def test_the_log_is_bounded_in_bytes_too_and_begins_anew_with_an_epoch(bus: Bus) -> None:
    writer = Writer(bus, log_bytes=10_000)
    await writer.start()
    for _ in range(12):
        before = Ivr("1", str(writer.value))
        writer.value += 1
        after = Ivr("1", f"{writer.value}".rjust(1_500, "0"))
        await writer.publisher.publish([Edit("ivrs", "1", before, after)])
    _, changes, sizes = await read_log(bus.client(), KEYS, 0)
    assert sum(sizes) <= 10_000 + max(sizes)
    assert [change.position.seq for change in changes] == list(range(13 - len(changes), 13))
    assert len(changes) >= 6
    await writer.start()
    await writer.publish()
    _, changes, _ = await read_log(bus.client(), KEYS, 0)
    assert [change.position.seq for change in changes] == [1]
    await writer.publisher.aclose()


async def test_a_new_epoch_is_announced_by_its_position_only(bus: Bus) -> None:
    async with bus.client().pubsub() as pubsub:
        await pubsub.subscribe(KEYS.channel)
        await pubsub.get_message(timeout=5)
        writer = Writer(bus)
        position = await writer.start()
        announced = await next_announcement(pubsub)
    assert isinstance(announced, codec.Heartbeat)
    assert announced.position == position
    await writer.publisher.aclose()


async def test_a_new_epoch_is_newer_than_the_stored_one_whatever_the_clock_says(bus: Bus) -> None:
    first = Writer(bus, "first", clock=2_000_000.0)
    newest = await first.start()
    await first.lease.release()
    second = Writer(bus, "second", clock=1_000.0)
    assert await second.start() > newest
    await first.publisher.aclose()
    await second.publisher.aclose()


async def test_a_writer_whose_epoch_was_replaced_writes_nothing_more(bus: Bus) -> None:
    first, second = Writer(bus, "first"), Writer(bus, "second")
    await first.start()
    await first.publish()
    await bus.client().delete(KEYS.lease)
    newest = await second.start()
    with pytest.raises(Fenced):
        await first.publish()
    assert first.publisher.position is None
    with pytest.raises(HistoryLost):
        await first.publish()
    stored = await read_position(bus.client(), KEYS)
    assert stored is not None
    assert stored.position == newest
    await second.publisher.aclose()


async def test_an_epoch_cannot_be_started_without_the_lease(bus: Bus) -> None:
    first, second = Writer(bus, "first"), Writer(bus, "second")
    await first.start()
    with pytest.raises(Fenced):
        await second.publisher.start_epoch(ivr("1", "x"))
    assert await names(bus.client()) == ["0"]
    await first.publisher.aclose()


@pytest.mark.parametrize("taken", [False, True])
async def test_a_lease_that_runs_out_while_the_state_is_written_is_taken_again_if_it_is_free(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, *, taken: bool
) -> None:
    """Else a monitor with many PBXs would write the state again and again, each time too slowly."""
    first, second = Writer(bus, "first"), Writer(bus, "second")

    async def slowly(*arguments: Any) -> StagedState:
        first.up += 601
        await bus.client().delete(KEYS.lease)
        assert not taken or await second.lease.acquire()
        return await stage(*arguments)

    monkeypatch.setattr(module, "stage", slowly)
    if taken:
        with pytest.raises(Fenced):
            await first.start()
        assert await names(bus.client()) == []
    else:
        await first.start()
        assert await names(bus.client()) == ["0"]
        assert first.lease.sure()
    await first.publisher.aclose()


async def test_a_heartbeat_finds_that_another_holds_the_lease(bus: Bus) -> None:
    first, second = Writer(bus, "first"), Writer(bus, "second")
    await first.start()
    await bus.client().delete(KEYS.lease)
    assert await second.lease.acquire()
    with pytest.raises(Fenced):
        await first.publisher.heartbeat()
    assert not first.lease.sure()


async def test_a_heartbeat_takes_a_lease_that_ran_out_and_that_nobody_took(bus: Bus) -> None:
    writer = Writer(bus)
    position = await writer.start()
    await bus.client().delete(KEYS.lease)
    assert await writer.publisher.heartbeat() == position
    assert await writer.lease.holder() == "first"
    await writer.publisher.aclose()


async def test_a_heartbeat_says_the_position_and_stores_its_instant(bus: Bus) -> None:
    redis, writer = bus.client(), Writer(bus)
    position = await writer.start()
    writer.now += 60
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(KEYS.channel)
        await pubsub.get_message(timeout=5)
        await writer.publisher.heartbeat()
        announced = await next_announcement(pubsub)
    stored = await read_position(redis, KEYS)
    assert stored is not None
    assert (announced.position, announced.at) == (position, "1970-01-01T00:17:40.000Z")
    assert stored.at == announced.at
    await writer.publisher.aclose()


async def test_an_emptied_store_is_lost_history(bus: Bus) -> None:
    writer = Writer(bus)
    await writer.start()
    await flush(bus)
    with pytest.raises(HistoryLost):
        await writer.publish()
    await flush(bus)
    await writer.start()
    await flush(bus)
    with pytest.raises(HistoryLost):
        await writer.publisher.heartbeat()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"seq": "x"},
        {"seq": "-1"},
        {"seq": "9" * 5_000},
        {"epoch": "x"},
        {"epoch": b"\xff"},
    ],
    ids=["seq", "below zero", "too long", "epoch", "bytes"],
)
async def test_nonsense_for_a_position_is_lost_history_and_a_new_epoch_puts_it_right(
    bus: Bus, nonsense: dict[bytes | bytearray | memoryview[int] | str | int | float, Any]
) -> None:
    writer = Writer(bus)
    await writer.start()
    await bus.client().hset(KEYS.position, mapping=nonsense)
    with pytest.raises(HistoryLost):
        await writer.publish()
    position = await writer.start()
    stored = await read_position(bus.client(), KEYS)
    assert stored is not None
    assert stored.position == position
    await writer.publish()
    await writer.publisher.aclose()


@pytest.mark.parametrize(
    "seen", [b"zzz", b"\xff", b"999999999999999-zzzz", None, b"0" * 15 + b"-a"]
)
async def test_what_no_follower_can_have_seen_is_passed_over_and_removed(
    bus: Bus, seen: bytes | None
) -> None:
    redis, writer = bus.client(), Writer(bus)
    epoch = (await writer.start()).epoch
    await (redis.rpush(KEYS.seen, "zzz") if seen is None else redis.set(KEYS.seen, seen))
    await writer.publish()
    assert (await writer.publisher.heartbeat()).epoch == epoch
    assert not await redis.exists(KEYS.seen)
    await (redis.rpush(KEYS.seen, "zzz") if seen is None else redis.set(KEYS.seen, seen))
    assert epoch < (await writer.start()).epoch < "999999999999999"
    assert not await redis.exists(KEYS.seen)
    await writer.publisher.aclose()


async def test_wrong_values_are_told_until_they_are_overwritten(bus: Bus) -> None:
    redis, writer, values = bus.client(), Writer(bus), RejectedValues()
    with collecting(values):
        await writer.start()
        await redis.set(KEYS.seen, "zzz")
        await writer.publisher.heartbeat()
        assert [*values.reasons()] == [KEYS.seen]
        await writer.publisher.heartbeat()
        assert values.reasons() == {}
        await redis.hset(KEYS.position, "seq", "x")
        with pytest.raises(HistoryLost):
            await writer.publish()
        assert [*values.reasons()] == [KEYS.position]
        await writer.start()
        assert values.reasons() == {}
        await writer.publisher.aclose()


async def test_a_store_that_went_back_is_lost_history(bus: Bus) -> None:
    writer = Writer(bus)
    await writer.start()
    dump = await copy(bus)
    await writer.publish()
    await restore(bus, dump)
    with pytest.raises(HistoryLost):
        await writer.publish()


async def test_a_follower_at_a_newer_epoch_makes_the_writer_start_a_newer_one_still(
    bus: Bus,
) -> None:
    writer = Writer(bus)
    await writer.start()
    await bus.client().set(KEYS.seen, "000000009999999-ffff")
    with pytest.raises(HistoryLost):
        await writer.publisher.heartbeat()
    assert (await writer.start()).epoch > "000000009999999-ffff"
    assert await bus.client().get(KEYS.seen) is None
    await writer.publisher.aclose()


async def test_a_publish_whose_answer_got_lost_is_recognised_as_done(bus: Bus) -> None:
    writer = Writer(bus)
    epoch = (await writer.start()).epoch
    writer.network.next_exec = "answer lost"
    with pytest.raises(BusUnreachable):
        await writer.publish()
    assert writer.publisher.undecided
    assert await writer.publisher.settle() == Position(epoch, 1)
    assert await writer.publish() == Position(epoch, 2)
    assert await names(bus.client()) == ["2"]
    await writer.publisher.aclose()


async def test_a_publish_that_did_not_arrive_is_repeated_unchanged(bus: Bus) -> None:
    writer = Writer(bus)
    epoch = (await writer.start()).epoch
    writer.network.next_exec = "request lost"
    with pytest.raises(BusUnreachable):
        await writer.publish()
    with pytest.raises(RuntimeError):
        await writer.publisher.publish([])
    assert await writer.publisher.heartbeat() == Position(epoch, 1)
    assert await names(bus.client()) == ["1"]
    await writer.publisher.aclose()


async def test_a_publish_that_arrives_late_after_its_repetition_does_nothing(bus: Bus) -> None:
    writer = Writer(bus)
    epoch = (await writer.start()).epoch
    writer.network.next_exec = "request late"
    with pytest.raises(BusUnreachable):
        await writer.publish()
    await writer.publisher.settle()
    await writer.publish()
    await writer.network.deliver_late()
    stored, changes, _ = await read_log(bus.client(), KEYS, 0)
    assert stored is not None
    assert (stored.position, len(changes)) == (Position(epoch, 2), 2)
    assert await names(bus.client()) == ["2"]
    await writer.publisher.aclose()


async def test_an_epoch_whose_start_got_no_answer_is_followed_by_a_newer_one(bus: Bus) -> None:
    writer = Writer(bus)
    writer.network.next_exec = None
    assert await writer.lease.acquire()
    writer.network.next_exec = "answer lost"
    with pytest.raises(BusUnreachable):
        await writer.publisher.start_epoch(ivr("1", "0"))
    lost = await read_position(bus.client(), KEYS)
    assert lost is not None
    assert await writer.start() > lost.position
    await writer.publisher.aclose()


async def test_a_publish_armed_in_advance_is_fenced_all_the_same(bus: Bus) -> None:
    first, second = Writer(bus, "first"), Writer(bus, "second")
    await first.start()  # its next WATCH is armed now, and was armed before the other wrote
    await bus.client().delete(KEYS.lease)
    newest = await second.start()
    with pytest.raises(Fenced):
        await first.publish()
    assert await names(bus.client()) == ["0"]
    assert second.publisher.position == newest
    await second.publisher.aclose()
