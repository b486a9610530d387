"""Keys on Redis followed into the table: what is believed, what holds on, what ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex, to_stored
from gateway.auth.key_follower import KeyFollower
from gateway.errors import KeyUnknown, NoKeys
from monitor.shared.api_keys import encode_key
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.tasks import running
from tests.bus import Bus, RealBus, flush, until
from tests.gateway.entities import START

KEYS = AccessKeys("main")
WALL = ApiKey("wall", sha256_hex("wall"), "main", frozenset({"read"}))
MARK = ApiKey("mark", sha256_hex("mark"), "main", frozenset({"read"}))


@dataclass
class Followed:
    redis: Redis
    table: KeyTable
    gone: list[str]
    marks: int = 0

    async def put(self, key: ApiKey, at: float, *, revoked: bool = False) -> None:
        await self.redis.hset(KEYS.table, key.name, encode_key(to_stored(key, at, revoked=revoked)))

    async def whole(self) -> None:
        await self.redis.set(KEYS.ready, "1")

    async def read(self) -> None:
        """Wait until what stands on Redis now has been read."""
        self.marks += 1
        mark = replace(MARK, digest=sha256_hex(f"mark {self.marks}"))
        await self.put(mark, float(self.marks))
        await self.redis.publish(KEYS.channel, "changed")
        await until(lambda: self.holds(f"mark {self.marks}"))

    async def begin(self, at: float) -> None:
        """Make the wall's key, and wait until it is read from a whole table."""
        await self.put(WALL, at)
        await self.whole()
        await self.read()

    def holds(self, raw: str) -> bool:
        return self.refusal(raw) is None

    def refusal(self, raw: str) -> type[Exception] | None:
        """How this key is refused; None if it holds."""
        try:
            self.table.find(raw, START)
        except (KeyUnknown, NoKeys) as error:
            return type(error)
        return None


@asynccontextmanager
async def following(bus: Bus) -> AsyncIterator[Followed]:
    table, gone = KeyTable([]), list[str]()
    follower = KeyFollower(bus.client(), "main", table, gone.append)
    async with running(follower.run()):
        yield Followed(bus.client(), table, gone)


async def test_a_key_holds_from_when_it_is_made_until_it_is_revoked(bus: Bus) -> None:
    async with following(bus) as it:
        await it.begin(1.0)
        assert it.table.find("wall", START) == WALL
        await it.put(WALL, 2.0, revoked=True)
        await it.read()
        assert not it.holds("wall")
        assert [name for name in it.gone if name != "mark"] == ["wall"]


async def test_until_the_table_is_whole_nothing_is_said_of_any_key(bus: Bus) -> None:
    redis, table = bus.client(), KeyTable([])
    it = Followed(redis, table, [])
    follower = KeyFollower(redis, "main", table, it.gone.append)
    await it.put(WALL, 1.0)
    await follower._read()
    assert not table.loaded
    with pytest.raises(NoKeys):
        table.find("wall", START)
    await it.whole()
    await follower._read()
    assert it.holds("wall")
    with pytest.raises(KeyUnknown):
        table.find("other", START)


async def test_a_key_that_may_be_new_is_not_called_unknown_while_the_keys_are_not_complete(
    bus: Bus,
) -> None:
    async with following(bus) as it:
        await it.begin(1.0)
        assert it.refusal("other") is KeyUnknown
        await flush(bus)
        await until(lambda: it.refusal("other") is NoKeys)
        assert it.holds("wall")
        await it.whole()
        await until(lambda: it.refusal("other") is KeyUnknown)


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_key_that_may_be_new_is_not_called_unknown_while_redis_cannot_be_read(
    valkey: RealBus, fault: str
) -> None:
    async with following(valkey) as it:
        await it.begin(1.0)
        assert it.refusal("other") is KeyUnknown
        if fault == "killed":
            valkey.kill()
            await until(lambda: it.refusal("other") is NoKeys)
            await valkey.start()
            await it.whole()
        else:
            with valkey.paused():
                await until(lambda: it.refusal("other") is NoKeys)
        assert it.holds("wall")
        await until(lambda: it.refusal("other") is KeyUnknown)


async def test_what_redis_has_lost_holds_on_and_what_it_brings_back_is_not_believed(
    bus: Bus,
) -> None:
    async with following(bus) as it:
        await it.begin(5.0)
        with capture_logs() as logged:
            await it.redis.hdel(KEYS.table, "wall")
            await it.read()
            assert it.holds("wall")
            await it.read()
        assert [line["event"] for line in logged] == ["api_keys_vanished"], "and told once"
        await it.put(WALL, 6.0, revoked=True)
        await it.read()
        await it.put(WALL, 5.0)
        await it.read()
        assert not it.holds("wall")
        await it.redis.delete(KEYS.table, KEYS.ready)
        await it.redis.publish(KEYS.channel, "changed")
        await it.put(WALL, 7.0)
        await it.whole()
        await it.read()
        assert it.holds("wall"), "its name was given again"


async def test_a_key_that_is_another_now_ends_the_streams_of_what_it_was(bus: Bus) -> None:
    async with following(bus) as it:
        await it.begin(1.0)
        await it.put(replace(WALL, scopes=frozenset({"control"})), 2.0)
        await it.read()
        assert "wall" in it.gone
        assert it.table.find("wall", START).scopes == {"control"}
        it.gone.clear()
        await it.put(replace(WALL, scopes=frozenset({"control"})), 3.0)
        await it.read()
        assert "wall" not in it.gone, "it is the same"


async def test_what_cannot_be_read_is_passed_over_and_told_once(bus: Bus) -> None:
    async with following(bus) as it:
        with capture_logs() as logged:
            await it.redis.hset(KEYS.table, "bad", b"garbage")
            await it.put(WALL, 1.0)
            await it.whole()
            for _ in range(3):
                await it.read()
        assert it.holds("wall")
        assert [line["event"] for line in logged] == ["redis_value_rejected"]


async def test_a_redis_that_was_away_is_followed_again(valkey: RealBus) -> None:
    async with following(valkey) as it:
        await it.begin(1.0)
        with capture_logs() as logged:
            valkey.kill()
            await until(lambda: bool(logged))
            assert it.holds("wall")
            await valkey.start()
            await it.whole()
            await it.put(WALL, 2.0, revoked=True)
            await it.read()
        assert not it.holds("wall")
        lost = [line["event"] for line in logged]
        assert lost.count("key_follower_connection_lost") == 1
