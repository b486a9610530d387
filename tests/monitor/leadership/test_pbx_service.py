"""Test a PBX's service with a scripted source: who leads, what Redis holds, through all faults."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.replication.redis_reader import read_position, read_state
from monitor.leadership import leader_term, pbx_service
from monitor.leadership import membership as membership_module
from monitor.leadership.leader_term import LeaderTerm
from monitor.leadership.membership import TAKEN_UP_AT_ONCE, Membership
from monitor.lease import Lease
from monitor.pbx.facts import Fact
from monitor.publishing.publish_loop import PublishLoop
from monitor.shared import tasks
from monitor.shared.changes import Position
from monitor.shared.entities.topics import Ivr
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus, RealBus, flush, patient, until, until_async
from tests.monitor.terms import Process, running

LIVE, BOOK = SpaceKeys("pbx", "live"), SpaceKeys("pbx", "book")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than a monitor waits: a test says itself what is late."""
    for module, names in {
        pbx_service: ("_RELEASE_WITHIN_S", "_CLOSE_WITHIN_S", "_TAKEN_UP_WITHIN_S"),
        leader_term: ("_FLUSH_WITHIN_S",),
        membership_module: ("_FAREWELL_S", "TRUSTED_S", "EXPIRY_S"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, 60.0)


@asynccontextmanager
async def stopped_leader(
    bus: RealBus,
    *arguments: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, Callable[[], None], Callable[[], None]]]:
    """A leader in a process of its own, and how to stop and wake it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.monitor.leading",
        bus.url,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            await said(process.stdout, b"leader_term_start")
        yield (
            process.stdout,
            lambda: process.send_signal(signal.SIGSTOP),
            lambda: process.send_signal(signal.SIGCONT),
        )
    finally:
        process.kill()
        await process.wait()


async def said(lines: asyncio.StreamReader, word: bytes) -> None:
    """Wait for a line with this word."""
    async for line in lines:
        if word in line:
            return
    raise AssertionError(f"never said {word!r}")


async def stands(bus: Bus, name: str) -> Position:
    """Wait until the store says this name; where."""
    redis = patient(bus)
    found: list[Position] = []

    async def is_there() -> bool:
        read = await read_state(redis, LIVE)
        if read is None or read.state["ivrs"].get("1") != Ivr("1", name):
            return False
        found.append(read.stored.position)
        return True

    await until_async(is_there)
    return found[0]


async def test_a_leader_removes_what_nobody_of_us_wrote_and_goes_on(valkey: RealBus) -> None:
    redis = valkey.client()
    async with running(valkey) as one:
        await stands(valkey, "connected")
        for key in (LIVE.position, LIVE.state("ivrs"), BOOK.position):
            await redis.hset(key, mapping={f"junk{number}": "x" for number in range(1_500)})

        async def clean() -> bool:
            sizes = [
                await redis.hlen(key) for key in (LIVE.position, LIVE.state("ivrs"), BOOK.position)
            ]
            return max(sizes) <= 5

        await until_async(clean)
        one.source.call()
        assert (await stands(valkey, "1")).seq > 0


async def test_an_empty_store_gets_even_an_incomplete_state(bus: Bus) -> None:
    async with running(bus, connected=False):
        await until_async(lambda: _is_stored(bus, LIVE))
        await until_async(lambda: _is_stored(bus, BOOK))


async def test_what_another_monitor_left_stays_until_the_whole_state_is_known(bus: Bus) -> None:
    async with running(bus, "one"):
        left = await stands(bus, "connected")
    async with running(bus, "two", connected=False) as two:
        await until(lambda: bool(two.sources) and two.source.running)
        await until(two.service.lease.sure)
        stored = await read_position(bus.client(), LIVE)
        assert stored is not None
        assert stored.position == left
        two.source.connect()
        await until_async(lambda: _is_newer(bus, left))


async def test_a_standby_takes_over_at_once_when_the_leader_is_stopped(bus: Bus) -> None:
    leader = AsyncExitStack()
    one = await leader.enter_async_context(running(bus, "one", ttl=60.0))
    async with running(bus, "two", connected=False, ttl=60.0) as two:
        await stands(bus, "connected")
        assert not two.service.leading
        async with asyncio.timeout(30):  # half of the lease's time
            await leader.aclose()
            await until(lambda: two.service.leading)
        assert one.source.closed


async def test_a_leader_that_lost_the_lease_stops_its_source_and_contests_again(bus: Bus) -> None:
    async with running(bus) as one:
        await stands(bus, "connected")
        usurper = Lease(bus.client(), LIVE, "usurper", ttl=60)
        await bus.client().set(LIVE.lease, usurper.name, px=60_000)  # no heartbeat comes between
        first = one.source
        await until(lambda: not one.service.leading)
        assert not first.running
        assert first.closed
        assert not first.may_mint()
        await usurper.release()
        await until(lambda: one.service.leading and one.source is not first and one.source.running)


async def test_a_fenced_leader_that_still_has_the_lease_starts_afresh_without_stopping_its_source(
    bus: Bus,
) -> None:
    async with running(bus) as one:
        epoch = (await stands(bus, "connected")).epoch
        await bus.client().hset(LIVE.position, "epoch", "000000000000001-old")
        await until_async(lambda: _is_newer(bus, Position(epoch, 10**9)))
        assert len(one.sources) == 1
        assert one.source.running


async def test_an_emptied_redis_is_filled_again_within_a_heartbeat_or_two(bus: Bus) -> None:
    async with running(bus) as one:
        epoch = (await stands(bus, "connected")).epoch
        one.source.call()
        await stands(bus, "1")
        await flush(bus)
        assert (await stands(bus, "1")).epoch > epoch
        assert len(one.sources) == 1


async def test_lost_answers_and_requests_lose_nothing(bus: Bus) -> None:
    async with running(bus) as one:
        epoch = (await stands(bus, "connected")).epoch
        for number, fault in enumerate(("answer lost", "request lost", "answer lost"), 1):
            one.network.next_exec = "answer lost" if fault == "answer lost" else "request lost"
            one.source.call()
            assert (await stands(bus, str(number))).epoch == epoch


async def test_a_redis_killed_and_restarted_is_written_again_and_the_source_goes_on(
    valkey: RealBus,
) -> None:
    async with running(valkey) as one:
        epoch = (await stands(valkey, "connected")).epoch
        valkey.kill()
        one.source.call()
        await until(lambda: not one.source.may_mint())
        assert one.source.running
        await valkey.start()
        assert (await stands(valkey, "1")).epoch > epoch
        await until(one.source.may_mint)
        assert len(one.sources) == 1


async def test_a_stopped_redis_that_goes_on_is_written_on_in_the_same_epoch(
    valkey: RealBus,
) -> None:
    async with running(valkey, ttl=1.0) as one:
        epoch = (await stands(valkey, "connected")).epoch
        with valkey.paused():
            one.source.call()
            await until(lambda: not one.source.may_mint())
        assert (await stands(valkey, "1")).epoch == epoch
        await until(one.source.may_mint)


async def test_a_leader_stopped_past_its_lease_finds_itself_fenced_before_it_writes(
    valkey: RealBus,
) -> None:
    """A process of its own is stopped and woken; meanwhile another has taken over."""
    async with stopped_leader(valkey) as (leader, stop, wake):
        await stands(valkey, "connected")
        stop()
        async with running(valkey, "two", connected=False, ttl=60.0) as two:
            await until(lambda: bool(two.sources) and two.source.running)
            two.source.connect()
            two.source.call()
            taken = await stands(valkey, "1")
            wake()
            async with asyncio.timeout(60):
                await said(leader, b"leader_term_end")
            assert await stands(valkey, "1") == taken


async def _is_stored(bus: Bus, keys: SpaceKeys) -> bool:
    return await read_position(bus.client(), keys) is not None


async def _is_newer(bus: Bus, than: Position) -> bool:
    stored = await read_position(bus.client(), LIVE)
    return stored is not None and stored.position > than


async def test_an_emptied_redis_is_left_to_the_monitor_that_led_though_the_standby_sees_it_first(
    valkey: RealBus,
) -> None:
    async with (
        stopped_leader(valkey, "", "", "60.0") as (_, stop, wake),
        running(valkey, "standby", connected=False, ttl=60.0) as standby,
    ):
        service, lease = standby.service, Lease(valkey.client(), LIVE, "nobody")
        await until(lambda: service._led_last is False)
        led = await lease.holder()
        stop()
        await flush(valkey)
        await until(lambda: service._empty_since is not None)
        wake()

        async def leads_again() -> bool:
            return await lease.holder() == led

        await until_async(leads_again)
        assert not service.leading


async def test_a_monitor_that_led_last_or_knows_of_no_other_takes_an_empty_redis_at_once(
    bus: Bus,
) -> None:
    async with running(
        bus, "one", ttl=1_000.0
    ) as first:  # who had to wait here would wait for ever
        await until(lambda: first.service.leading)
        await flush(bus)
        await until_async(lambda: written(bus))
        assert len(first.sources) == 1


async def written(bus: Bus) -> bool:
    return await read_position(bus.client(), LIVE) is not None


@asynccontextmanager
async def sharing(
    bus: Bus, name: str, weight: float = 1.0
) -> AsyncIterator[tuple[Process, Membership]]:
    """A monitor that shares the PBXs with others. A lease's time is not waited for."""
    membership = Membership(bus.client(), name, weight)
    async with (
        tasks.running(membership.run()),
        running(bus, name, connected=False, ttl=60.0, membership=membership) as one,
    ):
        yield one, membership


