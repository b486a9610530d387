"""Keys made, listed and revoked on Redis, as a monitor finds them there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.auth.api_keys import ApiKey, sha256_hex, to_stored
from gateway.auth.key_admin import KeyAdmin
from monitor.shared.api_keys import decode_key, encode_key
from monitor.shared.errors import BusUnreachable, ConfigError
from monitor.shared.redis.connection import connect, raise_if_cancelled
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.tasks import running
from tests.bus import Bus, free_port

KEYS = AccessKeys("main")
WALL = ApiKey("wall", sha256_hex("wall-key"), "main", frozenset({"read"}))


@pytest.fixture(autouse=True)
def _a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that runs keeps a key in time."""
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)


@asynccontextmanager
async def keeping(bus: Bus) -> AsyncIterator[None]:
    """A monitor takes every change into its file, and says so."""
    redis = bus.client()
    await redis.set(KEYS.ready, "1")

    async def keep() -> None:
        while True:
            raise_if_cancelled()
            for name, data in (await redis.hgetall(KEYS.table)).items():
                assert isinstance(data, bytes)
                await redis.hset(KEYS.kept, name, repr(decode_key(data).changed_at))
            await redis.publish(KEYS.channel, "kept")
            await asyncio.sleep(0.02)

    async with running(keep()):
        yield


async def test_a_key_is_made_and_revoked_and_its_name_is_free_again(bus: Bus) -> None:
    admin = KeyAdmin(bus.client(), "main")
    async with keeping(bus):
        assert await admin.make(WALL)
        with pytest.raises(ConfigError, match="There is a key 'wall' already"):
            await admin.make(replace(WALL, digest=sha256_hex("other")))
        assert await admin.all() == [WALL]
        assert await admin.revoke("wall")
        assert await admin.all() == []
        for name in ("wall", "nobody"):
            with pytest.raises(ConfigError, match=f"There is no key '{name}'"):
                await admin.revoke(name)
        other = replace(WALL, digest=sha256_hex("other"))
        assert await admin.make(other)
        assert await admin.all() == [other]


async def test_a_change_is_newer_than_what_it_changes_whatever_the_clocks_say(bus: Bus) -> None:
    redis, admin = bus.client(), KeyAdmin(bus.client(), "main")
    ahead = time.time() + 3_600
    await redis.hset(KEYS.table, "wall", encode_key(to_stored(WALL, ahead)))
    async with keeping(bus):
        assert await admin.revoke("wall")
    data = await redis.hget(KEYS.table, "wall")
    assert isinstance(data, bytes)
    after = decode_key(data)
    assert after.revoked
    assert after.changed_at > ahead


async def test_who_asks_before_a_monitor_has_put_its_keys_there_is_told_so(bus: Bus) -> None:
    with pytest.raises(ConfigError, match="No monitor of main has put its keys on Redis yet"):
        await KeyAdmin(bus.client(), "main").all()


async def test_a_change_that_no_monitor_takes_is_made_and_said_to_be_kept_by_nobody(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 0.1)
    redis, admin = bus.client(), KeyAdmin(bus.client(), "main")
    await redis.hset(KEYS.kept, "wall", "1.0")  # of an earlier change
    assert not await admin.make(WALL)
    await redis.set(KEYS.ready, "1")
    assert await admin.all() == [WALL]


async def test_what_cannot_be_read_is_left_out_and_may_be_replaced(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 0.0)
    redis, admin = bus.client(), KeyAdmin(bus.client(), "main")
    await redis.set(KEYS.ready, "1")
    await redis.hset(KEYS.table, "wall", b"garbage")
    await redis.hset(KEYS.table, "mine", encode_key(to_stored(WALL, 1.0)))  # another's name
    assert await admin.all() == []
    await admin.make(WALL)
    assert await admin.all() == [WALL]


async def test_of_two_who_make_the_same_name_at_once_one_is_refused(bus: Bus) -> None:
    admins = [KeyAdmin(bus.client(), "main") for _ in range(8)]
    async with keeping(bus):
        results = await asyncio.gather(
            *(
                admin.make(replace(WALL, digest=sha256_hex(str(number))))
                for number, admin in enumerate(admins)
            ),
            return_exceptions=True,
        )
    assert results.count(True) == 1
    assert sum(isinstance(result, ConfigError) for result in results) == len(admins) - 1


async def test_a_redis_that_is_away_is_named() -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}")
    admin = KeyAdmin(redis, "main")
    for asked in (admin.all(), admin.make(WALL), admin.revoke("wall")):
        with pytest.raises(BusUnreachable, match="Redis: nothing listens at"):
            await asked
    await redis.aclose()
