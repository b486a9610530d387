"""Test many tasks that hear their channels on one connection: each bears its own faults only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from monitor.shared.redis import subscriptions
from monitor.shared.redis.connection import (
    REDIS_FAILURES,
    GuardedTransaction,
    connect,
    publish,
    send,
)
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.subscriptions import (
    ChannelMessage,
    ChannelSubscription,
    MessagesLost,
    subscribed,
)
from monitor.shared.redis.topology import RedisClients
from monitor.shared.tasks import running
from tests.bus import Bus, RealBus, until_async
from tests.redis_groups import Clustered, clustered_group

WITHIN = 60.0
MANY = 50


async def heard(subscription: ChannelSubscription) -> ChannelMessage | MessagesLost:
    """The next that it hears, however long that takes."""
    async with asyncio.timeout(WITHIN):
        while (message := await subscription.get(1.0)) is None:
            pass
    return message


async def ended(subscription: ChannelSubscription) -> BaseException:
    """The error that ends it; what it hears before is passed over."""
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                await subscription.get(1.0)
    except REDIS_FAILURES as error:
        return error


@asynccontextmanager
async def all_of(redis: Redis, names: list[str]) -> AsyncIterator[list[ChannelSubscription]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(subscribed(redis, name)) for name in names]


async def connections(bus: RealBus) -> int:
    return len(await bus.client().client_list(_type="pubsub"))


async def test_many_subscriptions_share_one_connection_which_the_last_closes(
    valkey: RealBus,
) -> None:
    names = [f"c{number}" for number in range(MANY)]
    async with all_of(valkey.client(), names) as them:
        assert await connections(valkey) == 1
        for name in names:
            assert await publish(valkey.client(), name, name.encode()) == 1
        for name, one in zip(names, them, strict=True):
            assert await heard(one) == ChannelMessage(name, name.encode())

    async def none() -> bool:
        return await connections(valkey) == 0

    await until_async(none)


async def test_a_channel_is_heard_by_all_who_want_it_until_the_last_leaves(bus: Bus) -> None:
    redis, other = bus.client(), bus.client()
    async with subscribed(redis, "a", "b") as one:
        async with subscribed(redis, "b") as two:
            await publish(other, "b", b"1")
            assert await heard(one) == await heard(two) == ChannelMessage("b", b"1")
        await publish(other, "b", b"2")
        await publish(other, "a", b"3")
        assert [await heard(one), await heard(one)] == [
            ChannelMessage("b", b"2"),
            ChannelMessage("a", b"3"),
        ]
        async with subscribed(redis, "c"):
            pass

        async def left() -> bool:
            return await publish(other, "c", b"") == 0

        await until_async(left)
        async with subscribed(redis, "c") as again:
            await publish(other, "c", b"4")
            assert await heard(again) == ChannelMessage("c", b"4")


async def test_a_lost_connection_ends_every_subscription_and_the_next_have_a_new_one(
    bus: Bus,
) -> None:
    redis, names = bus.client(), [f"c{number}" for number in range(MANY)]
    async with all_of(redis, names) as them:
        await bus.drop_subscribers()
        for one in them:
            assert isinstance(await ended(one), RedisConnectionError)
        async with all_of(redis, names) as others:
            for name, one in zip(names, others, strict=True):
                await publish(bus.client(), name, b"x")
                assert await heard(one) == ChannelMessage(name, b"x")


async def test_an_output_buffer_that_is_full_at_redis_ends_them_and_nothing_is_lost_in_silence(
    valkey: RealBus,
) -> None:
    redis, other = valkey.client(), valkey.client()
    async with all_of(redis, ["a", "b"]) as them:
        await other.config_set("client-output-buffer-limit", "pubsub 1 0 0")
        await publish(other, "a", b"x" * 100_000)
        for one in them:
            assert isinstance(await ended(one), RedisConnectionError)
        await other.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        async with subscribed(redis, "a") as again:
            await publish(other, "a", b"y")
            assert await heard(again) == ChannelMessage("a", b"y")


async def test_a_redis_that_hangs_is_noticed_although_nothing_was_to_come(valkey: RealBus) -> None:
    async with subscribed(valkey.client(), "a") as one:
        with valkey.paused():
            assert isinstance(await ended(one), TimeoutError)


async def test_a_quiet_connection_is_kept(valkey: RealBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "SOCKET_TIMEOUT_S", 0.2)
    send_, take = subscriptions._SharedConnection._send, subscriptions._SharedConnection._take

    def sent(self: Any, command: str, channel: Any = None) -> None:
        if command == "PING":  # its answer may be late on a busy machine
            monkeypatch.setattr(subscriptions, "SOCKET_TIMEOUT_S", 60.0)
        send_(self, command, channel)

    def taken(self: Any, message: dict[str, Any]) -> None:
        monkeypatch.setattr(subscriptions, "SOCKET_TIMEOUT_S", 0.2)
        take(self, message)

    monkeypatch.setattr(subscriptions._SharedConnection, "_send", sent)
    monkeypatch.setattr(subscriptions._SharedConnection, "_take", taken)
    looking = valkey.client()
    async with subscribed(valkey.client(), "a") as one:

        async def pings() -> int:
            stats = await looking.info("commandstats")
            return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])

        async def pinged() -> bool:
            return await pings() >= 3

        await until_async(pinged)
        await publish(looking, "a", b"x")
        assert await heard(one) == ChannelMessage("a", b"x")


async def test_who_takes_nothing_loses_its_own_messages_and_is_told(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MOST_HELD_BYTES", 100_000)
    redis, other = bus.client(), bus.client()
    async with subscribed(redis, "rush") as slow, subscribed(redis, "quiet") as quiet:
        await publish(other, "quiet", b"1")
        for _ in range(20):
            await publish(other, "rush", b"x" * 10_000)
        await publish(other, "quiet", b"2")
        assert [await heard(quiet), await heard(quiet)] == [
            ChannelMessage("quiet", b"1"),
            ChannelMessage("quiet", b"2"),
        ]
        assert await heard(slow) == MessagesLost()
        assert slow.held_bytes <= 100_000
        await publish(other, "rush", b"after")
        async with asyncio.timeout(WITHIN):
            while await heard(slow) != ChannelMessage("rush", b"after"):
                pass
        assert slow.held_bytes == 0


async def test_a_rush_of_one_does_not_delay_another(bus: Bus) -> None:
    redis, other = bus.client(), bus.client()
    taken = 0

    async def take(subscription: ChannelSubscription) -> None:
        nonlocal taken
        while True:
            await heard(subscription)
            taken += 1
            await asyncio.sleep(0.01)  # that is how long this one takes for a message

    async with (
        subscribed(redis, "rush") as rush,
        subscribed(redis, "quiet") as quiet,
        running(take(rush)),
    ):
        await send(other, [("PUBLISH", "rush", str(number)) for number in range(5_000)])
        await publish(other, "quiet", b"x")
        assert await heard(quiet) == ChannelMessage("quiet", b"x")
        assert taken < 2_500, "it waited behind the other's messages"


async def test_a_refused_channel_ends_its_own_subscription_only(valkey: RealBus) -> None:
    admin = valkey.client()
    await admin.execute_command(  # type: ignore[no-untyped-call]
        *("ACL", "SETUSER", "limited", "on", ">secret", "resetchannels", "&mine*", "+@all", "~*")
    )
    redis = connect(valkey.url.replace("redis://", "redis://limited:secret@"))
    async with subscribed(redis, "mine") as mine:
        with pytest.raises(NoPermissionError):
            async with subscribed(redis, "theirs"):
                raise AssertionError("it was allowed")
        async with subscribed(redis, "mine too") as too:
            await publish(admin, "mine", b"1")
            await publish(admin, "mine too", b"2")
            assert await heard(mine) == ChannelMessage("mine", b"1")
            assert await heard(too) == ChannelMessage("mine too", b"2")
        assert await connections(valkey) == 1
    await redis.aclose()


async def test_who_distrusts_the_connection_gets_another_and_the_others_keep_theirs(
    valkey: RealBus,
) -> None:
    redis, other = valkey.client(), valkey.client()
    async with subscribed(redis, "a") as kept:
        async with subscribed(redis, "b") as one:
            one.distrust()
        async with subscribed(redis, "b") as again:
            assert await connections(valkey) == 2
            await publish(other, "a", b"1")
            await publish(other, "b", b"2")
            assert await heard(kept) == ChannelMessage("a", b"1")
            assert await heard(again) == ChannelMessage("b", b"2")


async def test_a_redis_that_is_away_raises_for_each_and_is_heard_again_later(
    valkey: RealBus,
) -> None:
    redis = valkey.client()
    valkey.kill()

    async def fails(name: str) -> bool:
        try:
            async with subscribed(redis, name):
                return False
        except REDIS_FAILURES:
            return True

    assert all(await asyncio.gather(*(fails(f"c{number}") for number in range(MANY))))
    await valkey.start()
    async with subscribed(redis, "a") as one:
        await publish(valkey.client(), "a", b"x")
        assert await heard(one) == ChannelMessage("a", b"x")


# On a Cluster.


async def _shard_channels(group: Clustered, port: int) -> int:
    server = next(server for server in group.servers if server.port == port)
    channels = await server.ask("PUBSUB", "SHARDCHANNELS")
    assert isinstance(channels, list)
    return len(channels)


async def test_a_cluster_has_one_connection_a_node_and_sends_sharded() -> None:
    names = [f"pbx{number}" for number in range(12)]
    async with clustered_group() as group:
        here, there = RedisClients(group.url), RedisClients(group.url)
        async with AsyncExitStack() as stack:
            them = {}
            for name in names:
                channel = SpaceKeys(name, "live").channel
                them[name] = await stack.enter_async_context(subscribed(here.of(name), channel))
            holders = [await group.holder(SpaceKeys(name, "live").position) for name in names]
            assert len({server.port for server in holders}) > 1
            for server in {server.port: server for server in holders}.values():
                clients = str(await server.ask("CLIENT", "LIST", "TYPE", "pubsub"))
                assert clients.count("addr=") == clients.count("laddr=") * 2 == 2
                mine = sum(holder.port == server.port for holder in holders)
                assert await _shard_channels(group, server.port) == mine
            for name in names:
                channel = SpaceKeys(name, "live").channel
                assert await publish(there.of(name), channel, b"1") == 1
                guard = await GuardedTransaction.watch(there.of(name), "{" + name + "}")
                assert await guard.commit([("PUBLISH", channel, b"2")]) == [1]
            for name, one in them.items():  # each once, although it came by two ways
                channel = SpaceKeys(name, "live").channel
                assert [await heard(one), await heard(one)] == [
                    ChannelMessage(channel, b"1"),
                    ChannelMessage(channel, b"2"),
                ]
                assert one.held_bytes == 0
        await here.aclose()
        await there.aclose()


async def test_on_a_cluster_versions_that_know_only_plain_messages_hear_and_are_heard() -> None:
    channel = SpaceKeys("a", "live").channel
    async with clustered_group() as group:
        here, there = RedisClients(group.url), RedisClients(group.url)
        only_sharded = RedisClients(f"{group.url}?pubsub=sharded")
        old = there.of("a")
        async with subscribed(here.of("a"), channel) as new, old.pubsub() as old_listener:
            await old_listener.subscribe(channel)
            await until_async(lambda: _confirmed(old_listener))
            await old.publish(channel, b"from an old one")
            assert await heard(new) == ChannelMessage(channel, b"from an old one")
            assert await publish(there.of("a"), channel, b"from a new one") == 2
            assert await heard(new) == ChannelMessage(channel, b"from a new one")

            async def old_hears(data: bytes) -> bool:
                message = await old_listener.get_message(timeout=1.0)
                return message is not None and message["data"] == data

            await until_async(lambda: old_hears(b"from an old one"))
            await until_async(lambda: old_hears(b"from a new one"))
            async with subscribed(only_sharded.of("a"), channel) as newest:
                assert await publish(only_sharded.of("a"), channel, b"sharded") == 2
                assert (
                    await heard(newest) == await heard(new) == ChannelMessage(channel, b"sharded")
                )
                await publish(here.of("a"), channel, b"both")
                assert await heard(newest) == await heard(new) == ChannelMessage(channel, b"both")
        for clients in (here, there, only_sharded):
            await clients.aclose()


async def _confirmed(listener: object) -> bool:
    message = await listener.get_message(timeout=1.0)  # type: ignore[attr-defined]
    return message is not None and message["type"] == "subscribe"


async def test_a_slot_that_moves_ends_the_subscriptions_of_its_pbx_and_no_others() -> None:
    async with clustered_group() as group:
        clients = RedisClients(group.url)
        await clients.of("a").set(SpaceKeys("a", "live").position, "x")
        moved = await group.holder(SpaceKeys("a", "live").position)
        neighbour = ""
        for name in (f"pbx{number}" for number in range(50)):
            if (await group.holder(SpaceKeys(name, "live").position)).port == moved.port:
                neighbour = name
                break
        assert neighbour
        channel, theirs = SpaceKeys("a", "live").channel, SpaceKeys(neighbour, "live").channel
        async with (
            subscribed(clients.of("a"), channel) as one,
            subscribed(clients.of(neighbour), theirs) as other,
        ):
            await group.move(SpaceKeys("a", "live").position)
            assert "does not hold these keys" in str(await ended(one))
            await publish(clients.of(neighbour), theirs, b"still here")
            assert await heard(other) == ChannelMessage(theirs, b"still here")

        async def heard_again() -> bool:
            try:
                async with subscribed(clients.of("a"), channel) as again:
                    await publish(clients.of("a"), channel, b"there")
                    return await again.get(5.0) == ChannelMessage(channel, b"there")
            except REDIS_FAILURES:
                return False

        await until_async(heard_again)
        await clients.aclose()
