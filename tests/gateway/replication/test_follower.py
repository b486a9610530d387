"""Test following on both servers, and through kills, restarts and pauses of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.replication.follower import StateFollower
from gateway.replication.replica import Replica
from monitor.lease import Lease
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import Ivr, State, empty_state
from monitor.shared.errors import BusError
from monitor.shared.redis.connection import raise_if_cancelled
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus, RealBus, copy, flush, restore, until
from tests.faulty import FaultyRedis, Network

KEYS = SpaceKeys("pbx", "live")


class Writer:
    """A publisher that moves one entity."""

    def __init__(self, redis: Redis, name: str = "writer", keys: SpaceKeys = KEYS) -> None:
        self.lease = Lease(redis, keys, name, ttl=600)
        self.publisher = StatePublisher(redis, keys, name, lease=self.lease, log_length=50)
        self.state: State = empty_state(keys.topics)

    async def start(self) -> Position:
        assert await self.lease.acquire()
        return await self.publisher.start_epoch(self.state)

    async def publish(self, name: str) -> Position:
        before, after = self.state["ivrs"].get("1"), Ivr("1", name)
        self.state["ivrs"]["1"] = after
        return await self.publisher.publish([Edit("ivrs", "1", before, after)])


class Following:
    """A feed that is being run.

    ``patient``: it does not look by itself whether the store has moved on unheard.
    """

    def __init__(self, bus: Bus, *, patient: bool = False) -> None:
        self.network = Network()
        self.replica = Replica(KEYS)
        self.positions: list[Position | None] = []
        redis = FaultyRedis(bus.client(), self.network)
        silence, compare = (3_600.0, 3_600.0) if patient else (0.3, 0.5)
        self.feed = StateFollower(
            redis, KEYS, self.replica, self._changed, silence=silence, compare=compare
        )

    def _changed(self) -> None:
        self.positions.append(self.replica.position)

    async def at(self, position: Position | None) -> None:
        await until(lambda: self.replica.position == position)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    _, still_running = await asyncio.wait([task], timeout=60)
    assert not still_running


@asynccontextmanager
async def following(bus: Bus, *, patient: bool = False) -> AsyncIterator[Following]:
    it = Following(bus, patient=patient)
    task = asyncio.create_task(it.feed.run())
    await until(lambda: it.feed.connected)
    try:
        yield it
    finally:
        await end(task)


@asynccontextmanager
async def writing(bus: Bus, name: str = "writer") -> AsyncIterator[Writer]:
    writer = Writer(bus.client(), name)
    try:
        yield writer
    finally:
        await writer.publisher.aclose()


@asynccontextmanager
async def beating(writer: Writer) -> AsyncIterator[None]:
    """Heartbeats in the background; a writer who loses history starts anew."""

    async def beat() -> None:
        while True:
            raise_if_cancelled()
            try:
                if writer.publisher.position is None:
                    await writer.start()
                await writer.publisher.heartbeat()
            except BusError:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        await end(task)


async def test_a_follower_loads_the_state_and_takes_in_changes(bus: Bus) -> None:
    async with writing(bus) as writer:
        await writer.start()
        await writer.publish("one")
        async with following(bus, patient=True) as it:
            assert it.replica.position == writer.publisher.position
            await it.at(await writer.publish("two"))
            assert it.replica.state == writer.state
            assert it.feed.stale_since is None


async def test_an_empty_store_is_followed_until_a_writer_comes(bus: Bus) -> None:
    async with following(bus, patient=True) as it, writing(bus) as writer:
        assert it.replica.position is None
        assert it.feed.stale_since is not None
        await it.at(await writer.start())
        assert it.feed.stale_since is None


async def test_a_follower_just_started_can_resume_from_before_its_start(bus: Bus) -> None:
    async with writing(bus) as writer:
        await writer.start()
        for name in "abcde":
            await writer.publish(name)
        async with following(bus) as it:
            changes = it.replica.since(2)
            assert changes is not None
            assert [change.position.seq for change in changes] == [3, 4, 5]
            assert changes[0].edits == (Edit("ivrs", "1", Ivr("1", "b"), Ivr("1", "c")),)


async def test_a_lost_message_is_found_by_the_next_and_read_from_the_log(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        await it.at(await writer.start())
        it.network.deaf_for = 2
        await writer.publish("one")
        await writer.publish("two")
        await it.at(await writer.publish("three"))
        changes = it.replica.since(0)
        assert changes is not None
        assert len(changes) == 3


async def test_the_last_message_before_a_silence_is_found_by_the_heartbeat(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        await it.at(await writer.start())
        it.network.deaf_for = 1
        position = await writer.publish("one")
        await until(lambda: it.network.deaf_for == 0)
        await writer.publisher.heartbeat()
        await it.at(position)
        assert it.replica.state == writer.state


async def test_who_lags_further_than_the_log_reaches_loads_the_state(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus, patient=True) as it:
        await it.at(await writer.start())
        it.network.deaf_for = 60
        for number in range(60):
            await writer.publish(str(number))
        await until(lambda: it.network.deaf_for == 0)
        await writer.publisher.heartbeat()
        await it.at(writer.publisher.position)
        assert it.replica.state == writer.state
        assert it.replica.since(5) is None


async def test_a_broken_subscription_is_made_good(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        await it.at(await writer.start())
        await bus.drop_subscribers()
        await it.at(await writer.publish("one"))
        await bus.drop_subscribers()
        await it.at(await writer.publish("two"))
        assert it.replica.state == writer.state


async def test_a_wedged_subscription_is_torn_down(bus: Bus) -> None:
    async with writing(bus) as writer, beating(writer), following(bus) as it:
        await until(lambda: it.feed.stale_since is None)
        it.network.deaf_for = 1_000_000
        await until(lambda: not it.feed.connected)
        it.network.deaf_for = 0
        await until(lambda: it.feed.connected and it.feed.stale_since is None)


async def test_a_silent_monitor_is_told_and_the_state_is_kept(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        async with beating(writer):
            await until(lambda: it.feed.stale_since is None)
        await until(lambda: it.feed.stale_since is not None and it.feed.connected)
        assert it.replica.position == writer.publisher.position
        await writer.publisher.heartbeat()
        await until(lambda: it.feed.stale_since is None)


async def test_a_new_epoch_is_followed(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        await it.at(await writer.start())
        writer.state["ivrs"] = {"2": Ivr("2", "two")}
        await it.at(await writer.start())
        assert it.replica.state == writer.state


async def test_an_emptied_store_is_not_followed_but_its_writer_s_new_epoch_is(bus: Bus) -> None:
    async with writing(bus) as writer, following(bus) as it:
        await it.at(await writer.start())
        position = await writer.publish("one")
        await it.at(position)
        await flush(bus)
        await until(lambda: it.feed.stale_since is not None)
        assert it.replica.position == position
        await it.at(await writer.start())
        assert it.replica.state == writer.state


async def test_an_older_epoch_is_never_followed_and_its_writer_is_told_of_ours(bus: Bus) -> None:
    async with writing(bus, "old") as old, writing(bus, "new") as new, following(bus) as it:
        await it.at(await old.start())
        dump = await copy(bus)
        await old.lease.release()
        newer = await new.start()
        await it.at(newer)
        await restore(bus, dump)  # the old writer, who knows of nothing, matches again
        async with beating(old):
            await until(lambda: it.replica.position is not None and it.replica.position > newer)
            await until(lambda: it.feed.stale_since is None)
        assert all(
            a is None or (b is not None and a <= b)
            for a, b in zip(it.positions, it.positions[1:], strict=False)
        )


async def test_redis_killed_and_restarted_with_its_data_is_followed_again(valkey: RealBus) -> None:
    async with writing(valkey) as writer, beating(writer), following(valkey) as it:
        await until(lambda: it.feed.stale_since is None)
        await valkey.save()
        before = it.replica.position
        valkey.kill()
        await until(lambda: it.feed.stale_since is not None and not it.feed.connected)
        assert it.replica.position == before
        await valkey.start()
        await until(lambda: it.feed.connected and it.feed.stale_since is None)
        assert it.replica.position == before


async def test_redis_killed_and_restarted_empty_is_filled_again(valkey: RealBus) -> None:
    async with writing(valkey) as writer, beating(writer), following(valkey) as it:
        await until(lambda: it.feed.stale_since is None)
        before = it.replica.position
        assert before is not None
        valkey.kill()
        valkey.forget()
        await valkey.start()
        await until(lambda: it.replica.position is not None and it.replica.position > before)
        assert it.replica.state == writer.state


async def test_a_stopped_redis_makes_the_state_stale_and_is_followed_again_when_it_goes_on(
    valkey: RealBus,
) -> None:
    async with writing(valkey) as writer, beating(writer), following(valkey) as it:
        await until(lambda: it.feed.stale_since is None)
        with valkey.paused():
            await until(lambda: it.feed.stale_since is not None)
        await until(lambda: it.feed.connected and it.feed.stale_since is None)
        assert it.replica.state == writer.state


class Many:
    """Followers of many PBXs on one client, and a writer of each."""

    def __init__(self, bus: RealBus) -> None:
        keys = [SpaceKeys(f"pbx{number}", "live") for number in range(12)]
        redis = bus.client()
        self.writers = [Writer(bus.client(), keys=one) for one in keys]
        self.replicas = [Replica(one) for one in keys]
        self.feeds = [
            StateFollower(redis, one, replica, lambda: None)
            for one, replica in zip(keys, self.replicas, strict=True)
        ]

    @property
    def connected(self) -> list[bool]:
        return [feed.connected for feed in self.feeds]

    @property
    def losses(self) -> list[int]:
        return [feed.counters.losses for feed in self.feeds]

    async def right(self) -> None:
        """Each replica holds what its writer wrote."""
        for writer, replica in zip(self.writers, self.replicas, strict=True):
            await until(lambda w=writer, r=replica: r.position == w.publisher.position)  # type: ignore[misc]
            assert replica.state == writer.state

    async def publish(self, name: str) -> None:
        for writer in self.writers:
            await writer.publish(name)


@asynccontextmanager
async def many(bus: RealBus) -> AsyncIterator[Many]:
    it = Many(bus)
    for writer in it.writers:
        await writer.start()
    tasks = [asyncio.create_task(feed.run()) for feed in it.feeds]
    try:
        await until(lambda: all(it.connected))
        assert len(await bus.client().client_list(_type="pubsub")) == 1
        yield it
    finally:
        for task in tasks:
            await end(task)
        for writer in it.writers:
            await writer.publisher.aclose()


async def test_what_befalls_the_one_connection_leaves_every_pbx_right(valkey: RealBus) -> None:
    async with many(valkey) as it:
        await it.publish("one")
        await it.right()
        await valkey.drop_subscribers()
        await it.publish("two")  # while nobody hears
        await it.right()
        assert all(it.losses)

        redis = valkey.client()
        await redis.config_set("client-output-buffer-limit", "pubsub 1 0 0")
        await it.publish("three" * 8_000)  # more than what Redis holds apart from the limit
        await until(lambda: min(it.losses) >= 2)
        await redis.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        await it.publish("four")
        await it.right()

        await valkey.save()
        for writer in it.writers:
            await writer.publisher.aclose()
        valkey.kill()
        await until(lambda: not any(it.connected))
        await valkey.start()
        await until(lambda: all(it.connected))
        await it.publish("five")
        await it.right()
        assert len(await valkey.client().client_list(_type="pubsub")) == 1


async def test_a_message_that_cannot_be_read_concerns_its_own_pbx_only(valkey: RealBus) -> None:
    async with many(valkey) as it:
        await valkey.client().publish("callmon:{pbx3}:live", b"\xc1 no message of ours")
        await until(lambda: it.losses[3] == 1)
        await it.publish("after")
        await it.right()
        assert sum(it.losses) == 1