async def connected(bus: Bus, one: Process) -> Position:
    """Wait until this monitor leads, connect its PBX, and wait until that is written."""
    await until(lambda: bool(one.sources) and one.source.running)
    one.source.connect()
    return await stands(bus, "connected")


@asynccontextmanager
async def absent_heir(bus: Bus) -> AsyncIterator[None]:
    """Another monitor that should lead, and never takes the lease."""
    heir = Membership(bus.client(), "two")
    with heir.watching("pbx"):
        async with tasks.running(heir.run()):
            yield


async def test_a_monitor_that_comes_gets_the_pbx_that_it_should_have_with_all_that_is_known(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.lease._TRANSFER_S", 60.0)
    async with sharing(valkey, "one", 0) as (one, _):
        before = await connected(valkey, one)
        async with sharing(valkey, "two") as (two, _):
            await until(lambda: not one.service.leading)
            assert one.source.closed
            await until(lambda: bool(two.sources) and two.source.running)
            assert not one.service.leading
            stored = await read_position(valkey.client(), LIVE)
            assert stored is not None
            assert stored.position.epoch == before.epoch, "it stays until the next one knows all"
            two.source.connect()
            two.source.call()
            assert (await stands(valkey, "1")).epoch > before.epoch
            assert one.service.counters.handovers == 1
            assert len(two.sources) == 1
        await until(lambda: one.service.leading)  # it goes, and its heir takes the lease at once


async def test_what_is_known_is_written_before_the_lease_is_given_up(valkey: RealBus) -> None:
    async with sharing(valkey, "one", 0) as (one, membership):
        await connected(valkey, one)
        finish = LeaderTerm.finish

        def with_a_last_word(leader: LeaderTerm[Fact]) -> None:
            one.source.call()
            finish(leader)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LeaderTerm, "finish", with_a_last_word)
            async with absent_heir(valkey):
                await until(lambda: not one.service.leading)
                await stands(valkey, "1")
                await until(lambda: one.service.leading)
                assert membership.chosen("pbx") is None, "it is not asked again at once"


