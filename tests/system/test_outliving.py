"""Test what must outlive Redis and a leader: statistics, ended calls, keys, open streams."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.auth.key_admin import KeyAdmin
from gateway.stream_client import StreamClient
from monitor.lease import Lease
from monitor.persistence.sqlite_store import STORE
from monitor.shared.errors import BusUnreachable
from monitor.shared.process_status import decode_process
from monitor.shared.redis.connection import text
from monitor.shared.redis.key_names import PROCESSES, AccessKeys, SpaceKeys, process_key
from monitor.simulator.server import SimulatedPbx
from monitor.statistics.checkpoint_format import decode
from tests.bus import RealBus, free_port, patient, until, until_async
from tests.system.processes import Running, Site, spawn
from tests.system.stack import PBX, Subscriber, running

MADE = "a-key-made-by-command"
WELL = {"ready": True, "troubles": {}, "rejected": {}}
WALL = ApiKey("wall", sha256_hex(MADE), PBX, frozenset({"read"}))


def settings_in(directory: Path, place: Site, more: str, weight: float) -> Path:
    """The site's settings, with this directory for what must last. ``more``: further settings."""
    directory.mkdir(exist_ok=True)
    settings = directory / "callmon.toml"
    text = place.settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace("[monitor]", f'[monitor]\nstate_dir = "{directory}"\nweight = {weight}', 1)
        + more,
        encoding="utf-8",
    )
    return settings


async def start(place: Site, directory: Path, more: str = "", *, weight: float = 1.0) -> Running:
    """A monitor with this directory for what must last."""
    settings = settings_in(directory, place, more, weight)
    process = await spawn("monitor", "--config", str(settings))
    place.running.append(process)
    return process


async def leads(redis: Redis, before: str = "") -> str:
    """Wait until a monitor leads, other than ``before``; its name in the lease."""
    lease, found = Lease(redis, SpaceKeys(PBX, "live"), "nobody"), ""

    async def held() -> bool:
        nonlocal found
        found = await lease.holder() or ""
        return found not in ("", before)

    await until_async(held)
    return found


def rows(file: Path, query: str) -> list[Any]:
    """The first column of what stands in a monitor's file, read from beside it."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            return [row[0] for row in db.execute(query)]
    except sqlite3.OperationalError:  # not made yet
        return []


async def test_ended_calls_statistics_keys_and_streams_outlive_redis_and_the_leader_together(
    pbx: SimulatedPbx, valkey: RealBus, place: Site, tmp_path: Path
) -> None:
    first, redis = await start(place, tmp_path / "a"), patient(valkey)
    led = await leads(redis)
    await start(place, tmp_path / "b")
    await place.start("gateway", "--port", str(place.port))
    survivor = tmp_path / "b" / STORE
    await made(KeyAdmin(redis, PBX))
    async with StreamClient(
        place.address.replace("http", "ws", 1) + "/webapi/stream", MADE, STREAMED
    ) as client:
        held = Subscriber(client)
        refused: list[str] = []
        async with running(asyncio.create_task(listened(held, refused))):
            await until(lambda: len(rows(survivor, "SELECT id FROM ended")) >= 10)
            await until(
                lambda: (
                    rows(survivor, "SELECT name FROM keys") == ["wall"] and bool(statistics(held))
                )
            )
            await until(lambda: counted(survivor) > 0)
            ended, calls = set(rows(survivor, "SELECT id FROM ended")), counted(survivor)
            epoch = held.epoch
            valkey.kill()
            await first.kill()
            valkey.forget()
            await valkey.start()
            await leads(patient(valkey), led)  # its old connections are cut
            await until(lambda: held.epoch > epoch and bool(statistics(held)) and not held.stale)
            await until(
                lambda: (
                    ended <= held.state["ended"].keys()
                    and statistics(held).get("calls", 0) >= calls
                )
            )
            assert not refused, "its stream was not ended for good"
    async with httpx.AsyncClient(timeout=60) as http:
        assert (await http.get(f"{place.address}/webapi/{MADE}/pbx.calls.get")).status_code == 200


async def test_what_the_lost_leader_alone_knew_returns_with_its_host(
    pbx: SimulatedPbx, valkey: RealBus, place: Site, tmp_path: Path
) -> None:
    first, redis = await start(place, tmp_path / "a", weight=100.0), patient(valkey)
    led = await leads(redis)
    second, own = await start(place, tmp_path / "b", weight=0.1), tmp_path / "a" / STORE
    await place.start("gateway", "--port", str(place.port))
    await made(KeyAdmin(redis, PBX))
    await until(lambda: rows(tmp_path / "b" / STORE, "SELECT name FROM keys") == ["wall"])
    async with StreamClient(
        place.address.replace("http", "ws", 1) + "/webapi/stream", MADE, STREAMED
    ) as client:
        held = Subscriber(client)
        async with running(asyncio.create_task(held.listen())):
            await until(lambda: bool(held.state.get("ended")) and bool(statistics(held)))
            second.process.send_signal(signal.SIGSTOP)  # it copies nothing from here on
            copied = set(rows(tmp_path / "b" / STORE, "SELECT id FROM ended"))
            await until(lambda: len(set(rows(own, "SELECT id FROM ended")) - copied) >= 3)
            ended, epoch = set(rows(own, "SELECT id FROM ended")), held.epoch
            valkey.kill()
            await first.kill()
            valkey.forget()
            await valkey.start()
            second.process.send_signal(signal.SIGCONT)
            redis = patient(valkey)  # its old connections are cut
            leader = await leads(redis, led)
            await until(lambda: held.epoch > epoch and bool(statistics(held)) and not held.stale)
            lacking = ended - held.state["ended"].keys()
            assert lacking, "else nothing is lost that could return"
            # It tells what it knows, although it does not lead any more.
            await start(place, tmp_path / "a", weight=0.0)
            await until(lambda: ended <= held.state["ended"].keys())
            await until(lambda: statistics(held)["calls"] >= len(ended))
            assert await leads(redis) == leader


STREAMED = ("ended", "pbxstats", "system")


async def listened(held: Subscriber, refused: list[str]) -> None:
    """Take in updates; keeps what ends the stream for good."""
    try:
        await held.listen()
    except Exception as error:
        refused.append(repr(error))


def statistics(held: Subscriber) -> dict[str, Any]:
    return held.state.get("pbxstats", {}).get("pbx") or {}


def counted(file: Path) -> int:
    """Calls of the day that are over, by a monitor's file."""
    saved = [decode(data) for data in rows(file, "SELECT saved FROM figures")]
    good = sum(tally.calls for one in saved for tally in one.tallies.traffic.values())
    return good + sum(len(one.held.closed) for one in saved)


