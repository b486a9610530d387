"""Test that the monitor keeps each PBX's service running: a fault stays at its PBX."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from monitor import run
from monitor.leadership.pbx_service import Emit, MayMint, PbxService
from monitor.pbx.facts import Fact
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.topology import RedisClients
from monitor.shared.tasks import running
from tests.bus import RealBus, free_port, until, until_async
from tests.monitor.hands import CountingTracker, HandSource, NoteBook

PBXS = 20


class Talker(HandSource):
    """Connected as soon as it runs, and never silent for long."""

    async def run(self) -> None:
        self.connect()
        while True:
            await asyncio.sleep(0.01)
            self.call()


def talker(emit: Emit, may_mint: MayMint) -> Talker:
    return Talker(emit, may_mint)


def made(
    name: str,
    servers: RedisClients,
    source: Callable[[Emit, MayMint], HandSource] = talker,
    heartbeat: float = 0.1,
) -> PbxService[Fact]:
    """A service of a PBX of this name."""
    redis = servers.of(name)
    return PbxService(
        "m",
        name,
        redis,
        CountingTracker,
        source,
        store=NoteBook(),
        heartbeat=heartbeat,
        lease_ttl=3.0,
        log_length=50,
    )


class _Failing(HandSource):
    async def run(self) -> None:
        self.connect()
        raise LookupError("a fault of ours")


async def test_a_fault_in_one_pbx_restarts_that_one_alone_and_its_trace_is_told_once(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_RESTART_BASE_S", 0.01)
    monkeypatch.setattr(run, "RESTART_CAP_S", 0.05)
    tried = 0

    def source(emit: Emit, may_mint: MayMint) -> HandSource:
        nonlocal tried
        tried += 1
        return _Failing(emit, may_mint) if tried <= 3 else Talker(emit, may_mint)

    servers = RedisClients(valkey.url)
    bad, good = made("bad", servers, source), made("good", servers)
    with capture_logs() as logs:
        async with running(run.keep_running(bad), run.keep_running(good)) as tasks:
            await until(lambda: tried == 4 and bad.leading and good.leading)
            assert good.counters.terms == 1
            assert not any(task.done() for task in tasks)
    await servers.aclose()
    told = [entry for entry in logs if entry["event"] == "pbx_failure"]
    assert [entry["failures"] for entry in told] == [1, 2, 3]
    assert {entry["pbx"] for entry in told} == {"bad"}
    assert [entry["exc_info"] is not None for entry in told] == [True, False, False]
    assert "a fault of ours" in told[0]["reason"]


async def kill_again_and_again(bus: RealBus, kills: int) -> list[Any]:
    """Kill Redis under many PBXs, with each connection cut as it dies; the log's errors."""
    servers = RedisClients(bus.url)
    services = [made(f"pbx{number}", servers, heartbeat=0.05) for number in range(PBXS)]
    redis = servers.of("pbx0")
    pool = redis.connection_pool
    positions = [SpaceKeys(service.pbx, "live").position for service in services]

    async def all_write() -> bool:
        try:
            return bool(await redis.exists(*positions) == PBXS)
        except RedisError:
            return False

    with capture_logs() as logs:
        async with running(*map(run.keep_running, services)) as tasks:
            for _ in range(kills):
                await until_async(all_write)
                bus.kill()
                for connection in list(pool._in_use_connections):
                    if connection._writer is not None:
                        # As a reset does: a write finds its handle closed.
                        connection._writer.transport.abort()
                await asyncio.sleep(0.02)
                await bus.start()
            await until_async(all_write)
            assert not any(task.done() for task in tasks)
            assert len(pool._in_use_connections) <= 8 * PBXS
    await servers.aclose()
    return [entry for entry in logs if entry["log_level"] in ("error", "critical")]


async def test_a_redis_that_is_away_is_warned_of_once_by_each_pbx() -> None:
    servers = RedisClients(f"redis://127.0.0.1:{free_port()}")
    service = made("main", servers)
    with capture_logs() as logs:
        async with running(run.keep_running(service)):
            await until(lambda: service.counters.contests_failed > 2)
    await servers.aclose()
    told = [line["log_level"] for line in logs if line.get("during") == "lease_contest"]
    assert told[:3] == ["warning", "info", "info"]
