"""Requests as gateways send them, to a monitor that leads: each is claimed once or left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from monitor.commands import request_consumer as module
from monitor.shared import tasks
from monitor.shared.command_messages import (
    OPEN,
    REFUSED,
    Busy,
    Claimed,
    Completed,
    Outcome,
    Request,
    Ring,
    decode_outcome,
    decode_ring,
    encode,
)
from monitor.shared.redis.key_names import RequestKeys, SpaceKeys
from tests.bus import Bus, until
from tests.monitor.terms import Process, running

KEYS = RequestKeys("pbx")


class Gateway:
    """It sends requests, and notes what it is told."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.told: list[Ring] = []

    async def listen(self) -> None:
        async with self.redis.pubsub() as pubsub:
            await pubsub.subscribe(KEYS.replies("gateway"))
            async for message in pubsub.listen():
                if message["type"] == "message":
                    self.told.append(decode_ring(message["data"]))

    async def send(
        self,
        id_: str,
        command: str = "ext.del",
        *,
        state: str | None = OPEN,
        times: int = 1,
        key: str = "tester",
    ) -> None:
        """Send a request; ``state``: what its key says then."""
        if state is not None:
            await self.redis.set(KEYS.request(id_), state, px=60_000)
        request = Request(id_, "gateway", command, {"num": "101"}, key, "192.0.2.7")
        for _ in range(times):
            await self.redis.publish(KEYS.requests, encode(request))

    async def outcome(self, id_: str) -> Outcome:
        await until(lambda: Completed(id_) in self.told)
        data = await self.redis.get(KEYS.result(id_))
        assert isinstance(data, bytes)
        return decode_outcome(data)


@asynccontextmanager
async def leading(bus: Bus) -> AsyncIterator[tuple[Process, Gateway]]:
    """A monitor that hears requests, and a gateway."""
    async with running(bus, ttl=60.0) as monitor:  # it is sure of its lease on any machine
        gateway = Gateway(bus.client())
        async with tasks.running(gateway.listen()):
            await until(lambda: monitor.service.leading and monitor.service.hears_requests)
            channel = KEYS.replies("gateway")
            while (await gateway.redis.pubsub_numsub(channel))[0][1] != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield monitor, gateway


async def test_a_gateway_is_told_of_the_claim_and_of_the_outcome(bus: Bus) -> None:
    async with leading(bus) as (monitor, gateway):
        await gateway.send("a")
        outcome = await gateway.outcome("a")
        assert (outcome.reply, outcome.failure) == ({"count": 1}, None)
        assert outcome.live is not None
        assert gateway.told == [Claimed("a"), Completed("a")]
        holder = await gateway.redis.get(SpaceKeys("pbx", "live").lease)
        assert await gateway.redis.get(KEYS.request("a")) == holder, "who claimed it"
        (entry,) = monitor.records.entries
        assert (entry.key, entry.client, entry.command) == ("tester", "192.0.2.7", "ext.del")


@pytest.mark.parametrize("state", [None, REFUSED, "another monitor"])
async def test_what_is_not_open_is_left_alone(bus: Bus, state: str | None) -> None:
    async with leading(bus) as (monitor, gateway):
        await gateway.send("a", state=state)
        await gateway.send("b")
        await gateway.outcome("b")
        assert len(monitor.source.done) == 1
        assert not any(ring.id == "a" for ring in gateway.told)


async def test_the_same_request_heard_again_and_again_is_carried_out_once(bus: Bus) -> None:
    async with leading(bus) as (monitor, gateway):
        await gateway.send("a", times=5)
        await gateway.outcome("a")
        await gateway.send("a", state=None)
        await gateway.send("b")
        await gateway.outcome("b")
        assert len(monitor.source.done) == 2
        assert gateway.told.count(Claimed("a")) == 1


async def test_too_many_at_once_are_left_to_their_gateway_which_is_told(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_HAND", 1)
    async with leading(bus) as (monitor, gateway):
        monitor.source.hand.clear()
        await gateway.send("a")
        await until(lambda: Claimed("a") in gateway.told)
        await gateway.send("b")
        await until(lambda: Busy("b") in gateway.told)
        assert await gateway.redis.get(KEYS.request("b")) == OPEN.encode()
        monitor.source.hand.set()
        await gateway.outcome("a")
        await until(lambda: monitor.service.counters.commands.in_hand == 0)
        await gateway.send("c")
        await gateway.outcome("c")
        assert len(monitor.source.done) == 2


async def test_of_what_is_in_hand_some_is_kept_for_other_keys(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_HAND", 4)
    monkeypatch.setattr(module, "KEPT_FOR_OTHERS", 4)
    async with leading(bus) as (monitor, gateway):
        monitor.source.hand.clear()
        for id_ in "abcd":
            await gateway.send(id_)
        await until(lambda: Busy("d") in gateway.told)
        await gateway.send("e", key="another")
        await until(lambda: Claimed("e") in gateway.told)
        await gateway.send("f", key="a third")
        await until(lambda: Busy("f") in gateway.told)
        monitor.source.hand.set()
        await gateway.outcome("e")


async def test_statements_that_sleep_keep_no_command_waiting(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_QUERIES_IN_HAND", 0)
    async with leading(bus) as (_, gateway):
        await gateway.send("a", "query")
        await until(lambda: Busy("a") in gateway.told)
        await gateway.send("b")
        assert (await gateway.outcome("b")).failure is None


async def test_messages_that_are_no_requests_cost_nothing(bus: Bus) -> None:
    async with leading(bus) as (monitor, gateway):
        for data in (b"", b"junk", b"\x93\xa1a\xa1b\xa1c"):
            await gateway.redis.publish(KEYS.requests, data)
        await gateway.send("a")
        await gateway.outcome("a")
        assert len(monitor.source.done) == 1


async def test_closing_waits_for_what_is_in_hand_and_takes_nothing_new(bus: Bus) -> None:
    async with leading(bus) as (monitor, gateway):
        monitor.source.hand.clear()
        await gateway.send("a")
        await until(lambda: Claimed("a") in gateway.told)
        requests = monitor.service._requests
        assert requests is not None
        assert not await requests.close(0.1), "it is taken again, as the wait was in vain"
        closing = asyncio.create_task(requests.close(600.0))
        await until(lambda: requests._closing)
        await gateway.send("b")
        await until(lambda: Busy("b") in gateway.told)
        assert not closing.done()
        monitor.source.hand.set()
        await gateway.outcome("a")
        assert await closing
        assert len(monitor.source.done) == 1