async def made(changes: KeyAdmin) -> None:
    async def make() -> bool:
        try:
            return await changes.make(WALL)
        except BusUnreachable:
            return False

    await until_async(make)


async def _is(says: Callable[[int], Awaitable[dict[str, Any]]], expected: dict[str, Any]) -> bool:
    return await says(200) == expected


async def reports(redis: Redis, trouble: str) -> bool:
    """Whether ``callmon status`` finds this trouble of a monitor."""
    told = [
        await redis.get(process_key(text(one) or "")) for one in await redis.smembers(PROCESSES)
    ]
    return any(isinstance(one, bytes) and decode_process(one).trouble == trouble for one in told)


async def test_a_monitor_whose_disk_is_full_says_so_and_mends_itself(
    valkey: RealBus, place: Site, tmp_path: Path
) -> None:
    port, redis = free_port(), patient(valkey)
    monitor = await start(place, tmp_path / "a", f"\n[metrics]\nmonitor_port = {port}\n")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

        async def says(status: int) -> dict[str, Any]:
            found: dict[str, Any] = {}

            async def said() -> bool:
                try:
                    answer = await http.get("/readyz")
                except httpx.TransportError:
                    return False
                found.update(json.loads(answer.content))
                return answer.status_code == status

            await until_async(said)
            return found

        await until_async(lambda: _is(says, WELL))
        await leads(redis)
        table = AccessKeys(PBX).table
        await redis.hset(table, "x", b"garbage")

        async def tells() -> bool:
            return [*(await says(200))["rejected"]] == [table]

        await until_async(tells)
        await redis.hdel(table, "x")
        await until_async(lambda: _is(says, WELL))
        soft, hard = resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE, (0, hard))  # no file grows
        found: dict[str, Any] = {}

        async def full() -> bool:
            nonlocal found
            found = await says(503)
            return "commands are refused" in found["troubles"].get("store", "")

        await until_async(full)
        assert "callmon_monitor_store_writable 0.0" in (await http.get("/metrics")).text
        await until_async(lambda: reports(redis, found["troubles"]["store"]))
        resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
        await until_async(lambda: _is(says, WELL))
