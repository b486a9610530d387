"""Test that ended calls outlive Redis and the leader, and are listed once each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from structlog.testing import capture_logs

from monitor.persistence import ended_calls as module
from monitor.persistence.ended_calls import EndedCallStore, joined
from monitor.shared.codec import encode_entity
from monitor.shared.entities import topics as e
from monitor.shared.entities.topics import Entity
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.tasks import running
from monitor.shared.timestamps import from_unix
from monitor.statistics.call_account import is_same_life
from tests.bus import Bus, until_async
from tests.monitor.persistence.test_sqlite_store import opened

NOON = 1_800_000_000.0


def ended(began: float, outcome: e.Outcome, call_id: int = 7, lasted: float = 5.0) -> e.EndedCall:
    started, over = from_unix(NOON + began), from_unix(NOON + began + lasted)
    return e.EndedCall(
        call_id, "Internal", "", "", started, None, over, outcome, "102", "", "104", ""
    )


def table(*calls: e.EndedCall) -> dict[str, Entity]:
    return {call.id: call for call in calls}


def test_a_call_whose_start_two_monitors_tell_otherwise_is_one_call() -> None:
    shown, kept = ended(0.0, "unknown"), ended(-0.02, "missed")
    assert shown.id != kept.id
    assert joined(table(kept), table(shown)) == table(shown)
    assert joined(table(kept), {}) == table(kept)


def test_of_two_words_in_the_file_the_one_that_somebody_saw_is_taken() -> None:
    blind, seen = ended(-0.02, "unknown"), ended(0.0, "missed")
    assert joined(table(blind, seen), {}) == joined(table(seen, blind), {}) == table(seen)


def test_what_the_file_alone_knows_is_there_also_where_the_pbx_gives_ids_anew() -> None:
    earlier, other, shown = (
        ended(-600.0, "missed"),
        ended(0.0, "missed", call_id=8),
        ended(0.0, "answered"),
    )
    assert joined(table(earlier, other), table(shown)) == table(earlier, other, shown)


def test_thousands_of_calls_with_one_id_are_joined_in_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0

    def counting(*times: int) -> bool:
        nonlocal compared
        compared += 1
        return is_same_life(*times)

    monkeypatch.setattr(module, "is_same_life", counting)
    calls = table(*(ended(20.0 * number, "missed") for number in range(1_000)))
    assert joined(calls, {}) == calls
    assert compared <= 100_000


async def test_what_was_taken_over_is_in_the_file_at_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    call = ended(0.0, "missed")
    async with opened(None) as store:
        held = EndedCallStore(bus.client(), "pbx", store)

        async def is_kept() -> bool:
            return await held.read() == table(call)

        async with running(held.run(lambda: {"ended": table(call)})):
            await until_async(is_kept)


LIVE = SpaceKeys("pbx", "live")


def adopting(
    taken: dict[str, e.EndedCall],
) -> Callable[[Mapping[str, e.EndedCall]], Awaitable[None]]:
    """A leader who takes all calls that are offered."""

    async def adopt(calls: Mapping[str, e.EndedCall]) -> None:
        taken.update(calls)

    return adopt


async def show(bus: Bus, *calls: e.EndedCall) -> None:
    """Show these calls and no others, as a leader does."""
    await bus.client().delete(LIVE.state("ended"))
    for call in calls:
        await bus.client().hset(LIVE.state("ended"), call.id, encode_entity(call))


async def test_the_leaders_file_follows_what_it_shows(bus: Bus) -> None:
    first, second, third = (ended(0.0, "missed", call_id=number) for number in (1, 2, 3))
    shown = table(first)
    async with opened(None) as store:
        held = EndedCallStore(bus.client(), "pbx", store)

        async def holds(*calls: e.EndedCall) -> bool:
            return await held.read() == table(*calls)

        async with running(held.run(lambda: {"ended": shown})):
            await until_async(lambda: holds(first))
            shown = table(first, second, third)
            await until_async(lambda: holds(first, second, third))
            again = replace(second, outcome="answered")
            shown = table(again, third)
            await until_async(lambda: holds(again, third))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOUND_EVERY_S", 0.05)


@pytest.mark.usefixtures("often")
async def test_a_monitor_that_led_offers_what_redis_does_not_show_until_it_was_read(
    bus: Bus,
) -> None:
    known, lost = ended(0.0, "missed", call_id=1), ended(0.0, "missed", call_id=2)
    redis = bus.client()
    async with opened(None) as store:
        before, leader = EndedCallStore(redis, "pbx", store), EndedCallStore(redis, "pbx", store)
        await store.replace_ended("pbx", module._rows({known.id: known, lost.id: lost}))
        await show(bus, known)
        await before.mirror()
        assert not await redis.exists(LIVE.found), "it did not lead"
        await before.set_aside()
        await before.mirror()
        assert await redis.hkeys(LIVE.found) == [lost.id.encode()]
        assert await redis.ttl(LIVE.found) > 60

        taken: list[Mapping[str, e.EndedCall]] = []

        async def adopt(calls: Mapping[str, e.EndedCall]) -> None:
            assert await redis.exists(LIVE.found), "it stays until Redis shows the calls"
            taken.append(calls)

        async with running(leader.follow_offers(adopt, lambda: None)):
            await until_async(lambda: _is_read(redis))
            await before.mirror()  # Redis does not show it: it may have been emptied
            await until_async(lambda: _is_read(redis))
        assert taken == [{lost.id: lost}] * 2
        await show(bus, known, lost)
        await before.mirror()
        assert not await redis.exists(LIVE.found)
        await show(bus)
        await before.mirror()
        assert not await redis.exists(LIVE.found), "Redis showed all of them"


async def _is_read(redis: Redis) -> bool:
    return not await redis.exists(LIVE.found)


async def test_what_nobody_takes_is_offered_three_times(bus: Bus) -> None:
    old, redis = ended(-100_000.0, "missed"), bus.client()
    async with opened(None) as store:
        before = EndedCallStore(redis, "pbx", store)
        await store.replace_ended("pbx", module._rows({old.id: old}))
        await before.set_aside()
        offers = 0
        for _ in range(10):
            await before.mirror()
            offers += await redis.delete(LIVE.found)
        assert offers == 3


@pytest.mark.usefixtures("often")
async def test_offers_that_cannot_be_read_are_removed_without_their_neighbours(bus: Bus) -> None:
    call, redis = ended(0.0, "missed"), bus.client()
    taken: dict[str, e.EndedCall] = {}
    async with opened(None) as store:
        held = EndedCallStore(redis, "pbx", store)
        good = encode_entity(call)
        await redis.hset(LIVE.found, mapping={"x": b"zzzz", "8@y": good, call.id: good})
        async with running(held.follow_offers(adopting(taken), lambda: None)):
            await until_async(lambda: _is_read(redis))
            assert taken == {call.id: call}
            await redis.set(LIVE.found, "not a table")
            await until_async(lambda: _is_read(redis))
        await redis.set(LIVE.found, "not a table")
        await store.replace_ended("pbx", module._rows({call.id: call}))
        await held.set_aside()
        await held.mirror()
        assert await redis.hkeys(LIVE.found) == [call.id.encode()]


@pytest.mark.usefixtures("often")
async def test_a_call_that_ends_in_the_future_is_not_taken(bus: Bus) -> None:
    call, later = ended(0.0, "missed", call_id=1), ended(3_600.0, "missed", call_id=2)
    offers: dict[Any, Any] = {each.id: encode_entity(each) for each in (call, later)}
    redis = bus.client()
    taken: dict[str, e.EndedCall] = {}
    async with opened(None) as store:
        held = EndedCallStore(redis, "pbx", store)
        await redis.hset(LIVE.found, mapping=offers)
        with capture_logs() as logged:
            async with running(held.follow_offers(adopting(taken), lambda: NOON + 5.0)):
                await until_async(lambda: _is_read(redis))
        assert taken == {call.id: call}
        assert [line["reason"] for line in logged if line["event"] == "redis_value_rejected"] == [
            "1 ended calls that end in the future"
        ]
        async with running(held.follow_offers(adopting(taken), lambda: None)):
            await redis.hset(LIVE.found, mapping=offers)
            await until_async(lambda: _is_read(redis))
        assert taken == {call.id: call, later.id: later}, "nobody knows the PBX's clock"


@pytest.mark.usefixtures("often")
async def test_a_flood_of_offers_is_removed_unread(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FOUND", 3)
    call, redis = ended(0.0, "missed"), bus.client()
    taken: dict[str, e.EndedCall] = {}
    async with opened(None) as store:
        held = EndedCallStore(redis, "pbx", store)
        good = encode_entity(call)
        await redis.hset(LIVE.found, mapping={"a": b"", "b": b"", "c": b"", call.id: good})
        async with running(held.follow_offers(adopting(taken), lambda: None)):
            await until_async(lambda: _is_read(redis))
            assert not taken
            await redis.hset(LIVE.found, call.id, good)
            await until_async(lambda: _is_read(redis))
        assert taken == {call.id: call}
