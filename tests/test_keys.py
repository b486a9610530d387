"""Test API keys made by command: on Redis, in the monitor's file, at the gateways.

With what may be lost on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex, to_stored
from gateway.auth.key_admin import KeyAdmin
from gateway.config import GatewaySection
from gateway.errors import AddressRefused
from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.sqlite_store import Store
from monitor.shared import tasks
from monitor.shared.api_keys import encode_key
from monitor.shared.errors import ConfigError
from monitor.shared.redis.key_names import AccessKeys
from tests.bus import Bus, RealBus, flush, only, until_async
from tests.monitor.terms import running

RAW = "a-key-made-by-command"
WALL = ApiKey("wall", sha256_hex(RAW), "pbx", frozenset({"read"}))
STATIC = ApiKey("static", sha256_hex("a-static-key"), "pbx", frozenset({"read"}))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor may need longer on a busy machine than whoever made a key waits for it."""
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)


@asynccontextmanager
async def checkpoint(bus: Bus, path: Path | None = None) -> AsyncIterator[ApiKeySync]:
    """A leading monitor's keyring, running."""
    store = Store(path)
    await store.open()
    key_sync = ApiKeySync(bus.client(), "pbx", store)
    try:
        async with tasks.running(key_sync.run()):
            yield key_sync
    finally:
        await store.close()


@asynccontextmanager
async def served(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a static key."""
    async with (
        gateway_run.serving(
            ["pbx"], KeyTable([STATIC]), GatewaySection(port=0), only(bus.client())
        ) as server,
        httpx.AsyncClient(base_url=server.address, timeout=60.0) as http,
    ):
        yield http


async def status(http: httpx.AsyncClient, key: str = RAW) -> int:
    return (await http.get(f"/webapi/{key}/pbx.calls.get")).status_code


async def becomes(http: httpx.AsyncClient, wanted: int, key: str = RAW) -> None:
    async def has() -> bool:
        return await status(http, key) == wanted

    await until_async(has)


async def test_a_key_is_made_kept_used_listed_revoked_and_its_name_free_again(bus: Bus) -> None:
    changes = KeyAdmin(bus.client(), "pbx")
    async with running(bus), checkpoint(bus), served(bus) as http:
        await becomes(http, 401)
        assert await changes.make(WALL)
        await becomes(http, 200)
        assert await changes.all() == [WALL]
        with pytest.raises(ConfigError, match="already"):
            await changes.make(WALL)
        assert await changes.revoke("wall")
        await becomes(http, 401)
        assert await changes.all() == []
        with pytest.raises(ConfigError, match="no key 'wall'"):
            await changes.revoke("wall")
        assert await changes.make(replace(WALL, digest=sha256_hex("another")))
        await becomes(http, 200, "another")
        assert await status(http) == 401


async def test_until_the_table_is_loaded_nobody_is_told_that_his_key_is_unknown(bus: Bus) -> None:
    async with served(bus) as http:
        assert await status(http) == 503
        async with running(bus):
            await becomes(http, 200, "a-static-key")
            await becomes(http, 401)


async def test_a_redis_that_was_emptied_forgets_no_key_and_revives_none(bus: Bus) -> None:
    changes = KeyAdmin(bus.client(), "pbx")
    gone = ApiKey("gone", sha256_hex("a-key-that-is-gone"), "pbx", frozenset({"read"}))
    async with running(bus), checkpoint(bus), served(bus) as http:
        for key in (WALL, gone):
            await changes.make(key)
        await changes.revoke("gone")
        await becomes(http, 200)
        await flush(bus)
        assert await status(http) != 401, "what is not whole is not followed"

        async def there_again() -> bool:
            try:
                return await changes.all() == [WALL]
            except ConfigError:
                return False

        await until_async(there_again)
        await becomes(http, 200)
        answer = await status(http, "a-key-that-is-gone")
        while answer == 503:  # until the table has been read whole again
            answer = await status(http, "a-key-that-is-gone")
        assert answer == 401


async def test_a_key_that_vanishes_from_a_whole_table_holds_on_and_so_do_its_streams(
    valkey: RealBus,
) -> None:
    changes, redis, names = KeyAdmin(valkey.client(), "pbx"), valkey.client(), AccessKeys("pbx")
    async with running(valkey) as monitor, served(valkey) as http:
        async with checkpoint(valkey):
            await changes.make(WALL)
            await becomes(http, 200)
        address = str(http.base_url).replace("http", "ws", 1)
        async with connect(f"{address}/webapi/{RAW}/stream?topics=ivrs") as stream:
            await stream.recv()
            await redis.hdel(names.table, "wall")  # and the table is called whole
            other = replace(WALL, name="other", digest=sha256_hex("another"))
            await redis.hset(names.table, "other", encode_key(to_stored(other, 1.0)))
            await becomes(http, 200, "another")  # what stands there now has been read
            assert await status(http) == 200
            await stream.recv()  # what came before
            monitor.source.call()
            await stream.recv()
            await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 4e9, revoked=True)))
            with pytest.raises(ConnectionClosed):
                await _read_to_the_end(stream)


async def test_an_older_grant_that_comes_back_revives_no_revoked_key_at_a_gateway(bus: Bus) -> None:
    redis, names = bus.client(), AccessKeys("pbx")
    other = replace(WALL, name="other", digest=sha256_hex("another"))
    async with running(bus), served(bus) as http:
        await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 2.0, revoked=True)))
        await redis.set(names.ready, "1")
        await becomes(http, 401)
        await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 1.0)))
        await redis.hset(names.table, "other", encode_key(to_stored(other, 1.0)))
        await becomes(http, 200, "another")  # what stands there now has been read
        assert await status(http) == 401


async def test_a_change_without_a_monitor_is_said_to_be_kept_by_nobody(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 0.3)
    assert not await KeyAdmin(bus.client(), "pbx").make(WALL)
    async with checkpoint(bus) as key_sync:
        await key_sync.reconcile()
        assert await KeyAdmin(bus.client(), "pbx").all() == [WALL]


async def test_a_revoked_keys_streams_end_and_no_frame_follows(valkey: RealBus) -> None:
    changes = KeyAdmin(valkey.client(), "pbx")
    async with running(valkey) as monitor, checkpoint(valkey), served(valkey) as http:
        await changes.make(WALL)
        await becomes(http, 200)
        address = str(http.base_url).replace("http", "ws", 1)
        async with connect(f"{address}/webapi/{RAW}/stream?topics=ivrs") as stream:
            await stream.recv()
            await changes.revoke("wall")
            monitor.source.call()
            with pytest.raises(ConnectionClosed) as closed:
                await _read_to_the_end(stream)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001


async def _read_to_the_end(stream: ClientConnection) -> None:
    async with asyncio.timeout(60):
        while True:
            await stream.recv()


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"])
def test_a_key_is_taken_from_its_networks(address: str) -> None:
    replace(WALL, networks=("192.0.2.0/24", "2001:db8::/32")).admit(address)


@pytest.mark.parametrize("address", ["192.0.3.7", "", "testclient", "2001:db9::1"])
def test_a_key_is_not_taken_from_elsewhere(address: str) -> None:
    with pytest.raises(
        AddressRefused, match=f", {address}.$"
    ):  # which is the proxy's, if that is not believed
        replace(WALL, networks=("192.0.2.0/24", "2001:db8::/32")).admit(address)
    WALL.admit(address)
