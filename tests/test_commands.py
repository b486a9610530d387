"""Test commands from a gateway to the leading monitor and back, with all that can go wrong."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.commands.dispatcher import FINISH_WITHIN_S, CommandDispatcher
from gateway.commands.pubsub_listener import PubSubListener
from gateway.errors import BusAway, IdempotencyKeyReused, MonitorBusy, NoMonitor, OutcomeUnknown
from gateway.pbx_context import PbxContext, open_view
from gateway.replication.replica import Replica
from monitor.commands.request_consumer import RequestConsumer
from monitor.persistence.command_record import CommandRecord
from monitor.shared import tasks
from monitor.shared.command_messages import (
    OPEN,
    REFUSED,
    CommandFailure,
    IdempotencyKey,
    Outcome,
    Request,
    encode,
)
from monitor.shared.entities.topics import Ivr
from monitor.shared.errors import CommandOutcomeUnknown as NobodyKnows
from monitor.shared.errors import CommandRefused, PbxUnreachable
from monitor.shared.redis.connection import connect
from monitor.shared.redis.key_names import RequestKeys
from tests.bus import Bus, RealBus, copy, flush, restore, until, until_async
from tests.monitor.terms import Process, running
from tests.steps import Turns

KEYS = RequestKeys("pbx")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than is waited: a test says itself what is late."""
    monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 60.0)
    monkeypatch.setattr("gateway.commands.dispatcher.START_WITHIN_S", 60.0)
    monkeypatch.setattr("gateway.commands.dispatcher.OWN_WITHIN_S", 60.0)
    monkeypatch.setattr("monitor.commands.executor.WRITTEN_WITHIN_S", 60.0)


@asynccontextmanager
async def gateway(redis: Redis) -> AsyncIterator[PbxContext]:
    """One gateway's view of the PBX, followed."""
    view = open_view("pbx", redis)
    async with tasks.running(view.live_feed.run(), view.book_feed.run(), view.commander.run()):
        await until(lambda: view.live.position is not None and view.commander.listening)
        yield view


@asynccontextmanager
async def both(bus: Bus, ttl: float = 60.0) -> AsyncIterator[tuple[Process, PbxContext]]:
    async with running(bus, ttl=ttl) as monitor, gateway(bus.client()) as view:
        await until(lambda: heard(monitor))
        yield monitor, view


def heard(monitor: Process) -> bool:
    return monitor.service.leading and monitor.service.hears_requests


async def carry_out(
    commander: CommandDispatcher, command: str = "ext.del", once: IdempotencyKey | None = None
) -> Outcome:
    return (await commander.carry_out(command, {"num": "101"}, "tester", "127.0.0.1", once)).outcome


def shown(view: PbxContext) -> str:
    """What the tracker counts its commands by."""
    ivr = view.live.state["ivrs"]["1"]
    assert isinstance(ivr, Ivr)
    return ivr.name


