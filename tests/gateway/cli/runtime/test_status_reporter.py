"""What each process tells of itself on Redis, and what is forgotten of the dead."""

from __future__ import annotations

import os
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.cli.runtime import status_reporter as heartbeat
from monitor.shared.process_status import PbxRole, ProcessStatus, decode_process
from monitor.shared.redis.connection import connect, text
from monitor.shared.redis.key_names import PROCESSES, SITE, process_key
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from monitor.shared.timestamps import from_unix
from tests.bus import Bus, RealBus, until, until_async
from tests.system.stack import PBX

VERSION = metadata.version("callmon")


def process(name: str) -> ProcessStatus:
    return ProcessStatus(
        "gateway", name, os.getpid(), VERSION, from_unix(0), {PBX: PbxRole("serving")}
    )


async def test_who_lives_takes_the_dead_from_the_list_and_himself_at_his_end(bus: Bus) -> None:
    redis = bus.client()
    await redis.sadd(PROCESSES, "dead")
    await heartbeat.tell(redis, "one", process("one"))
    await heartbeat.tell(redis, "two", process("two"))
    assert await redis.smembers(PROCESSES) == {b"one", b"two"}
    assert 0 < await redis.ttl(PROCESSES) <= heartbeat.EXPIRY_MS // 1000
    assert 0 < await redis.pttl(process_key("one")) <= heartbeat.EXPIRY_MS
    async with heartbeat.heartbeat(redis, "monitor", "three") as three:
        three.trouble = "Its disk is full."
        three.of_monitor([])
        await until_async(lambda: _listed(bus, 3))
        [name] = [*(await redis.smembers(PROCESSES)) - {b"one", b"two"}]
        told = await redis.get(process_key(text(name) or ""))
        assert isinstance(told, bytes)
        assert decode_process(told).trouble == "Its disk is full."
    await until_async(lambda: _listed(bus, 2))
    assert sorted(await redis.keys(f"callmon:{{{SITE}}}:process:*")) == [
        process_key(name).encode() for name in ("one", "two")
    ]


async def test_a_list_that_is_too_long_to_be_ours_is_begun_anew(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking through millions of names would cost a monitor its leases."""
    monkeypatch.setattr(heartbeat, "MOST_LISTED", 100)
    redis, rejected = bus.client(), RejectedValues()
    await redis.sadd(PROCESSES, *(f"gateway/a/{number}/x" for number in range(100)))
    with collecting(rejected):
        assert await heartbeat.tell(redis, "one", process("one")) == []
    assert rejected.reasons() == {PROCESSES: "101 processes"}
    assert not await redis.exists(PROCESSES)
    assert await heartbeat.tell(redis, "one", process("one")) == ["one"]


async def test_a_list_that_is_none_is_replaced(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.01)
    redis = valkey.client()
    await redis.set(PROCESSES, "zzzz")
    async with heartbeat.heartbeat(redis, "monitor", "one") as one:
        one.of_monitor([])

        async def is_list() -> bool:
            return bool(await redis.type(PROCESSES) == b"set")

        await until_async(is_list)


async def _listed(bus: Bus, count: int) -> bool:
    return await bus.client().scard(PROCESSES) == count


async def test_without_the_right_it_is_said_once_and_tried_on(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.01)
    admin = valkey.client()
    await admin.execute_command(
        "ACL", "SETUSER", "older", "on", ">older", "-@all", "+ping", "+multi", "+exec"
    )  # type: ignore[no-untyped-call]  # as redis-py has it
    redis = connect(valkey.url.replace("//", "//older:older@"))

    async def refused() -> bool:
        return (
            int((await admin.info("errorstats")).get("errorstat_NOPERM", {}).get("count", 0)) > 10
        )

    with capture_logs() as logged:
        async with heartbeat.heartbeat(redis, "monitor", "one") as one:
            one.of_monitor([])
            await until_async(refused)
            await admin.execute_command("ACL", "SETUSER", "older", "allkeys", "+@all")  # type: ignore[no-untyped-call]  # likewise
            await until_async(lambda: _listed(valkey, 1))
            valkey.kill()
            await valkey.start()
            await admin.execute_command(
                "ACL", "SETUSER", "older", "on", ">older", "allkeys", "+@all"
            )  # type: ignore[no-untyped-call]  # likewise
            await until_async(lambda: _listed(valkey, 1))
    assert [line["event"] for line in logged] == ["status_write_refused"]
    await redis.aclose()


@pytest.mark.parametrize(
    ("other", "own_tickets", "warnings"),
    [("b", True, 1), ("b", False, 0), ("a", True, 0)],
    ids=["another host", "a secret for all", "a worker"],
)
async def test_gateways_that_cannot_take_each_others_tickets_are_told_of_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, other: str, own_tickets: bool, warnings: int
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.01)
    monkeypatch.setattr(heartbeat, "_WITH_OTHERS", 3)
    redis = bus.client()
    await heartbeat.tell(redis, f"gateway/{other}/1/x", process(other))
    gateway: Any = SimpleNamespace(live=SimpleNamespace(sessions=()), pbxs={}, address="")
    told = 0

    async def tell(*given: Any) -> list[str]:
        nonlocal told
        listed = await original(*given)
        told += 1
        return listed

    original = heartbeat.tell
    monkeypatch.setattr(heartbeat, "tell", tell)
    with capture_logs() as logged:
        async with heartbeat.heartbeat(redis, "gateway", "a") as one:
            one.of_gateway(gateway, own_tickets=own_tickets)
            await until(lambda: told > 8)
    assert [line["event"] for line in logged] == ["ticket_secret_missing"] * warnings
    assert all(line["gateways"] == ["b"] for line in logged)
