"""Test how monitors learn of each other on a real Redis, and what they make of foreign values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs

from monitor.leadership.membership import EXPIRY_S, Membership
from monitor.leadership.placement import LiveMonitor
from monitor.shared.redis.key_names import MONITORS, monitor_key
from monitor.shared.tasks import running
from tests.bus import Bus, RealBus, until, until_async

PBX = "pbx"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer for a farewell than a monitor that ends waits."""
    monkeypatch.setattr("monitor.leadership.membership._FAREWELL_S", 60.0)


@asynccontextmanager
async def member(bus: Bus, name: str, weight: float = 1.0) -> AsyncIterator[Membership]:
    """A monitor that watches a PBX."""
    made = Membership(bus.client(), name, weight)
    with made.watching(PBX):
        async with running(made.run()):
            yield made


async def test_monitors_find_each_other_and_agree(bus: Bus) -> None:
    async with member(bus, "one", 0) as one, member(bus, "two") as two:
        assert await one.chooses_another(PBX) == two.id
        await until(lambda: two.count(PBX) == 2)
        assert two.chosen(PBX) is None
        assert two.successor(PBX) == one.id
        assert one.chosen("a PBX that nobody watches") is None
    redis = bus.client()
    assert not await redis.exists(MONITORS, monitor_key(one.id), monitor_key(two.id)), (
        "who stops by itself says so"
    )


async def test_one_that_stops_is_gone_at_once_and_one_that_died_soon(bus: Bus) -> None:
    async with member(bus, "one", 0) as one:
        async with member(bus, "two"):
            await one.chooses_another(PBX)
        await until(lambda: one.chosen(PBX) is None and one.count(PBX) == 1)
        dead, redis = "dead/01234567", bus.client()
        told = msgspec.msgpack.encode(LiveMonitor("dead", 1, (PBX,)))
        await redis.set(monitor_key(dead), told)
        await redis.sadd(MONITORS, dead)
        assert await one.chooses_another(PBX) == dead
        await redis.pexpire(monitor_key(dead), int(EXPIRY_S * 1000))  # that was its last sign
        await until(lambda: one.chosen(PBX) is None)
        await until_async(lambda: _lists(bus, {one.id}))


async def test_nothing_moves_while_redis_cannot_be_read(valkey: RealBus) -> None:
    async with member(valkey, "one", 0) as one, member(valkey, "two"):
        await one.chooses_another(PBX)
        valkey.kill()
        await until(lambda: one.chosen(PBX) is None)
        assert (one.successor(PBX), one.count(PBX)) == (None, 1)
        await valkey.start()
        await one.chooses_another(PBX)


WRONG = (
    b"zzzz",
    b"",
    msgspec.msgpack.encode(LiveMonitor("other", 1, (PBX,))),
    msgspec.msgpack.encode(LiveMonitor("bad", float("nan"), (PBX,))),
    msgspec.msgpack.encode(LiveMonitor("bad", -1, (PBX,))),
    msgspec.msgpack.encode(LiveMonitor("bad", float("inf"), (PBX,))),
    msgspec.msgpack.encode({"name": "bad", "weight": 1, "pbxs": "pbx"}),
    msgspec.msgpack.encode(LiveMonitor("bad", 1, (PBX, "x" * 2_000_000))),
)


async def test_what_no_monitor_tells_of_itself_is_left_out(valkey: RealBus) -> None:
    redis = valkey.client()
    bad = {f"bad/0123456{number}": wrong for number, wrong in enumerate(WRONG)}
    await redis.mset({monitor_key(each): wrong for each, wrong in bad.items()})
    await redis.sadd(MONITORS, *bad)
    keys = {monitor_key(each) for each in bad}
    async with member(valkey, "one", 0) as one:
        await until(lambda: {*one.rejected.reasons()} == keys)
        async with member(valkey, "two") as two:
            assert await one.chooses_another(PBX) == two.id
        assert {*one.rejected.reasons()} == keys


async def test_ids_that_no_monitor_has_are_left_out_and_removed(valkey: RealBus) -> None:
    redis = valkey.client()
    await redis.sadd(MONITORS, b"\xff", "", "x" * 10_000, "a/b/c", *range(1_000))
    with capture_logs() as logs:
        async with member(valkey, "one", 0) as one, member(valkey, "two") as two:
            assert await one.chooses_another(PBX) == two.id
            ours = {one.id.encode(), two.id.encode()}

            async def cleaned() -> bool:
                return await redis.smembers(MONITORS) == ours

            await until_async(cleaned)
    assert "redis_value_rejected" in [line["event"] for line in logs]


@pytest.mark.parametrize("place", ["list", "sign of life"])
async def test_a_key_of_another_kind_harms_nobody(valkey: RealBus, place: str) -> None:
    redis = valkey.client()
    async with member(valkey, "one", 0) as one, member(valkey, "two") as two:
        key = MONITORS if place == "list" else monitor_key("bad/01234567")
        await redis.delete(key)
        if place == "list":
            await redis.set(key, "zzzz")
        else:
            await redis.rpush(key, "zzzz")
            await redis.sadd(MONITORS, "bad/01234567")
        await until(lambda: key in one.rejected.reasons() or place == "list")
        await until_async(lambda: _has_both(valkey, one, two))
        assert await one.chooses_another(PBX) == two.id


async def test_a_watched_lease_is_seized_once_it_is_free_ours_or_unreadable(
    valkey: RealBus,
) -> None:
    redis = valkey.client()
    waits: list[Callable[[], object]] = [
        lambda: redis.delete("lease"),
        lambda: redis.set("lease", "mine"),
        valkey.kill,
    ]
    async with member(valkey, "one") as one:
        for happens in waits:
            await redis.set("lease", "another's")
            waiting = asyncio.create_task(one.leases.wait(redis, "lease", "mine", 600.0))
            done, _ = await asyncio.wait([waiting], timeout=1.0)
            assert not done
            result = happens()
            if asyncio.isfuture(result) or asyncio.iscoroutine(result):
                await result
            async with asyncio.timeout(60):
                await waiting
        await valkey.start()
        await redis.set("lease", "another's")
        await one.leases.wait(redis, "lease", "mine", 0.3)


async def _lists(bus: Bus, ids: set[str]) -> bool:
    return await bus.client().smembers(MONITORS) == {id_.encode() for id_ in ids}


async def _has_both(bus: Bus, one: Membership, two: Membership) -> bool:
    redis = bus.client()
    return await redis.type(MONITORS) == b"set" and {
        one.id.encode(),
        two.id.encode(),
    } <= await redis.smembers(MONITORS)