async def test_a_command_is_carried_out_once_and_its_caller_reads_his_own_write(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        outcome = await carry_out(view.commander)
        assert shown(view) == "1", "nothing was awaited in between"
        assert outcome.reply == {"count": 1}
        assert outcome.live == view.live.position
        assert monitor.source.done == [("ext.del", {"num": "101"})]


class SleepingDatabase:
    """One whose statements never end."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, sql: str, count: int) -> bytes:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_eighty_sleeping_statements_keep_no_command_from_being_done(bus: Bus) -> None:
    database = SleepingDatabase()
    async with running(bus, database=database, ttl=60.0) as monitor, gateway(bus.client()) as view:
        await until(lambda: heard(monitor))
        sleepers = [
            asyncio.create_task(
                view.commander.carry_out(
                    "query", {"query": f"select {number}"}, "tester", "127.0.0.1", None
                )
            )
            for number in range(80)
        ]
        await until(lambda: database.asked > 0)
        outcomes = await asyncio.gather(*(carry_out(view.commander) for _ in range(32)))
        assert [outcome.failure for outcome in outcomes] == [None] * 32
        await tasks.end(sleepers)


async def test_a_flood_of_messages_lets_others_have_their_turn_and_does_not_fill_the_log(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    heard_in: dict[type, list[int]] = {RequestConsumer: [], PubSubListener: []}

    def noting(party: type, method: str) -> None:
        through = getattr(party, method)

        def noted(self: object, *arguments: object) -> None:
            heard_in[party].append(turns.count)
            through(self, *arguments)

        monkeypatch.setattr(party, method, noted)

    noting(RequestConsumer, "_take")
    noting(PubSubListener, "_hear")
    async with both(bus):
        other = asyncio.create_task(turns.run())
        with capture_logs() as logs:
            pipe = bus.client().pipeline(transaction=False)
            for _ in range(300):
                pipe.execute_command("PUBLISH", KEYS.requests, b"junk")
                pipe.execute_command("PUBLISH", KEYS.reached, b"junk")
            await pipe.execute()
            await until(lambda: all(len(heard) >= 300 for heard in heard_in.values()))
        other.cancel()
    for heard in heard_in.values():
        assert max(Counter(heard).values()) == 1, "no two in one turn of the loop"
    told = Counter(entry["event"] for entry in logs)
    assert 0 < told["request_malformed"] + told["pubsub_message_malformed"] < 120


async def test_a_write_through_one_gateway_is_read_through_the_other_at_once_hundreds_of_times(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.commands.pubsub_listener.OTHERS_WITHIN_S", 60.0)
    async with both(bus) as (_, first), gateway(bus.client()) as second:
        for number in range(1, 301):
            await carry_out(first.commander)
            assert shown(second) == str(number)


async def test_without_a_monitor_a_command_is_refused_at_once_and_never_done_later(
    bus: Bus,
) -> None:
    async with running(bus) as monitor:
        await until(lambda: heard(monitor))
    async with gateway(bus.client()) as view:
        with pytest.raises(NoMonitor):
            await carry_out(view.commander)
        async with running(bus) as monitor:
            await until(lambda: heard(monitor))
            await carry_out(view.commander)
            assert len(monitor.source.done) == 1


async def test_a_request_that_nobody_claims_is_refused_and_its_late_claim_fails(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 1.0)
    async with both(bus) as (monitor, view):
        # The monitor no longer knows whether it leads, and leaves the request alone.
        monitor.service.lease.lost()
        monitor.network.deaf_for = 1_000
        with pytest.raises((MonitorBusy, NoMonitor)):
            await carry_out(view.commander)
        assert monitor.source.done == []


async def test_a_monitor_that_is_heard_and_does_not_claim_is_busy_and_one_not_heard_is_none(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.commands.request_consumer.MOST_IN_HAND", 0)
    silent = Replica.silent
    monkeypatch.setattr(Replica, "silent", lambda *_: None)  # however late its heartbeats come
    async with both(bus) as (monitor, view):
        monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 0.1)
        with pytest.raises(MonitorBusy, match="nothing was done") as busy:
            await carry_out(view.commander)
        assert busy.value.headers["Retry-After"]
        monkeypatch.setattr(
            "monitor.commands.request_consumer.RequestConsumer._take", lambda *_: None
        )  # it hears nothing
        monkeypatch.setattr(Replica, "heard", lambda *_: None)
        silent(view.live, "2026-01-01T00:00:00.000Z")
        with pytest.raises(NoMonitor, match="nothing was done"):
            await carry_out(view.commander)
        assert monitor.source.done == []


async def test_a_monitor_with_its_hands_full_says_so_at_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.commands.request_consumer.MOST_IN_HAND", 1)
    monkeypatch.setattr(
        "gateway.commands.dispatcher.CLAIM_WITHIN_S", 1_000.0
    )  # it is not the waiting that ends it
    async with both(bus) as (monitor, view):
        monitor.source.hand.clear()
        first = asyncio.create_task(carry_out(view.commander))
        await until(lambda: len(monitor.source.done) == 1)
        with pytest.raises(MonitorBusy):
            await carry_out(view.commander)
        monitor.source.hand.set()
        assert (await first).reply == {"count": 1}
        assert len(monitor.source.done) == 1


async def test_a_request_that_vanished_from_redis_is_not_called_undone(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 1_000.0)
    monkeypatch.setattr("monitor.commands.request_consumer.RequestConsumer._take", lambda *_: None)
    async with both(bus) as (_, view):
        asking = asyncio.create_task(carry_out(view.commander))
        redis = bus.client()

        async def there() -> bool:
            return bool(await redis.keys(KEYS.request("*").replace("{", "?").replace("}", "?")))

        await until_async(there)
        await flush(bus)
        monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 0.0)
        with pytest.raises(OutcomeUnknown):
            await asking


async def test_a_request_whose_time_is_over_is_not_carried_out(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        redis = bus.client()
        await redis.publish(
            KEYS.requests, encode(Request("0" * 32, "elsewhere", "ext.del", {}, "tester", ""))
        )
        await carry_out(view.commander)
        assert len(monitor.source.done) == 1, "the one that nobody has open was left alone"


async def test_the_same_request_heard_twice_is_carried_out_once(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        redis = bus.client()
        request = encode(Request("1" * 32, "elsewhere", "ext.del", {}, "tester", ""))
        await redis.set(KEYS.request("1" * 32), OPEN, px=20_000)
        for _ in range(3):
            await redis.publish(KEYS.requests, request)
        await until(lambda: len(monitor.records.entries) == 1)
        await carry_out(view.commander)
        assert len(monitor.source.done) == 2


@pytest.mark.parametrize(
    ("trouble", "failure"),
    [
        (
            CommandRefused("unknown_extension", "No 101.", "missing"),
            CommandFailure("missing", "unknown_extension", "No 101."),
        ),
        (PbxUnreachable("Away."), CommandFailure("unavailable", "pbx_unreachable", "Away.")),
        (NobodyKnows("Perhaps."), CommandFailure("unknown", "outcome_unknown", "Perhaps.")),
    ],
)
async def test_what_the_pbx_says_against_it_comes_back(
    bus: Bus, trouble: Exception, failure: CommandFailure
) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.trouble = trouble
        outcome = await carry_out(view.commander)
        assert outcome.failure == failure
        assert monitor.records.entries[-1].result == failure.code


async def test_a_request_that_the_monitor_fails_at_costs_nobody_but_its_caller(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        epoch = view.live.position and view.live.position.epoch
        monitor.source.trouble = KeyError("num")  # as of a gateway of another version
        outcome = await carry_out(view.commander)
        assert outcome.failure is not None
        assert (outcome.failure.kind, outcome.failure.code) == ("unknown", "outcome_unknown")
        assert "num" not in outcome.failure.message
        monitor.source.trouble = None
        assert (await carry_out(view.commander)).failure is None
        assert view.live.position is not None
        assert view.live.position.epoch == epoch


async def test_an_answer_that_cannot_be_written_costs_nobody_but_its_caller(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(bus) as (monitor, view):
        told = monitor.source.told
        told["id"] = 2**70
        with monkeypatch.context() as patched:
            patched.setattr("gateway.commands.dispatcher.FINISH_WITHIN_S", 0.5)
            with pytest.raises(OutcomeUnknown):
                await carry_out(view.commander)
        told.clear()
        assert (await carry_out(view.commander)).failure is None


async def test_a_doorbell_that_fails_delays_an_answer_and_does_not_lose_it(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.hand.clear()
        asking = asyncio.create_task(carry_out(view.commander))
        await until(lambda: len(monitor.source.done) == 1)
        await bus.drop_subscribers()
        monitor.source.hand.set()
        assert (await asking).reply == {"count": 1}


async def test_changes_wait_for_each_other_and_calls_do_not_wait_for_them(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.hand.clear()
        first = asyncio.create_task(carry_out(view.commander))
        await until(lambda: len(monitor.source.done) == 1)
        second = asyncio.create_task(carry_out(view.commander))
        call = asyncio.create_task(carry_out(view.commander, "makecall"))
        await until(lambda: len(monitor.source.done) == 2)
        assert [command for command, _ in monitor.source.done] == ["ext.del", "makecall"]
        monitor.source.hand.set()
        await asyncio.gather(first, second, call)
        assert len(monitor.source.done) == 3


async def test_a_monitor_that_ends_with_a_command_in_hand_leaves_it_unknown_and_nobody_repeats_it(
    bus: Bus,
) -> None:
    async with gateway_first(bus) as (stack, view):
        monitor = await stack.enter_async_context(running(bus, "one"))
        await until(lambda: heard(monitor))
        monitor.source.hand.clear()
        asking = asyncio.create_task(carry_out(view.commander))
        await until(lambda: len(monitor.source.done) == 1)
        await stack.aclose()
        async with running(bus, "two") as standby:
            await until(lambda: heard(standby))
            failure = (await asking).failure
            assert failure is not None
            assert failure.kind == "unknown", (
                "the new leader settles what the old one left open, and says so"
            )
            assert standby.source.done == []
        assert [entry.result for entry in monitor.records.entries] == ["outcome_unknown"]


@asynccontextmanager
async def gateway_first(bus: Bus) -> AsyncIterator[tuple[AsyncExitStack, PbxContext]]:
    """A gateway, and a stack for monitors that end before it."""
    async with running(bus, "earlier") as earlier:
        await until(lambda: heard(earlier))
    async with gateway(bus.client()) as view, AsyncExitStack() as stack:
        yield stack, view


async def test_a_killed_redis_is_told_as_such_and_nothing_is_done(valkey: RealBus) -> None:
    async with both(valkey) as (monitor, view):
        before = view.live.position
        assert before is not None
        valkey.kill()
        with pytest.raises(BusAway):
            await carry_out(view.commander)
        await valkey.start()
        await until(lambda: view.live.position is not None and view.live.position > before)
        await until(lambda: heard(monitor) and view.commander.listening)
        await carry_out(view.commander)
        assert len(monitor.source.done) == 1


async def test_what_was_done_is_in_the_audit_log_though_redis_is_gone_before_its_end(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.commands.executor.WRITTEN_WITHIN_S", 0.1)
    async with both(valkey) as (monitor, view):
        monitor.source.hand.clear()
        asking = asyncio.create_task(carry_out(view.commander))
        await until(lambda: len(monitor.source.done) == 1)
        valkey.kill()
        monitor.source.hand.set()
        await until(lambda: [entry.result for entry in monitor.records.entries] == ["success"])
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await valkey.start()


async def test_the_audit_log_has_it_before_anybody_is_told(bus: Bus) -> None:
    told: list[int] = []
    async with both(bus) as (monitor, view):
        redis, merge = bus.client(), monitor.records.merge

        async def keep(records: Iterable[CommandRecord]) -> None:
            told.append(len(await redis.keys(KEYS.result("*"))))
            await merge(records)

        monitor.records.merge = keep  # type: ignore[method-assign]
        await carry_out(view.commander)
        assert len(monitor.records.entries) == 1
    assert told
    assert set(told) == {0}


async def test_a_fault_in_one_command_is_told_and_costs_no_other(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.trouble = ZeroDivisionError()
        outcome = await carry_out(view.commander)
        assert outcome.failure is not None
        assert outcome.failure.code == "outcome_unknown"
        monitor.source.trouble = None
        assert (await carry_out(view.commander)).failure is None
        assert len(monitor.sources) == 1, "it leads still"


ONCE = IdempotencyKey("d" * 64, "f" * 64)


async def test_under_the_same_idempotency_key_a_command_is_done_once(bus: Bus) -> None:
    async with both(bus) as (monitor, view), gateway(bus.client()) as other:
        first = await view.commander.carry_out("ext.del", {"num": "101"}, "tester", "", ONCE)
        again = await other.commander.carry_out("ext.del", {"num": "101"}, "tester", "", ONCE)
        assert (first.again, again.again) == (False, True)
        assert again.outcome == first.outcome
        assert len(monitor.source.done) == 1


async def test_a_repetition_while_the_first_is_under_way_waits_for_its_answer(bus: Bus) -> None:
    async with both(bus) as (monitor, view), gateway(bus.client()) as other:
        monitor.source.hand.clear()
        first = asyncio.create_task(carry_out(view.commander, once=ONCE))
        await until(lambda: len(monitor.source.done) == 1)
        again = asyncio.create_task(carry_out(other.commander, once=ONCE))
        await asyncio.sleep(0)
        monitor.source.hand.set()
        assert await first == await again
        assert len(monitor.source.done) == 1


async def test_an_idempotency_key_is_not_taken_for_another_request(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        await carry_out(view.commander, once=ONCE)
        with pytest.raises(IdempotencyKeyReused):
            await carry_out(view.commander, once=IdempotencyKey(ONCE.digest, "e" * 64))
        assert len(monitor.source.done) == 1


def record(request: str) -> CommandRecord:
    """A command that is begun, under ONCE."""
    digest, fingerprint = ONCE.digest, ONCE.fingerprint
    return CommandRecord(
        request,
        "pbx",
        time.time(),
        "gone",
        "tester",
        "",
        "ext.del",
        "",
        digest=digest,
        fingerprint=fingerprint,
    )


async def forgotten(bus: Bus, view: PbxContext) -> None:
    """Redis is emptied, and the monitor has written everything anew."""
    before = view.live.position
    await flush(bus)
    await until(
        lambda: (
            view.live.position is not None and before is not None and view.live.position > before
        )
    )


async def test_the_monitors_records_keep_the_promise_when_redis_has_forgotten(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        first = await carry_out(view.commander, once=ONCE)
        await forgotten(bus, view)
        again = await carry_out(view.commander, once=ONCE)
        assert again.reply == first.reply
        assert len(monitor.source.done) == 1
        results = [entry.result for entry in monitor.records.entries]
        assert sorted(results) == ["repeated", "success"], (
            "one success in the audit log for what was done once"
        )
        await forgotten(bus, view)
        other = await carry_out(view.commander, once=IdempotencyKey(ONCE.digest, "e" * 64))
        assert other.failure is not None
        assert other.failure.code == "idempotency_key_reused"


async def test_what_was_begun_and_never_finished_is_not_begun_again(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        await monitor.records.begin(record("0" * 32))
        outcome = await carry_out(view.commander, once=ONCE)
        assert outcome.failure is not None
        assert outcome.failure.kind == "unknown"
        assert monitor.source.done == []


async def test_a_full_disk_and_a_redis_that_was_emptied_do_not_call_undone_what_was_done(
    bus: Bus,
) -> None:
    async with both(bus) as (monitor, view):
        first = await carry_out(view.commander, once=ONCE)
        await monitor.records._with(lambda db: db.execute("PRAGMA query_only = 1"))
        await forgotten(bus, view)
        again = await carry_out(view.commander, once=ONCE)
        assert (again.reply, again.failure) == (first.reply, None)
        failure = (await carry_out(view.commander)).failure
        assert failure is not None
        assert failure.code == "not_recorded"
        assert "Nothing was done for this request" in failure.message
        assert len(monitor.source.done) == 1
        await monitor.records._with(lambda db: db.execute("PRAGMA query_only = 0"))


async def test_what_no_monitor_knows_any_more_is_not_done_again_at_the_gateway_that_had_it_done(
    bus: Bus,
) -> None:
    async with gateway_first(bus) as (stack, view):
        monitor = await stack.enter_async_context(running(bus, "one"))
        await until(lambda: heard(monitor))
        await carry_out(view.commander, once=ONCE)
        await stack.aclose()
        await flush(bus)
        async with running(bus, "two") as other, gateway(bus.client()) as another:
            await until(lambda: heard(other))
            for commander in (view.commander, another.commander):
                failure = (await carry_out(commander, once=ONCE)).failure
                assert failure is not None
                assert failure.code == "outcome_unknown"
            assert other.source.done == []


async def test_asking_for_a_running_command_after_redis_was_emptied_gets_its_answer(
    bus: Bus,
) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.hand.clear()
        asking = asyncio.create_task(carry_out(view.commander, once=ONCE))
        await until(lambda: len(monitor.source.done) == 1)
        await forgotten(bus, view)
        meanwhile = await carry_out(view.commander, once=ONCE)
        assert meanwhile.failure is not None
        assert meanwhile.failure.code == "outcome_unknown"
        monitor.source.hand.set()
        first = await asking
        again = await carry_out(view.commander, once=ONCE)
        assert (again.reply, again.failure) == (first.reply, None)
        assert len(monitor.source.done) == 1


async def test_a_request_that_redis_has_forgotten_meanwhile_is_not_called_undone(bus: Bus) -> None:
    async with both(bus) as (_, view):
        again = Request("2" * 32, "here", "ext.del", {}, "tester", "", ONCE)
        with pytest.raises(
            OutcomeUnknown
        ):  # of a monitor that had it in hand and ended, no more is left
            await view.commander._is_claimed("3" * 32, again)


async def test_a_redis_that_was_rolled_back_to_an_open_request_hides_no_answer(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roll Redis back to before the monitor heard of a repetition: nobody ever claims that one."""
    async with both(bus) as (monitor, view):
        first = await carry_out(view.commander, once=ONCE)
        await forgotten(bus, view)
        redis, older = bus.client(), "3" * 32
        await redis.set(KEYS.request(older), OPEN, px=20_000)
        await redis.set(KEYS.once(ONCE.digest), f"{older} {ONCE.fingerprint}")
        take_back = CommandDispatcher._take_back

        async def taken_back(self: CommandDispatcher, id_: str, once: IdempotencyKey) -> bool:
            monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 60.0)
            return await take_back(self, id_, once)

        monkeypatch.setattr(CommandDispatcher, "_take_back", taken_back)
        monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 0.0)  # of the older one
        again = await carry_out(view.commander, once=ONCE)
        assert (again.reply, again.failure) == (first.reply, None)
        assert await redis.get(KEYS.request(older)) == REFUSED.encode(), (
            "nobody carries it out any more"
        )
        assert len(monitor.source.done) == 1


