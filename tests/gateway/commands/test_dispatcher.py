"""Test commands with a scripted monitor; tests/test_commands.py has a real one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.commands import dispatcher
from gateway.commands.dispatcher import CommandDispatcher
from gateway.commands.pubsub_listener import PendingReply, PubSubListener
from gateway.errors import (
    BusAway,
    IdempotencyKeyReused,
    MonitorBusy,
    NoMonitor,
    OutcomeUnknown,
)
from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.replica import Replica
from monitor.shared.changes import Position
from monitor.shared.command_messages import (
    OPEN,
    REFUSED,
    Busy,
    Claimed,
    CommandFailure,
    Completed,
    IdempotencyKey,
    Outcome,
    Request,
    decode_request,
    encode,
)
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, empty_state
from monitor.shared.redis.connection import GuardedTransaction, connect
from monitor.shared.redis.key_names import RedisCommand, RequestKeys, SpaceKeys
from monitor.shared.tasks import running
from tests.bus import Bus, flush, free_port, until
from tests.gateway.entities import START

KEYS = RequestKeys("main")
ONCE = IdempotencyKey("digest", "fingerprint")
HERE = Position("1-a", 5)
DENIALS = [
    (None, r"nothing was done\."),
    (ONCE, r"nothing was done for this request\. Its Idempotency-Key tells whether an earlier one"),
]
"""Idempotency-Keys, and what a refusal says was done: of earlier requests it knows nothing."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than a gateway waits: a test says itself when it is late."""
    monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 60.0)


@dataclass
class Monitor:
    """The other end. ``requests``: those that it has heard."""

    redis: Redis
    requests: list[Request]

    async def claim(self, request: Request) -> None:
        await self.redis.set(KEYS.request(request.id), "monitor")
        await self.redis.publish(KEYS.replies(request.gateway), encode(Claimed(request.id)))

    async def finish(self, request: Request, outcome: Outcome | None = None) -> None:
        await self.claim(request)
        done = Outcome(request.id, {"number": len(self.requests)}) if outcome is None else outcome
        await self.redis.set(KEYS.result(request.id), encode(done))
        await self.redis.publish(KEYS.replies(request.gateway), encode(Completed(request.id)))


Deed = Callable[[Monitor, Request], Awaitable[None]]


async def nothing(_: Monitor, __: Request) -> None:
    """What a monitor does that has died."""


@asynccontextmanager
async def monitoring(bus: Bus, deed: Deed) -> AsyncIterator[Monitor]:
    monitor = Monitor(bus.client(), [])
    async with bus.client().pubsub() as pubsub:
        await pubsub.subscribe(KEYS.requests)
        await pubsub.get_message(timeout=60.0)

        async def hear() -> None:
            while True:
                message = await pubsub.get_message(timeout=1.0)
                if message is not None and message["type"] == "message":
                    request = decode_request(message["data"])
                    monitor.requests.append(request)
                    await deed(monitor, request)

        async with running(hear()):
            yield monitor


@asynccontextmanager
async def dispatching(bus: Bus, *, heard: bool = False) -> AsyncIterator[CommandDispatcher]:
    """A gateway at :data:`HERE`. ``heard``: it hears the monitor's heartbeats."""
    live, book = (Replica(SpaceKeys("main", space)) for space in ("live", "book"))
    live.load(HERE, START, empty_state(TOPICS))
    book.load(HERE, START, empty_state(BOOK_TOPICS))
    if not heard:
        live.silent(START)
    ours = CommandDispatcher(bus.client(), "main", PositionWaiter(live, book))
    async with running(ours.run()):
        await until(lambda: ours.listening)
        yield ours


async def sent(
    ours: CommandDispatcher, once: IdempotencyKey | None = None
) -> dispatcher.CommandReply:
    return await ours.carry_out("ext.del", {"num": "101"}, "wall", "10.0.0.1", once, "trace")


async def test_the_monitor_gets_all_that_it_needs_and_its_outcome_comes_back(bus: Bus) -> None:
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        reply = await sent(ours)
        [request] = monitor.requests
        assert request.command == "ext.del"
        assert request.arguments == {"num": "101"}
        assert (request.key, request.client, request.trace) == ("wall", "10.0.0.1", "trace")
        assert request.takes_body
        assert reply == dispatcher.CommandReply(Outcome(request.id, {"number": 1}), again=False)
        assert ours.waiting == 0


async def test_a_refusal_of_the_pbx_is_an_outcome_too(bus: Bus) -> None:
    failure = CommandFailure("conflict", "already_exists", "No.")

    async def refuse(monitor: Monitor, request: Request) -> None:
        await monitor.finish(request, Outcome(request.id, None, failure))

    async with monitoring(bus, refuse), dispatching(bus) as ours:
        assert (await sent(ours)).outcome.failure == failure


