"""Fields on Redis that no monitor wrote."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from monitor.publishing import stray_fields
from monitor.publishing.stray_fields import StrayFields
from monitor.shared.changes import Position
from monitor.shared.codec import encode_entity
from monitor.shared.entities.topics import Ivr, State
from monitor.shared.errors import Fenced, HistoryLost
from tests.bus import Bus
from tests.monitor.publishing.test_state_publisher import KEYS, Writer, ivr


async def test_fields_that_no_monitor_wrote_are_removed_some_at_a_time_and_told_once(
    bus: Bus,
) -> None:
    redis, writer = bus.client(), Writer(bus)
    position = await writer.start()
    await _junk(redis, KEYS.position, 2_500)
    await _junk(redis, KEYS.state("ivrs"), 100)
    state, left = ivr("1", "0"), []
    with capture_logs() as logs:
        while await writer.publisher.clean(lambda: state):
            left.append(await redis.hlen(KEYS.position))
        assert not await writer.publisher.clean(lambda: state)
    assert max(before - after for before, after in pairwise([2_504, *left])) <= stray_fields.AT_ONCE
    assert set(await redis.hkeys(KEYS.position)) == {b"epoch", b"seq", b"id", b"at"}
    assert await redis.hkeys(KEYS.state("ivrs")) == [b"1"]
    told = [
        line
        for line in logs
        if line["event"] == "redis_value_rejected" and "no monitor wrote" in line["reason"]
    ]
    assert {line["key"] for line in told} == {KEYS.position, KEYS.state("ivrs")}
    assert len(told) == 2
    assert await writer.publish() == Position(position.epoch, 1), "the writer goes on where it was"
    await writer.publisher.aclose()


async def test_no_field_is_removed_while_changes_wait_nor_one_that_has_become_ours(
    bus: Bus,
) -> None:
    redis, writer = bus.client(), Writer(bus)
    await writer.start()
    await redis.hset(KEYS.state("ivrs"), mapping={"2": "x", "3": "x"})
    assert not await writer.publisher.clean(lambda: None)
    assert await redis.hlen(KEYS.state("ivrs")) == 3
    state = ivr("1", "0")
    strays = StrayFields(redis, KEYS)
    await strays.look(state)
    state["ivrs"] |= {"2": Ivr("2", "came meanwhile"), "3": Ivr("3", "likewise")}
    assert [strays.removal(state), strays.removal(state)] == [[], []]
    assert not strays.more
    await writer.publisher.aclose()


async def test_a_writer_that_is_fenced_removes_nothing(bus: Bus) -> None:
    redis, first, second = bus.client(), Writer(bus), Writer(bus, "second", 2_000.0)
    await first.start()
    await redis.delete(KEYS.lease)
    await second.start()
    await redis.hset(KEYS.state("ivrs"), "2", "x")
    with pytest.raises(Fenced):
        await first.publisher.clean(lambda: ivr("1", "0"))
    assert await redis.hlen(KEYS.state("ivrs")) == 2
    for writer in (first, second):
        await writer.publisher.aclose()


@pytest.mark.parametrize("wrong", ["another kind", "gone", "a field lost", "garbage", "another"])
async def test_a_state_that_is_not_what_was_written_is_written_again_though_nothing_changes(
    bus: Bus, wrong: str
) -> None:
    redis, writer, key = bus.client(), Writer(bus), KEYS.state("ivrs")
    state = ivr("1", "0")
    before = await writer.start()
    assert not await writer.publisher.clean(lambda: state)
    match wrong:
        case "another kind" | "gone":
            await redis.delete(key)
            if wrong == "another kind":
                await redis.set(key, "zzzz")
        case "a field lost":
            await redis.hdel(key, "1")
        case "garbage":
            await redis.hset(key, "1", b"zzzz")
        case _:
            await redis.hset(key, "1", encode_entity(Ivr("1", "another")))
    with pytest.raises(HistoryLost, match=f"{key} does not hold what was written"):
        await writer.publisher.clean(lambda: state)
    assert writer.publisher.position is None
    assert (await writer.start()).epoch > before.epoch, "so all followers read the state again"
    assert await redis.hgetall(key) == {b"1": encode_entity(Ivr("1", "0"))}
    assert not await writer.publisher.clean(lambda: state)
    await writer.publisher.aclose()


@pytest.mark.parametrize("key", [KEYS.position, KEYS.state("ivrs")])
async def test_a_state_with_very_many_foreign_fields_is_written_again_and_their_names_not_read(
    bus: Bus, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stray_fields, "MOST_NAMED", 1_000)
    redis, writer, state = bus.client(), Writer(bus), ivr("1", "0")
    before = await writer.start()
    await _junk(redis, key, 1_100)
    with pytest.raises(HistoryLost, match=f"{key} does not hold .*: it has 110[14] fields"):
        await writer.publisher.clean(lambda: state)
    assert (await writer.start()).epoch > before.epoch
    assert await redis.hlen(key) == (4 if key == KEYS.position else 1)
    assert not await writer.publisher.clean(lambda: state)
    await writer.publisher.aclose()


async def test_all_values_are_compared_in_turn_some_at_each_look(bus: Bus) -> None:
    redis, many = bus.client(), 2 * stray_fields.VALUES_AT_ONCE + 1
    state = ivr("0", "")
    state["ivrs"] |= {str(number): Ivr(str(number), "") for number in range(many)}
    values = {id_: encode_entity(entity) for id_, entity in state["ivrs"].items()}
    await redis.hset(KEYS.state("ivrs"), mapping=dict[Any, Any](values))
    strays = StrayFields(redis, KEYS)
    for place in (0, many // 2, many - 1, many - 1):
        await redis.hset(KEYS.state("ivrs"), str(place), b"zzzz")
        with pytest.raises(HistoryLost):
            await _look_at_all_twice(strays, state)
        await redis.hset(KEYS.state("ivrs"), str(place), values[str(place)])
    await _look_at_all_twice(strays, state)


async def _look_at_all_twice(strays: StrayFields, state: State) -> None:
    for _ in range(2 * -(-len(state["ivrs"]) // stray_fields.VALUES_AT_ONCE)):
        await strays.look(state)


async def _junk(redis: Redis, key: str, many: int) -> None:
    for start in range(0, many, 500):
        await redis.hset(
            key, mapping={f"junk{number}": "x" for number in range(start, min(many, start + 500))}
        )