async def test_a_redis_that_was_rolled_back_to_a_claim_gets_the_answer_again(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.hand.clear()
        asking = asyncio.create_task(carry_out(view.commander, once=ONCE))
        await until(lambda: len(monitor.source.done) == 1)
        saved = await copy(bus)
        monitor.source.hand.set()
        first = await asking
        await restore(bus, saved)
        async with asyncio.timeout(FINISH_WITHIN_S / 2):
            again = await carry_out(view.commander, once=ONCE)
        assert (again.reply, again.failure) == (first.reply, None)
        assert len(monitor.source.done) == 1


async def test_what_was_not_done_may_be_tried_again_under_the_same_key(bus: Bus) -> None:
    async with both(bus) as (monitor, view):
        monitor.source.trouble = PbxUnreachable("Away.")
        assert (await carry_out(view.commander, once=ONCE)).failure is not None
        monitor.source.trouble = None
        assert (await carry_out(view.commander, once=ONCE)).failure is None


@asynccontextmanager
async def late(bus: RealBus, seconds: float) -> AsyncIterator[str]:
    """A way to the server on which every byte, there and back, is so much later; its address."""

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while (item := await due.get())[1]:
                await asyncio.sleep(max(0.0, item[0] - loop.time()))
                sink.write(item[1])
            sink.close()

        delivering = asyncio.create_task(deliver())
        try:
            while data := await source.read(65_536):
                due.put_nowait((loop.time() + seconds, data))
            due.put_nowait((0.0, b""))
            await delivering
        except (OSError, asyncio.CancelledError):
            delivering.cancel()
            sink.close()

    carrying: list[asyncio.Task[None]] = []

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", bus.port)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(carry(reader, back))
            ways.create_task(carry(there, writer))

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.append(asyncio.create_task(join(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await tasks.end(carrying)


async def test_a_gateway_half_a_second_from_redis_shows_a_write_if_its_position_is_asked_for(
    valkey: RealBus,
) -> None:
    async with (
        both(valkey) as (_, first),
        late(valkey, 0.5) as address,
        connect(address) as slow,
        gateway(slow) as second,
    ):

        async def write_and_read(times: int) -> None:
            for _ in range(times):
                outcome = await carry_out(first.commander, "makecall")
                assert outcome.reply is not None
                assert await second.position_waiter.wait(outcome.live, outcome.book, 60.0), (
                    "a query would answer 504"
                )
                assert int(shown(second)) >= outcome.reply["count"]

        await asyncio.gather(*(write_and_read(5) for _ in range(50)))