async def test_where_nobody_listens_it_is_refused_at_once_and_nobody_can_claim_it(bus: Bus) -> None:
    async with dispatching(bus) as ours:
        with pytest.raises(NoMonitor, match="No monitor of this PBX is running"):
            await sent(ours, ONCE)
        redis = bus.client()
        [key] = await redis.keys(KEYS.request("*").replace("{", "?").replace("}", "?"))
        assert await redis.get(key) == REFUSED.encode()
        assert not await redis.exists(KEYS.once(ONCE.digest)), "it may be tried again"


@pytest.mark.parametrize(
    ("heard", "refusal"), [(True, MonitorBusy), (False, NoMonitor)], ids=["heard", "not heard"]
)
@pytest.mark.parametrize(("once", "denied"), DENIALS, ids=["no key", "key"])
async def test_what_nobody_claims_in_time_is_taken_back(
    bus: Bus,
    heard: bool,
    refusal: type[Exception],
    once: IdempotencyKey | None,
    denied: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 0.1)
    async with monitoring(bus, nothing) as monitor, dispatching(bus, heard=heard) as ours:
        with pytest.raises(refusal, match=denied):
            await sent(ours, once)
        await until(lambda: bool(monitor.requests))
        [request] = monitor.requests
        assert await bus.client().get(KEYS.request(request.id)) == REFUSED.encode()


async def test_a_monitor_that_says_that_it_is_busy_is_not_waited_for(bus: Bus) -> None:
    async def decline(monitor: Monitor, request: Request) -> None:
        await monitor.redis.publish(KEYS.replies(request.gateway), encode(Busy(request.id)))

    async with monitoring(bus, decline), dispatching(bus) as ours:
        with pytest.raises(MonitorBusy):
            await sent(ours)


async def test_two_who_ask_under_one_key_are_refused_together_for_what_they_asked(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, denied = DENIALS[1]
    awaited, join = [], PubSubListener.join

    def noted(self: PubSubListener, id_: str, waiting: PendingReply) -> PendingReply:
        awaited.append(id_)
        return join(self, id_, waiting)

    monkeypatch.setattr(PubSubListener, "join", noted)

    async def decline_when_both_ask(monitor: Monitor, request: Request) -> None:
        await until(lambda: awaited == [request.id] * 2)
        await monitor.redis.publish(KEYS.replies(request.gateway), encode(Busy(request.id)))

    async with monitoring(bus, decline_when_both_ask) as monitor, dispatching(bus) as ours:
        for refusal in await asyncio.gather(
            sent(ours, ONCE), sent(ours, ONCE), return_exceptions=True
        ):
            assert isinstance(refusal, MonitorBusy)
            assert re.search(denied, str(refusal))
        assert len(monitor.requests) == 1


async def test_a_claim_of_which_no_message_came_holds(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_LOOK_EVERY_S", 0.05)

    async def silently(monitor: Monitor, request: Request) -> None:
        await monitor.redis.set(KEYS.request(request.id), "monitor")
        monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 0.0)
        await asyncio.sleep(0.3)
        await monitor.redis.set(KEYS.result(request.id), encode(Outcome(request.id, {"x": 1})))

    async with monitoring(bus, silently), dispatching(bus) as ours:
        assert (await sent(ours)).outcome.reply == {"x": 1}


async def test_what_was_claimed_and_never_answered_is_not_called_undone(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_LOOK_EVERY_S", 0.05)

    async def claim_and_vanish(monitor: Monitor, request: Request) -> None:
        await monitor.claim(request)
        monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 0.0)
        monkeypatch.setattr(dispatcher, "FINISH_WITHIN_S", 0.0)

    async with monitoring(bus, claim_and_vanish), dispatching(bus) as ours:
        with pytest.raises(OutcomeUnknown, match="not known whether it was done"):
            await sent(ours)


async def test_what_redis_has_lost_is_called_unknown_as_soon_as_that_is_seen(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "FINISH_WITHIN_S", 3_600.0)

    async def lose(monitor: Monitor, request: Request) -> None:
        await monitor.redis.delete(KEYS.request(request.id))
        monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 0.0)

    async with monitoring(bus, lose), dispatching(bus) as ours, asyncio.timeout(60):
        with pytest.raises(OutcomeUnknown, match="not known whether it was done"):
            await sent(ours)


async def test_an_outcome_that_cannot_be_read_is_unknown(bus: Bus) -> None:
    async def garble(monitor: Monitor, request: Request) -> None:
        await monitor.redis.set(KEYS.result(request.id), b"garbage")
        await monitor.redis.publish(KEYS.replies(request.gateway), encode(Completed(request.id)))

    async with monitoring(bus, garble), dispatching(bus) as ours:
        with pytest.raises(OutcomeUnknown):
            await sent(ours)


async def test_under_an_idempotency_key_the_first_answer_comes_again(bus: Bus) -> None:
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        first, again = await sent(ours, ONCE), await sent(ours, ONCE)
        assert again == dispatcher.CommandReply(first.outcome, again=True)
        assert len(monitor.requests) == 1
        with pytest.raises(IdempotencyKeyReused):
            await sent(ours, IdempotencyKey(ONCE.digest, "another"))
        await sent(ours, IdempotencyKey("another", ONCE.fingerprint))
        assert len(monitor.requests) == 2


