"""Test what a monitor leaves to the next one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from monitor.handover import directory_handover as module
from monitor.handover.directory_handover import DirectoryHandover
from monitor.shared.entities.topics import TOPICS, Extension, empty_state
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.tasks import running
from monitor.tracking.tracker import Tracker
from tests.bus import Bus, RealBus, until_async
from tests.monitor.handover.test_fact_codec import DIRECTORY, LOGINS, USERS, timeless

KEYS = SpaceKeys("pbx", "live")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)


async def test_the_newest_is_there_for_the_next_one(bus: Bus) -> None:
    redis = bus.client()
    await redis.set(KEYS.lease, "me")
    left = DirectoryHandover(redis, "pbx", "me")
    assert await left.read() == ()
    async with running(left.run()):
        newer = replace(DIRECTORY, users=USERS[:1])
        for fact in (DIRECTORY, LOGINS, newer):
            left.save(fact)

        async def there() -> bool:
            return await DirectoryHandover(redis, "pbx", "next").read() == timeless((newer, LOGINS))

        await until_async(there)


async def test_who_does_not_hold_the_lease_leaves_nothing(bus: Bus) -> None:
    redis = bus.client()
    await redis.set(KEYS.lease, "another")
    left = DirectoryHandover(redis, "pbx", "me")
    async with running(left.run()):
        left.save(DIRECTORY)
        await asyncio.sleep(0.1)
        assert await redis.get(KEYS.directory) is None
        await redis.set(KEYS.lease, "me")

        async def there() -> bool:
            return await left.read() != ()

        await until_async(there)


async def test_what_cannot_be_read_is_nothing(valkey: RealBus) -> None:
    redis = valkey.client()
    left = DirectoryHandover(redis, "pbx", "me")
    await redis.set(KEYS.directory, b"of another version")
    assert await left.read() == ()
    valkey.kill()
    assert await left.read() == ()


def test_a_tracker_that_remembers_it_knows_the_directory_and_still_waits_for_the_calls() -> None:
    tracker = Tracker("monitor")
    tracker.remember(empty_state(TOPICS), timeless((DIRECTORY, LOGINS)))
    assert tracker.state["extensions"].keys() == {"101", "102"}
    extension = tracker.state["extensions"]["101"]
    assert isinstance(extension, Extension)
    assert extension.name == "Анна"
    assert [(login.num, login.status) for login in extension.q_status] == [("800", "LoggedIn")]
    assert not tracker.ready


async def test_it_ends_whenever_it_is_told_to(bus: Bus) -> None:
    redis = bus.client()
    await redis.set(KEYS.lease, "me")

    async def one(turns: int) -> None:
        left = DirectoryHandover(redis, "pbx", "me")
        handing = asyncio.create_task(left.run())
        left.save(DIRECTORY)
        for _ in range(turns):
            await asyncio.sleep(0)
        handing.cancel()
        done, _ = await asyncio.wait({handing}, timeout=60)
        assert done, f"told after {turns} turns of the loop, it runs on"
        assert handing.cancelled()

    await asyncio.gather(*(one(turns) for turns in range(0, 300, 4)))
