"""Test that every error below the connection becomes BusUnreachable, and a redis error too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis import connection
from monitor.shared.redis.connection import GuardedTransaction, translated
from monitor.shared.tasks import end
from tests.bus import Bus, RealBus, real_bus, until


@pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_write_to_a_connection_that_has_just_died_is_nothing_but_a_lost_connection(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def scene() -> None:
        async with real_bus() as bus:
            redis = bus.client()
            guard = await GuardedTransaction.watch(redis, "a")
            plain = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # as redis-py has it
            for connection in list(redis.connection_pool._in_use_connections):
                assert connection._writer is not None
                connection._writer.transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not await guard.commit([("SET", "a", "1")])
            with pytest.raises((RedisConnectionError, OSError)):
                await plain.send_command("PING")
            await redis.connection_pool.release(plain)
            assert not redis.connection_pool._in_use_connections

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


def test_what_a_client_raises_that_nobody_foresaw_is_told_once_and_translated() -> None:
    with (
        capture_logs() as logs,
        pytest.raises(BusUnreachable, match="AttributeError: no writer"),
        translated(),
    ):
        raise AttributeError("no writer")
    assert [entry["event"] for entry in logs] == ["redis_client_failure"]


def test_an_error_of_ours_passes_untranslated() -> None:
    with pytest.raises(StoreFailed), translated():
        raise StoreFailed("the disk is full")


async def test_only_some_connections_are_made_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else hundreds of PBXs on a busy machine would all run out of time, and begin anew."""
    monkeypatch.setattr(connection, "CONNECTING_AT_ONCE", 5)
    beginning, most = 0, 0
    answering = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal beginning, most
        beginning += 1
        most = max(most, beginning)
        await reader.readuntil(b"SETINFO")  # what the client says first
        await answering.wait()
        beginning -= 1
        writer.write(b"+OK\r\n+OK\r\n")
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        redis = connection.connect(f"redis://127.0.0.1:{port}/0")
        redis.connection_pool.connection_kwargs.update(socket_timeout=60.0)
        redis.connection_pool.connection_kwargs.update(socket_connect_timeout=60.0)
        pings = [asyncio.ensure_future(redis.ping()) for _ in range(40)]
        await until(lambda: beginning == 5)
        answering.set()
        async with asyncio.timeout(60):
            assert await asyncio.gather(*pings) == [True] * 40
        assert most == 5
        await redis.aclose()


async def test_all_answers_of_a_round_trip_share_one_deadline_and_the_next_has_its_own(
    valkey: RealBus,
) -> None:
    redis = valkey.client()
    redis.connection_pool.connection_kwargs.update(socket_timeout=0.3)
    commands = [("SET", "a", "1"), ("GET", "a")]
    for _ in range(2):
        assert await connection.answers_of(redis, commands) == [b"OK", b"1"]
        await asyncio.gather(*(connection.send(redis, commands, whole=True) for _ in range(5)))
    ways: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: connection.send(redis, commands, whole=True),
        lambda: connection.send(redis, commands),
        lambda: connection.answers_of(redis, commands),
        lambda: redis.get("a"),
    )
    with valkey.paused():
        for way in ways:
            with pytest.raises(BusUnreachable, match="it does not answer in time"), translated():
                await way()
    for way in ways:
        await way()
    pool = redis.connection_pool
    assert not pool._in_use_connections
    assert {one.socket_timeout for one in pool._available_connections} == {0.3}


async def test_a_transaction_on_a_redis_that_hangs_ends_also_if_it_is_cancelled(
    valkey: RealBus,
) -> None:
    """The client then makes a new connection to forget what it watches: that needs timers too."""
    redis = valkey.client()
    redis.connection_pool.connection_kwargs.update(socket_timeout=0.3)
    guards = [await GuardedTransaction.watch(redis, "a") for _ in range(2)]
    with valkey.paused():
        async with asyncio.timeout(60):
            with pytest.raises(BusUnreachable, match="it does not answer in time"):
                await guards[0].commit([("SET", "a", "1")])
            committing = asyncio.ensure_future(guards[1].commit([("SET", "a", "1")]))
            await asyncio.sleep(0.1)
            await end([committing])
    assert not redis.connection_pool._in_use_connections


async def test_what_is_read_ahead_comes_with_the_watch_and_binds_the_commit(bus: Bus) -> None:
    redis, other = bus.client(), bus.client()
    await redis.set("a", "old")
    await redis.hset("h", "field", "1")
    reads = [("GET", "a"), ("HMGET", "h", "field"), ("HGETALL", "h"), ("HLEN", "a")]
    async with await GuardedTransaction.watch(redis, "a", reads=reads) as guard:
        await other.set("a", "new")
        assert await guard.get("a") == "old"
        assert await guard.fields("h", "field") == ["1"]
        assert await guard.ask("HGETALL", "h") == {b"field": b"1"}
        with pytest.raises(BusUnreachable, match=r"WRONGTYPE|kind"):
            await guard.size("a")
        assert await guard.get("a") == "new", "each answer is handed out once"
        assert await guard.commit([("SET", "a", "mine")]) is None
    assert await redis.get("a") == b"new"
    async with await GuardedTransaction.watch(redis, "a", reads=reads) as guard:
        assert await guard.get("a") == "new"
        assert await guard.commit([("SET", "a", "mine"), ("SET", "ä", 1)]) == [True, True]
    assert await redis.get("ä") == b"1"