async def test_a_redis_found_empty_is_written_again_before_the_lease_is_given_up(
    valkey: RealBus,
) -> None:
    """What ended in an outage is nowhere else, if the disk is full."""
    async with sharing(valkey, "one", 0) as (one, _):
        await connected(valkey, one)
        finish, leaders = LeaderTerm.finish, list[LeaderTerm[Fact]]()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LeaderTerm, "finish", lambda leader: leaders.append(leader))
            async with absent_heir(valkey):
                await until(lambda: bool(leaders))
                await flush(valkey)
                one.source.call()
                while leaders[0].position() is not None:  # noqa: ASYNC110 - it is None for a moment
                    await asyncio.sleep(0)
                finish(leaders[0])
                await until(lambda: not one.service.leading)
                await stands(valkey, "1")


async def test_no_lease_is_given_away_while_redis_lacks_what_is_known(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx_service, "_TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(leader_term, "_FLUSH_WITHIN_S", 0.05)
    written, writes = PublishLoop.written, asyncio.Event()
    tries: list[PublishLoop] = []

    async def held_up(loop: PublishLoop) -> Position:
        tries.append(loop)
        await writes.wait()
        return await written(loop)

    async with sharing(valkey, "one", 0) as (one, _):
        await connected(valkey, one)
        monkeypatch.setattr(PublishLoop, "written", held_up)
        async with absent_heir(valkey):
            await until(lambda: len(tries) > 2)
            assert one.service.hears_requests
            assert not one.source.closed
            monkeypatch.setattr(leader_term, "_FLUSH_WITHIN_S", 30.0)
            writes.set()
            await until(lambda: not one.service.leading)


async def test_an_emptied_redis_is_for_who_gave_its_lease_to_a_monitor_that_wrote_nothing(
    valkey: RealBus,
) -> None:
    """Another would wait for the lease's time here, a minute."""
    async with sharing(valkey, "one", 0) as (one, membership):
        await connected(valkey, one)
        async with absent_heir(valkey):
            await until(lambda: not one.service.leading)
            await until(lambda: any(membership.leases._waiting.values()))  # it saw whose it is
            await flush(valkey)
            await until(lambda: one.service.leading, 30)


async def test_a_monitor_that_gave_its_lease_away_led_last_until_the_other_one_writes(
    valkey: RealBus,
) -> None:
    async with sharing(valkey, "one", 0) as (one, _):
        await connected(valkey, one)
        async with sharing(valkey, "two") as (two, _):
            await until(lambda: bool(two.sources) and two.source.running)
            assert one.service._led_last
            two.source.connect()
            await until(lambda: one.service._led_last is False)


async def test_a_pbx_is_taken_up_in_turn_and_the_turn_given_back_before_the_pbx_is_waited_for(
    bus: Bus,
) -> None:
    async with sharing(bus, "one") as (one, membership):
        await until(lambda: bool(one.sources) and one.source.running)
        turns = [membership.taking_up.acquire() for _ in range(TAKEN_UP_AT_ONCE)]
        async with asyncio.timeout(60):
            await asyncio.gather(*turns)  # it holds none: its source is not connected yet
        await bus.client().set(LIVE.lease, "usurper", px=60_000)
        await until(lambda: not one.service.leading)
        await bus.client().delete(LIVE.lease)
        await asyncio.sleep(0.5)
        assert not one.service.leading
        membership.taking_up.release()
        await until(lambda: one.service.leading)


async def died(bus: Bus) -> None:
    """A monitor that led has died, and its lease has still some time left."""
    assert await Lease(bus.client(), LIVE, "dead", ttl=60.0).acquire()
    await bus.client().hset(LIVE.position, mapping={"epoch": "000000000000001-a", "seq": 0})


async def test_a_lease_that_ran_out_goes_to_the_monitor_that_should_have_it(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx_service, "_YIELD_S", 60.0)
    await died(valkey)
    async with sharing(valkey, "spare", 0) as (spare, known), sharing(valkey, "two") as (two, _):
        assert await known.chooses_another("pbx") == two.service.lease.name
        await until(lambda: spare.service._led_last is False)
        await valkey.client().delete(LIVE.lease)
        await until(lambda: two.service.leading)
        assert spare.service.counters.terms == 0


async def test_a_lease_that_ran_out_is_taken_though_the_monitor_that_should_have_it_does_not(
    valkey: RealBus,
) -> None:
    await died(valkey)
    hanging = Membership(valkey.client(), "hanging")
    with hanging.watching("pbx"):
        async with tasks.running(hanging.run()), sharing(valkey, "spare", 0) as (spare, known):
            await known.chooses_another("pbx")
            await until(lambda: spare.service._led_last is False)
            await valkey.client().delete(LIVE.lease)
            await until(lambda: spare.service.leading)
