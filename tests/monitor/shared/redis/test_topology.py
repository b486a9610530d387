"""Test Redis addresses, and groups of real servers that lose or move what callmon needs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from monitor.shared.errors import BusUnreachable, ConfigError
from monitor.shared.redis.connection import GuardedTransaction
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.topology import RedisClients
from monitor.simulator.tls import CertificateFiles, make_certificate
from tests.bus import real_bus, until_async
from tests.redis_groups import clustered_group, watched_group

WITHIN = 60.0


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@a/0?sentinel=1",
        "redis://:secret@a/0?socket_timeout=soon",
        "redis://:secr/et]@a/0",
    ],
)
async def test_what_the_client_cannot_use_is_a_sentence_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="redis url") as raised:
        RedisClients(url)
    assert "secr" not in str(raised.value)


async def test_a_unix_socket() -> None:
    async with real_bus() as bus, serving(RedisClients(f"unix://{bus.path}?db=2")) as servers:
        await _transaction(servers.of("main"), "main")


async def test_a_server_with_tls_is_trusted_by_its_ca(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    async with real_bus() as bus, tunnel(files, bus.port) as port:
        async with serving(RedisClients(f"rediss://localhost:{port}", files.ca_file)) as servers:
            await _transaction(servers.of("main"), "main")
        async with serving(RedisClients(f"rediss://localhost:{port}")) as servers:
            with pytest.raises(BusUnreachable, match="certificate"):
                await _transaction(servers.of("main"), "main")


async def test_the_sentinels_tell_who_is_master_after_the_old_one_was_killed() -> None:
    async with watched_group() as group, serving(RedisClients(group.url)) as servers:
        redis = servers.of("main")
        assert servers.of("branch") is redis
        await _transaction(redis, "main")
        group.master.kill()
        await until_async(lambda: _does(redis, "main"), WITHIN)
        assert await group.replica.ask("EXISTS", SpaceKeys("main", "live").position) == 1


async def test_each_pbx_has_the_node_that_holds_its_keys() -> None:
    names = ("a", "b", "c")  # their slots lie on different nodes
    async with clustered_group() as group, serving(RedisClients(group.url)) as servers:
        holders = set()
        for name in names:
            await _transaction(servers.of(name), name)
            holders.add((await group.holder(SpaceKeys(name, "live").position)).port)
        assert len(holders) > 1


async def test_keys_that_move_to_another_node_are_followed_by_writer_and_listener() -> None:
    keys = SpaceKeys("a", "live")
    async with (
        clustered_group() as group,
        serving(RedisClients(group.url)) as one,
        serving(RedisClients(group.url)) as other,
    ):
        writer, reader = one.of("a"), other.of("a")
        await _transaction(writer, "a")
        async with reader.pubsub() as listening:
            await listening.subscribe(keys.channel)
            await _heard(listening)
            before = await group.holder(keys.position)
            assert await before.says(keys.channel, "PUBSUB", "CHANNELS")
            await group.move(keys.position)
            await until_async(lambda: _does(writer, "a"), WITHIN)
            with pytest.raises(RedisConnectionError, match="does not hold these keys"):
                await reader.hget(keys.position, "seq")  # that closes what listens there too
            assert await reader.hget(keys.position, "seq") == b"2"
            await _heard(listening)  # subscribed again, at the other node

            async def left() -> bool:
                return not await before.says(keys.channel, "PUBSUB", "CHANNELS")

            await until_async(left)
            await _transaction(writer, "a")
            assert await _heard(listening, "message") == b"x"


async def test_a_cluster_that_is_away_is_tried_again() -> None:
    async with clustered_group() as group, serving(RedisClients(group.url)) as servers:
        group.kill()
        with pytest.raises(BusUnreachable, match="no node of the Cluster says"):
            await _transaction(servers.of("a"), "a")


@asynccontextmanager
async def serving(servers: RedisClients) -> AsyncIterator[RedisClients]:
    try:
        yield servers
    finally:
        await servers.aclose()


@asynccontextmanager
async def tunnel(files: CertificateFiles, port: int) -> AsyncIterator[int]:
    """TLS before a server that has none; gives the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        for one in (pump(reader, behind_writer), pump(behind_reader, writer)):
            tasks.add(asyncio.create_task(one))

    async with await asyncio.start_server(joined, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()


async def _transaction(redis: Redis, pbx: str) -> None:
    """As the monitor writes: guarded by what was read."""
    keys = SpaceKeys(pbx, "live")
    guard = await GuardedTransaction.watch(redis, keys.lease, keys.position)
    await guard.get(keys.lease)
    assert await guard.commit(
        [("HINCRBY", keys.position, "seq", 1), ("PUBLISH", keys.channel, b"x")]
    )


async def _does(redis: Redis, pbx: str) -> bool:
    try:
        await _transaction(redis, pbx)
    except BusUnreachable:
        await asyncio.sleep(0.1)
        return False
    return True


async def _heard(listening: PubSub, kind: str = "subscribe") -> object:
    """What the next message of this kind says."""
    async with asyncio.timeout(WITHIN):
        while True:
            message = await listening.get_message(timeout=1.0)
            if message is not None and message["type"] == kind:
                return message["data"]
