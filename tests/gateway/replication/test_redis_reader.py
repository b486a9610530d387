"""What the monitor stored, read back: whole, in order, and without what nobody can have written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.replication import redis_reader
from gateway.replication.redis_reader import leave_epoch, read_log, read_position, read_state
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.codec import Malformed, encode_change, encode_entity
from monitor.shared.entities.topics import Ivr
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus
from tests.gateway.entities import START

KEYS = SpaceKeys("main", "live")
EPOCH = f"{7:015d}-aa"
OLDER, NEWER = f"{6:015d}-aa", f"{8:015d}-aa"


def change(seq: int, topic: str = "ivrs") -> Change:
    """Each of another size."""
    return Change(Position(EPOCH, seq), START, (Edit(topic, "1", None, Ivr("1", "x" * seq)),))


async def put_position(
    redis: Redis, seq: int | str = 3, epoch: str = EPOCH, at: str = START
) -> None:
    await redis.hset(KEYS.position, mapping={"epoch": epoch, "seq": seq, "at": at})


async def put_log(redis: Redis, changes: Sequence[Change | bytes]) -> None:
    for seq, one in enumerate(changes, 1):
        data = one if isinstance(one, bytes) else encode_change(one)
        await redis.xadd(KEYS.log, {"change": data}, id=f"{seq}-0")


async def stored(redis: Redis) -> None:
    """Three changes of one entity, and the state after them."""
    await put_position(redis)
    await put_log(redis, [change(1), change(2), change(3)])
    await redis.hset(KEYS.state("ivrs"), "1", encode_entity(Ivr("1", "xxx")))


async def test_the_state_comes_with_its_position_and_what_led_to_it(bus: Bus) -> None:
    redis = bus.client()
    await stored(redis)
    found = await read_state(redis, KEYS)
    assert found is not None
    assert (found.stored.position, found.stored.at) == (Position(EPOCH, 3), START)
    assert set(found.state) == set(KEYS.topics)
    assert found.state["ivrs"] == {"1": Ivr("1", "xxx")}
    assert list(found.log) == [change(1), change(2), change(3)]
    assert list(found.sizes) == [len(encode_change(one)) for one in found.log]
    assert await read_position(redis, KEYS) == found.stored


async def test_an_empty_store_has_neither_state_nor_position(bus: Bus) -> None:
    redis = bus.client()
    assert await read_position(redis, KEYS) is None
    assert await read_state(redis, KEYS) is None
    assert await read_log(redis, KEYS, 0) == (None, (), ())


@pytest.mark.parametrize(("after", "seqs"), [(0, [1, 2, 3]), (1, [2, 3]), (3, []), (9, [])])
async def test_the_log_is_read_from_behind_a_position(
    bus: Bus, after: int, seqs: list[int]
) -> None:
    redis = bus.client()
    await stored(redis)
    position, changes, sizes = await read_log(redis, KEYS, after)
    assert position is not None
    assert [one.position.seq for one in changes] == seqs
    assert list(sizes) == [len(encode_change(one)) for one in changes]


async def test_a_long_log_is_read_in_parts(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_reader, "LOG_AT_ONCE", 2)
    monkeypatch.setattr(redis_reader, "LOG_WITH_STATE", 2)
    redis = bus.client()
    await stored(redis)
    _, changes, _ = await read_log(redis, KEYS, 0)
    assert [one.position.seq for one in changes] == [1, 2]
    found = await read_state(redis, KEYS)
    assert found is not None
    assert [one.position.seq for one in found.log] == [2, 3], "the newest lead to the state"


@pytest.mark.parametrize(
    ("epoch", "seq", "at"),
    [
        ("no epoch", "3", START),
        (EPOCH, "-1", START),
        (EPOCH, "3.5", START),
        (EPOCH, "3", "yesterday"),
        ("\x00" * 20, "3", START),
    ],
)
async def test_a_position_that_no_monitor_can_have_written_is_none(
    bus: Bus, epoch: str, seq: str, at: str
) -> None:
    redis = bus.client()
    await put_position(redis, seq, epoch, at)
    with capture_logs() as logged:
        assert await read_position(redis, KEYS) is None
        assert await read_state(redis, KEYS) is None
    assert {line["event"] for line in logged} == {"redis_value_rejected"}


@pytest.mark.parametrize("key", [KEYS.position, KEYS.log, KEYS.state("ivrs")])
async def test_a_key_of_another_kind_counts_as_empty_and_the_rest_is_read(
    bus: Bus, key: str
) -> None:
    redis = bus.client()
    await stored(redis)
    await redis.delete(key)
    await redis.set(key, "of another kind")
    with capture_logs() as logged:
        found = await read_state(redis, KEYS)
    assert [line["event"] for line in logged] == ["redis_value_rejected"]
    if key == KEYS.position:
        assert found is None
        return
    assert found is not None
    assert (len(found.log), len(found.state["ivrs"])) == ((0, 1) if key == KEYS.log else (3, 0))


async def test_an_entity_that_cannot_be_read_is_left_out_alone(bus: Bus) -> None:
    redis = bus.client()
    await stored(redis)
    for id_ in (b"bad", b"\xff", b"worse"):
        await redis.hset(KEYS.state("ivrs"), id_, b"garbage")
    with capture_logs() as logged:
        found = await read_state(redis, KEYS)
    assert found is not None
    assert found.state["ivrs"] == {"1": Ivr("1", "xxx")}
    [line] = logged
    assert "3 entities cannot be read" in line["reason"]


@pytest.mark.parametrize("bad", [b"garbage", encode_change(change(2, "contacts"))])
async def test_behind_a_change_that_cannot_be_read_the_log_begins_anew(
    bus: Bus, bad: bytes
) -> None:
    redis = bus.client()
    await put_position(redis)
    await put_log(redis, [change(1), bad, change(3)])
    found = await read_state(redis, KEYS)
    assert found is not None
    assert list(found.log) == [change(3)]
    assert list(found.sizes) == [len(encode_change(change(3)))]
    with pytest.raises(Malformed):
        await read_log(redis, KEYS, 0)
    assert (await read_log(redis, KEYS, 2))[1] == (change(3),)


async def test_an_entry_of_the_log_without_a_change_is_malformed(bus: Bus) -> None:
    redis = bus.client()
    await put_position(redis)
    await redis.xadd(KEYS.log, {"other": "x"}, id="1-0")
    with pytest.raises(Malformed, match="without a change"):
        await read_log(redis, KEYS, 0)


@pytest.mark.parametrize(
    ("epoch", "seen", "left"),
    [
        (OLDER, None, EPOCH),
        (OLDER, OLDER, EPOCH),
        (OLDER, "garbage", EPOCH),
        (OLDER, EPOCH, EPOCH),
        (OLDER, NEWER, NEWER),
        (EPOCH, None, None),
        (NEWER, None, None),
    ],
)
async def test_the_writer_of_an_older_epoch_is_told_of_a_newer_one(
    bus: Bus, epoch: str, seen: str | None, left: str | None
) -> None:
    redis = bus.client()
    await put_position(redis, epoch=epoch)
    if seen is not None:
        await redis.set(KEYS.seen, seen)
    await leave_epoch(redis, KEYS, EPOCH)
    told = await redis.get(KEYS.seen)
    assert told == (None if left is None else left.encode())


async def test_an_empty_store_is_not_begun_by_who_only_reads(bus: Bus) -> None:
    redis = bus.client()
    await leave_epoch(redis, KEYS, EPOCH)
    assert not await redis.exists(KEYS.position)