async def test_a_claimed_request_that_redis_has_lost_is_told_to_the_monitor_as_a_repetition(
    bus: Bus,
) -> None:
    undone = CommandFailure("unavailable", "pbx_unreachable", "Away.")

    async def left_undone(monitor: Monitor, request: Request) -> None:
        await monitor.finish(request, Outcome(request.id, None, undone))

    async def claim_and_lose(monitor: Monitor, request: Request) -> None:
        await monitor.claim(request)
        await monitor.redis.set(KEYS.result(request.id), b"not an outcome")
        await monitor.redis.publish(KEYS.replies(request.gateway), encode(Completed(request.id)))

    async with dispatching(bus) as ours:
        for deed, repeated in (
            (left_undone, False),
            (claim_and_lose, False),
            (Monitor.finish, True),
        ):
            async with monitoring(bus, deed) as monitor:
                with suppress(OutcomeUnknown):
                    await sent(ours, ONCE)
                assert [request.repeated for request in monitor.requests] == [repeated]
            await flush(bus)


async def test_of_the_latest_keys_alone_it_is_remembered_that_a_request_was_claimed(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_MOST_REMEMBERED", 1)
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        for once in (ONCE, IdempotencyKey("another", "fingerprint")):
            await sent(ours, once)
        await flush(bus)
        await sent(ours, ONCE)
        assert not monitor.requests[-1].repeated


async def test_a_day_later_a_key_is_free_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        await sent(ours, ONCE)
        await flush(bus)
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + dispatcher.ONCE_KEPT_S)
        await sent(ours, ONCE)
        assert not monitor.requests[-1].repeated


async def test_a_refusal_of_a_repetition_does_not_deny_what_was_done_before(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, denied = DENIALS[1]
    async with dispatching(bus) as ours:
        async with monitoring(bus, Monitor.finish):
            await sent(ours, ONCE)
        await flush(bus)
        with monkeypatch.context() as patch:
            patch.setattr(dispatcher, "CLAIM_WITHIN_S", 0.1)
            with pytest.raises(NoMonitor, match=denied):
                await sent(ours, ONCE)
        async with monitoring(bus, Monitor.finish) as monitor:
            await sent(ours, ONCE)
            assert monitor.requests[-1].repeated, "the refusal has not made it forget"


async def test_an_older_request_that_nobody_will_claim_gives_way_to_a_new_one(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "CLAIM_WITHIN_S", 3.0)
    redis, older = bus.client(), "0" * 32
    await redis.set(KEYS.request(older), OPEN)  # of a gateway that died
    await redis.set(KEYS.once(ONCE.digest), f"{older} {ONCE.fingerprint}")
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        assert not (await sent(ours, ONCE)).again
        assert len(monitor.requests) == 1
        assert await redis.get(KEYS.request(older)) == REFUSED.encode()


@pytest.mark.parametrize("stored", ["garbage", f"{'0' * 32} ", f"{'0' * 32} fingerprint"])
async def test_a_record_that_leads_nowhere_does_not_keep_a_command_from_being_sent(
    bus: Bus, stored: str
) -> None:
    await bus.client().set(KEYS.once(ONCE.digest), stored)
    async with monitoring(bus, Monitor.finish) as monitor, dispatching(bus) as ours:
        assert not (await sent(ours, ONCE)).again
        assert len(monitor.requests) == 1


async def test_a_success_waits_until_it_can_be_read_here_and_no_longer_than_it_may(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "OWN_WITHIN_S", 0.05)
    for position in (HERE, Position(HERE.epoch, HERE.seq + 1)):

        async def change(monitor: Monitor, request: Request, at: Position = position) -> None:
            await monitor.finish(request, Outcome(request.id, {}, live=at))

        async with monitoring(bus, change), dispatching(bus) as ours:
            assert (await sent(ours)).outcome.live == position


@pytest.mark.parametrize(("once", "denied"), DENIALS, ids=["no key", "key"])
async def test_without_redis_nothing_was_done(once: IdempotencyKey | None, denied: str) -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}")
    waiter = PositionWaiter(*(Replica(SpaceKeys("main", space)) for space in ("live", "book")))
    with pytest.raises(BusAway, match=denied):
        await sent(CommandDispatcher(redis, "main", waiter), once)
    await redis.aclose()


@pytest.mark.parametrize(("once", "denied"), DENIALS, ids=["no key", "key"])
async def test_where_others_always_write_first_nothing_was_done(
    bus: Bus, once: IdempotencyKey | None, denied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, redis = GuardedTransaction.commit, bus.client()

    async def commit_too_late(
        guard: GuardedTransaction, commands: Sequence[RedisCommand]
    ) -> list[Any] | None:
        await redis.set(str(commands[0][1]), REFUSED)
        return await commit(guard, commands)

    monkeypatch.setattr(GuardedTransaction, "commit", commit_too_late)
    async with dispatching(bus) as ours:
        with pytest.raises(BusAway, match=denied):
            await sent(ours, once)
