"""Test that reads of many tasks go out together, and that each bears its own faults only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from monitor.shared.redis.batched_reads import MOST_TOGETHER, read_together
from monitor.shared.redis.connection import REDIS_FAILURES, connect
from tests.bus import Bus, RealBus

MANY = 3 * MOST_TOGETHER


async def test_each_gets_its_own_answers_as_the_client_gives_them(bus: Bus) -> None:
    redis = bus.client()
    for number in range(MANY):
        await redis.hset(f"hash {number}", "field", str(number))
    await redis.set("text", "x")
    await redis.xadd("log", {"field": "x"}, id="1-1")
    found = await asyncio.gather(
        *(
            read_together(redis, ("HGETALL", f"hash {number}"), ("EXISTS", f"hash {number}"))
            for number in range(MANY)
        ),
        read_together(redis, ("HMGET", "hash 1", "field", "other")),
        read_together(redis, ("HGETALL", "text"), ("EXISTS", "nothing")),
        read_together(redis, ("XRANGE", "log", "-", "+", "COUNT", 10)),
    )
    assert found[:MANY] == [[{b"field": str(number).encode()}, 1] for number in range(MANY)]
    assert found[MANY] == [[b"1", None]]
    wrong, missing = found[MANY + 1]
    assert isinstance(wrong, ResponseError)
    assert missing == 0
    assert found[MANY + 2] == [[(b"1-1", {b"field": b"x"})]]


async def test_many_reads_take_few_round_trips_on_one_connection(valkey: RealBus) -> None:
    redis, looking = valkey.client(), valkey.client()
    await asyncio.gather(*(read_together(redis, ("EXISTS", "key")) for _ in range(MANY)))
    assert (await looking.info("commandstats"))["cmdstat_multi"]["calls"] == MANY
    names = [client["id"] for client in await looking.client_list()]
    assert len(names) == 2, "one of theirs, and the one that looks"


async def test_a_read_that_is_refused_concerns_its_own_task_only(valkey: RealBus) -> None:
    admin = valkey.client()
    await admin.execute_command(  # type: ignore[no-untyped-call]
        *("ACL", "SETUSER", "limited", "on", ">secret", "allchannels", "~mine", "+@all")
    )
    redis = connect(valkey.url.replace("redis://", "redis://limited:secret@"))
    found = await asyncio.gather(
        *(read_together(redis, ("EXISTS", name)) for name in ("mine", "theirs")),
        return_exceptions=True,
    )
    assert found[0] == [0]
    assert isinstance(found[1], NoPermissionError)
    await redis.aclose()


async def test_who_does_not_wait_any_more_spoils_nothing_for_the_others(bus: Bus) -> None:
    redis = bus.client()
    tasks = [asyncio.create_task(read_together(redis, ("EXISTS", "key"))) for _ in range(MANY)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == [[0]] * (MANY // 2)
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])
    assert await read_together(redis, ("EXISTS", "key")) == [0]


async def test_a_redis_that_is_away_is_told_to_each_and_asked_again(valkey: RealBus) -> None:
    redis = valkey.client()
    valkey.kill()
    found = await asyncio.gather(
        *(read_together(redis, ("EXISTS", "key")) for _ in range(MANY)), return_exceptions=True
    )
    assert all(isinstance(one, REDIS_FAILURES) for one in found)
    await valkey.start()
    with pytest.raises(ResponseError):
        await read_together(redis, ("EXISTS",))
    assert await read_together(redis, ("EXISTS", "key")) == [0]


def _broken(answer: Any, **_: Any) -> Any:
    raise ValueError(answer)


async def test_a_fault_of_the_client_leaves_nobody_waiting(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = valkey.client()
    monkeypatch.setitem(redis.response_callbacks, "EXISTS", _broken)
    with pytest.raises(REDIS_FAILURES):
        await read_together(redis, ("EXISTS", "key"))
    assert await read_together(redis, ("GET", "key")) == [None], "the next one is read"
