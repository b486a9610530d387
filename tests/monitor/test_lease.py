"""Test the lease on both servers."""

from __future__ import annotations

import pytest

from monitor.lease import Lease
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus, until_async

KEYS = SpaceKeys("pbx", "live")


class Uptime:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_only_one_of_two_gets_the_lease_and_keeps_it_by_asking_again(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first"), Lease(redis, KEYS, "second")
    assert await first.acquire()
    assert not await second.acquire()
    assert await first.acquire()
    assert await second.holder() == "first"


async def test_a_lease_is_sure_for_two_thirds_of_its_time(bus: Bus) -> None:
    uptime = Uptime()
    lease = Lease(bus.client(), KEYS, "first", ttl=6.0, uptime=uptime)
    assert not lease.sure()
    assert await lease.acquire()
    uptime.now += 3.9
    assert lease.sure()
    uptime.now += 0.2
    assert not lease.sure()
    assert await lease.acquire()
    assert lease.sure()


async def test_a_released_lease_is_free_at_once(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first"), Lease(redis, KEYS, "second")
    assert await first.acquire()
    await first.release()
    assert not first.sure()
    assert await second.acquire()


async def test_only_its_holder_can_release_a_lease(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first"), Lease(redis, KEYS, "second")
    assert await first.acquire()
    await second.release()
    assert await first.holder() == "first"


async def test_a_lease_that_is_not_renewed_runs_out(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first", ttl=0.05), Lease(redis, KEYS, "second")
    assert await first.acquire()
    await until_async(second.acquire)
    assert not await first.acquire()
    assert not first.sure()


async def test_a_patient_contender_leaves_an_empty_redis_and_no_other(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first"), Lease(redis, KEYS, "second")
    assert await second.contest(patient=True) == "left"
    assert await first.contest() == "ours"
    assert await second.contest(patient=True) == "another's"
    await redis.hset(KEYS.position, mapping={"epoch": "1-a", "seq": 0})
    await first.release()
    assert await second.contest(patient=True) == "ours", (
        "something is written there: its writer is gone"
    )


async def test_a_transferred_lease_is_its_heirs_alone_and_free_if_that_does_not_come(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.lease._TRANSFER_S", 60.0)
    redis = bus.client()
    first, heir, third = (Lease(redis, KEYS, name, ttl=60.0) for name in ("first", "heir", "third"))
    assert not await first.transfer("heir"), "it is not ours"
    assert await first.acquire()
    assert await first.transfer("heir")
    assert not first.sure()
    assert await third.contest() == await first.contest() == "another's"
    assert await heir.contest(yielding=True) == "ours"
    monkeypatch.setattr("monitor.lease._TRANSFER_S", 0.3)
    assert await heir.transfer("nobody")
    await until_async(third.acquire)


async def test_a_free_lease_is_left_to_another_if_we_yield(bus: Bus) -> None:
    redis = bus.client()
    first, second = Lease(redis, KEYS, "first"), Lease(redis, KEYS, "second")
    assert await first.contest(yielding=True) == "yielded"
    assert await second.acquire()
    assert await first.contest(yielding=True) == "another's"
    assert await second.contest(yielding=True) == "ours"
