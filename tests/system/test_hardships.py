"""Cause under load, for real, what a site meets in years: the truth is held again each time.

Monitors and gateways are processes, Redis is a real server.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from redis.exceptions import RedisError

from monitor.shared.codec import Heartbeat, decode_announcement
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.tasks import running
from monitor.shared.timestamps import moment
from monitor.simulator.server import SimulatedPbx
from tests.bus import RealBus, patient, until, until_async
from tests.system.processes import LEASE, ROOT, Running, Site, watching
from tests.system.stack import KEY, PBX, subscriber
from tests.system.test_restarts import WITHIN, Snapshots, right


@asynccontextmanager
async def announced(bus: RealBus) -> AsyncIterator[list[tuple[str, int]]]:
    """Every change that is announced from now on: its epoch and position."""
    heard: list[tuple[str, int]] = []
    async with patient(bus).pubsub() as listening:
        await listening.subscribe(SpaceKeys(PBX, "live").channel)

        async def listen() -> None:
            async for message in listening.listen():
                if message["type"] == "message":
                    announcement = decode_announcement(message["data"])
                    if not isinstance(announcement, Heartbeat):
                        heard.append((announcement.position.epoch, announcement.position.seq))

        async with running(listen()):
            yield heard


async def test_a_leader_that_stood_still_past_its_lease_writes_nothing_more(
    pbx: SimulatedPbx, valkey: RealBus, place: Site
) -> None:
    async with watching(place) as held, announced(valkey) as heard:
        await right(pbx, held)
        await place.start("monitor")
        leader, epoch = place.running[0].process, held.epoch
        leader.send_signal(signal.SIGSTOP)
        await until(lambda: held.epoch > epoch, WITHIN)
        await right(pbx, held)
        leader.send_signal(signal.SIGCONT)
        await asyncio.sleep(2 * LEASE)
        await right(pbx, held)
    assert len(heard) == len(set(heard)), "two wrote the same position"
    assert heard == sorted(heard), "somebody wrote into an epoch that was over"
    assert len({epoch for epoch, _ in heard}) > 1


async def test_redis_out_of_memory(pbx: SimulatedPbx, valkey: RealBus, place: Site) -> None:
    redis = patient(valkey)
    async with watching(place) as held:
        await right(pbx, held)
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1mb")
        with pytest.raises(RedisError):
            await redis.set("anything", "x")
        await until(lambda: held.stale, WITHIN)
        async with httpx.AsyncClient(base_url=place.address, timeout=60) as http:
            assert (await http.get(f"/webapi/{KEY}/pbx.calls.get")).status_code == 200
        await redis.config_set("maxmemory", "0")
        await until(lambda: not held.stale, WITHIN)
        await right(pbx, held)


async def test_redis_whose_output_buffers_are_too_small_for_a_subscriber(
    pbx: SimulatedPbx, valkey: RealBus, place: Site
) -> None:
    redis = patient(valkey)

    async def cut_off() -> bool:
        stats = await redis.info("stats")
        return bool(stats["client_output_buffer_limit_disconnections"])

    async with watching(place) as held:
        await right(pbx, held)
        await redis.config_set("client-output-buffer-limit", "pubsub 1 0 0")
        await valkey.drop_subscribers()
        await asyncio.sleep(3)
        await until_async(cut_off)
        await redis.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        await right(pbx, held)


async def test_connections_to_redis_that_are_reset_at_random(
    pbx: SimulatedPbx, valkey: RealBus, place: Site
) -> None:
    redis, dice = patient(valkey), random.Random(4)
    async with watching(place) as held:
        await right(pbx, held)
        for _ in range(20):
            clients = await redis.client_list()
            await redis.client_kill_filter(_id=dice.choice(clients)["id"], skipme=True)
            await asyncio.sleep(dice.uniform(0, 0.3))
        await right(pbx, held)


async def test_a_slow_redis(pbx: SimulatedPbx, valkey: RealBus, place: Site) -> None:
    redis = patient(valkey)
    async with watching(place) as held:
        await right(pbx, held)
        for _ in range(10):
            await redis.execute_command("CLIENT", "PAUSE", 300, "ALL")  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.4)
        await right(pbx, held)


async def test_a_gateway_without_a_file_descriptor_left_goes_on_serving_whom_it_has(
    pbx: SimulatedPbx, place: Site
) -> None:
    await place.start("monitor")
    command = (
        f"ulimit -n 64; exec {sys.executable} -m gateway gateway --config {place.settings} "
        f"--port {place.port}"
    )
    place.running.append(
        Running(await asyncio.create_subprocess_exec("sh", "-c", command, cwd=ROOT))
    )
    async with httpx.AsyncClient(base_url=place.address, trust_env=False) as http:
        await until_answers(http)
    async with subscriber(place.address) as held:
        await right(pbx, held)
        lines = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(100)]
        await asyncio.sleep(1)
        await right(pbx, held)
        for _, writer in lines:
            writer.close()
        async with httpx.AsyncClient(base_url=place.address, trust_env=False) as http:
            await until_answers(http)
        await right(pbx, held)


async def test_a_herd_that_comes_back_at_once_after_a_restart(
    pbx: SimulatedPbx, place: Site
) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        herd = [subscriber(place.address) for _ in range(60)]
        came = [await one.__aenter__() for one in herd]
        try:
            await until(lambda: all(one.connected for one in came), WITHIN)
            await place.running[1].kill()
            await place.start("gateway", "--port", str(place.port))
            await until(lambda: all(one.client.reconnects for one in came), WITHIN)
            await right(pbx, held)
            pbx.traffic.pause()
            await pbx.traffic.quiet()
            await until(lambda: all(one.state == held.state for one in came), WITHIN)
        finally:
            for one in herd:
                await one.__aexit__(None, None, None)


async def until_answers(http: httpx.AsyncClient) -> None:
    """Wait until the gateway is ready."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("seconds", [7_200, -7_200], ids=["forward", "back"])
async def test_a_clock_that_jumps_by_two_hours(
    pbx: SimulatedPbx, steady: Site, tmp_path: Path, seconds: int
) -> None:
    """That of the hosts, and not the PBX's, by which calls are timed."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    steady.program = ("-m", "tests.system.jumping", str(clock))
    async with watching(steady) as held:
        await right(pbx, held)
        epoch, snapshots = held.epoch, Snapshots(held)
        clock.write_text(str(seconds))
        ended = set(held.state["ended"])
        await until(lambda: len(held.state["ended"].keys() - ended) > 20, WITHIN)
        await right(pbx, held)
        assert held.epoch == epoch
        await until(lambda: not held.stale, WITHIN)
        assert snapshots.count == 0
        now = moment(max(call["startedAt"] for call in held.state["calls"].values())).timestamp()
        assert abs(now - time.time()) < WITHIN, "calls are timed by the PBX's clock"
        assert ended <= held.state["ended"].keys(), (
            "nothing is forgotten as if it were of yesterday"
        )
