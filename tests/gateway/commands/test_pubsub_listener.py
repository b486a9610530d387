"""Messages about commands and positions: who is told, and what may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.commands.pubsub_listener import PubSubListener
from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.replica import Replica
from monitor.shared.changes import Change, Position
from monitor.shared.command_messages import (
    Busy,
    Claimed,
    Completed,
    PositionQuery,
    PositionReached,
    Ring,
    encode,
)
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, empty_state
from monitor.shared.redis.key_names import RequestKeys, SpaceKeys
from monitor.shared.tasks import running
from tests.bus import Bus, RealBus, until
from tests.gateway.entities import START

KEYS = RequestKeys("main")
HERE, NEXT = Position("1-a", 5), Position("1-a", 6)


@dataclass
class Ear:
    """One gateway that listens, at :data:`HERE`."""

    redis: Redis
    live: Replica
    waiter: PositionWaiter
    listener: PubSubListener

    async def ring(self, ring: Ring) -> None:
        await self.redis.publish(KEYS.replies(self.listener.name), encode(ring))

    def move(self) -> None:
        assert self.live.apply(Change(NEXT, START, ()))
        self.waiter.moved()


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[Ear]:
    live, book = (Replica(SpaceKeys("main", space)) for space in ("live", "book"))
    live.load(HERE, START, empty_state(TOPICS))
    book.load(HERE, START, empty_state(BOOK_TOPICS))
    waiter = PositionWaiter(live, book)
    listener = PubSubListener(bus.client(), "main", waiter)
    try:
        async with running(listener.run()):
            await until(lambda: listener.listening)
            yield Ear(bus.client(), live, waiter, listener)
    finally:
        assert not listener.listening


async def test_what_is_told_of_a_request_reaches_who_waits_for_it_and_nobody_else(
    bus: Bus,
) -> None:
    async with listening(bus) as it:
        with it.listener.waiting_for("a") as one, it.listener.waiting_for("b") as other:
            await it.ring(Claimed("a"))
            assert await one.wait(60.0)
            assert (one.claimed, one.done, one.busy) == (True, False, False)
            await it.ring(Busy("b"))
            assert await other.wait(60.0)
            assert (other.claimed, other.done, other.busy) == (False, False, True)
            await it.ring(Completed("b"))
            assert await other.wait(60.0)
            assert (other.claimed, other.done) == (True, True), "what is done was claimed"
            assert not await one.wait(0.0), "its message was taken"
            assert it.listener.waiting == 2
        assert it.listener.waiting == 0


async def test_two_who_wait_for_one_request_share_what_is_told_of_it(bus: Bus) -> None:
    async with listening(bus) as it:
        with it.listener.waiting_for("older") as first:
            with it.listener.waiting_for("newer") as second:
                assert it.listener.join("older", second) is first
                assert it.listener.join("elsewhere", second) is second
                await it.ring(Completed("elsewhere"))
                assert await second.wait(60.0)
            await it.ring(Completed("elsewhere"))  # nobody waits for it any more
            await it.ring(Completed("older"))
            assert await first.wait(60.0)
        assert it.listener.waiting == 0


async def test_a_gateway_tells_another_when_it_is_at_the_position_and_not_before(bus: Bus) -> None:
    async with listening(bus) as it, bus.client().pubsub() as asking:
        await asking.subscribe(KEYS.replies("other"))
        await it.redis.publish(KEYS.reached, encode(PositionQuery("q", "other", NEXT, None)))
        await until(lambda: it.waiter.waiting == 1)
        it.move()
        async with asyncio.timeout(60):
            while (message := await asking.get_message(timeout=1.0)) is None or (
                message["type"] != "message"
            ):
                pass
        assert message["data"] == encode(PositionReached("q"))


async def test_a_write_is_awaited_at_all_other_gateways(bus: Bus) -> None:
    async with listening(bus) as one, listening(bus) as other:
        asked = asyncio.create_task(one.listener.others_reach(NEXT, None))
        await until(lambda: other.waiter.waiting == 1)
        assert not asked.done()
        assert one.waiter.waiting == 0, "it does not ask itself"
        other.move()
        await asked
        assert one.listener.waiting == 0


async def test_a_gateway_that_is_alone_waits_for_nobody(bus: Bus) -> None:
    async with listening(bus) as it:
        with capture_logs() as logged:
            await it.listener.others_reach(NEXT, None)
        assert logged == []


async def test_one_that_does_not_come_there_is_not_awaited_for_ever(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(bus) as one, listening(bus):
        monkeypatch.setattr("gateway.commands.pubsub_listener.OTHERS_WITHIN_S", 0.05)
        with capture_logs() as logged:
            await one.listener.others_reach(NEXT, None)
        assert [(line["event"], line["heard"]) for line in logged] == [
            ("position_query_timeout", 0)
        ]


async def test_what_is_no_message_is_passed_over_and_told(bus: Bus) -> None:
    async with listening(bus) as it:
        with capture_logs() as logged, it.listener.waiting_for("a") as one:
            for channel in (KEYS.replies(it.listener.name), KEYS.reached):
                await it.redis.publish(channel, b"garbage")
            await it.ring(Claimed("nobody's"))
            await it.ring(Claimed("a"))
            assert await one.wait(60.0)
        assert [line["event"] for line in logged] == ["pubsub_message_malformed"] * 2


async def test_a_redis_that_was_away_is_listened_to_again(valkey: RealBus) -> None:
    async with listening(valkey) as it:
        with capture_logs() as logged:
            valkey.kill()
            await until(lambda: not it.listener.listening)
            await valkey.start()
            await until(lambda: it.listener.listening)
            with it.listener.waiting_for("a") as one:
                await it.ring(Claimed("a"))
                assert await one.wait(60.0)
        lost = [line for line in logged if line["event"] == "pubsub_listener_connection_lost"]
        assert [line["log_level"] for line in lost].count("warning") == 1
