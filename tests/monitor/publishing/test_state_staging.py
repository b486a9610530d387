"""A whole state beside the present one, which is put in its place at once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from monitor.publishing import state_staging as module
from monitor.publishing.state_staging import StagedState, stage
from monitor.shared.entities.topics import Ivr, State, empty_state
from monitor.shared.redis.connection import GuardedTransaction, send
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys
from monitor.shared.tasks import running
from tests.bus import Bus
from tests.steps import Turns

KEYS = SpaceKeys("pbx", "live")
IVRS = KEYS.state("ivrs")


def state(many: int) -> State:
    made = empty_state(KEYS.topics)
    made["ivrs"] = {str(number): Ivr(str(number), "new") for number in range(many)}
    return made


async def intact(bus: Bus, staged: StagedState) -> bool:
    guard = await GuardedTransaction.watch(bus.client(), *staged.names.values())
    try:
        return await staged.intact(guard)
    finally:
        await guard.release()


async def test_readers_see_the_old_state_until_the_new_one_is_put_in_place(bus: Bus) -> None:
    redis = bus.client()
    await redis.hset(IVRS, "old", b"old")
    await redis.hset(KEYS.state("groups"), "old", b"old")
    staged = await stage(redis, KEYS, state(3), "token")
    assert await redis.hkeys(IVRS) == [b"old"]
    assert await intact(bus, staged)
    await send(redis, staged.put_in_place(), whole=True)
    assert sorted(await redis.hkeys(IVRS)) == [b"0", b"1", b"2"]
    assert not await redis.exists(KEYS.state("groups")), "topics without entities are gone too"
    assert await redis.ttl(IVRS) == -1, "what is in place does not expire"
    assert not await redis.exists(*staged.names.values())


async def test_a_state_that_is_never_put_in_place_goes_by_itself(bus: Bus) -> None:
    redis = bus.client()
    staged = await stage(redis, KEYS, state(1), "token")
    assert list(staged.names) == ["ivrs"]
    assert 0 < await redis.ttl(staged.names["ivrs"]) <= module._KEPT_FOR_S


@pytest.mark.parametrize("loss", ["a field", "the key", "a field too many"])
async def test_what_is_no_longer_whole_is_found_out(bus: Bus, loss: str) -> None:
    redis = bus.client()
    staged = await stage(redis, KEYS, state(3), "token")
    name = staged.names["ivrs"]
    match loss:
        case "a field":
            await redis.hdel(name, "1")
        case "the key":
            await redis.delete(name)
        case _:
            await redis.hset(name, "other", b"x")
    assert not await intact(bus, staged)


async def test_many_entities_leave_others_their_turn(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10)
    turns = Turns()

    async with running(turns.run()):
        staged = await stage(bus.client(), KEYS, state(1_000), "token")
    assert turns.count >= 100
    assert await intact(bus, staged)


async def test_small_topics_share_a_round_trip(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts with hundreds of PBXs does without thousands of round trips."""
    sent: list[int] = []

    async def counted(redis: Redis, commands: Iterable[RedisCommand], **how: bool) -> None:
        commands = list(commands)
        sent.append(sum((len(command) - 2) // 2 for command in commands if command[0] == "HSET"))
        await send(redis, commands, **how)

    monkeypatch.setattr(module, "send", counted)
    monkeypatch.setattr(module, "_CHUNK", 10)
    made = state(3)
    made["groups"] = {str(number): Ivr(str(number), "new") for number in range(4)}
    assert await intact(bus, await stage(bus.client(), KEYS, made, "a"))
    assert sent == [7]
    made["ivrs"] = state(24)["ivrs"]
    assert await intact(bus, await stage(bus.client(), KEYS, made, "b"))
    assert sent[1:] == [10, 10, 8]


async def test_two_that_are_made_at_the_same_time_do_not_mix(bus: Bus) -> None:
    redis = bus.client()
    one, other = await stage(redis, KEYS, state(1), "a"), await stage(redis, KEYS, state(2), "b")
    assert await intact(bus, one)
    assert await intact(bus, other)
    await send(redis, one.put_in_place(), whole=True)
    assert await intact(bus, other)
