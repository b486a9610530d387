"""Test what must outlive Redis and a leader: two monitor processes, a real Redis, real kills.

The PBX is a Redis of its own, where each command that was carried out leaves its mark.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.auth.key_admin import KeyAdmin
from gateway.commands.dispatcher import CommandDispatcher
from gateway.errors import BusAway, MonitorBusy, NoMonitor, OutcomeUnknown
from gateway.pbx_context import PbxContext
from monitor.lease import Lease
from monitor.persistence.sqlite_store import STORE
from monitor.shared.changes import Position
from monitor.shared.command_messages import IdempotencyKey
from monitor.shared.errors import BusUnreachable, ConfigError
from monitor.shared.redis.key_names import AccessKeys, RequestKeys, SpaceKeys
from monitor.shared.tasks import end
from tests.bus import RealBus, flush, real_bus, until, until_async
from tests.test_commands import gateway
from tests.test_commands_processes import Process, leader, started

ONCE = IdempotencyKey("d" * 64, "f" * 64)
WALL = ApiKey("wall", sha256_hex("a-key-for-a-wall"), "pbx", frozenset({"read"}))
LEASE_S = "2.0"
"""A process that a busy machine holds up for a second leads still."""
GONE = ApiKey("gone", sha256_hex("a-key-that-is-gone"), "pbx", frozenset({"read"}))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two monitors that stand by for each other. ``files``: process id → its file."""

    bus: RealBus
    pbx: RealBus
    running: list[Process]
    files: dict[int, Path]

    async def start(self, directory: Path) -> Process:
        """Start a monitor with this directory for what must last."""
        process = await started(self.bus, str(directory), self.pbx.url, LEASE_S)
        self.running.append(process)
        self.files[process.pid] = directory / STORE
        return process

    async def leader(self, other_than: Process | None = None) -> Process:
        return await leader(self.bus, self.running, None if other_than is None else other_than.pid)

    def other(self, process: Process) -> Process:
        (other,) = (one for one in self.running if one is not process and one.returncode is None)
        return other

    def rows(self, process: Process, query: str) -> list[Any]:
        """What stands in a monitor's file, read from beside it: the first column of each row."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.files[process.pid]}?mode=ro", uri=True)
            ) as db:
                return [row[0] for row in db.execute(query)]
        except sqlite3.OperationalError:  # not made yet
            return []

    def holds_the_keys_of(self, process: Process, other: Process) -> bool:
        """Whether two monitors' files hold the same keys, with their revocations."""
        mine, theirs = (
            self.rows(each, "SELECT record FROM keys ORDER BY name") for each in (process, other)
        )
        return mine == theirs and len(mine) == len((WALL, GONE))

    def results(self, process: Process) -> list[Any]:
        """The audit log, oldest first."""
        return self.rows(process, "SELECT result FROM commands ORDER BY at, rowid")

    async def carried_out(self) -> list[str]:
        async with self.pbx.client().pipeline() as pipe:
            pipe.execute_command("LRANGE", "carried out", 0, -1)
            (found,) = await pipe.execute()
        return [num.decode() for num in found]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor may need longer on a busy machine than whoever made a key waits for it."""
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)


@pytest.fixture
async def pair(valkey: RealBus, tmp_path: Path) -> AsyncIterator[Pair]:
    async with real_bus() as pbx:
        held = Pair(valkey, pbx, [], {})
        try:
            for name in "ab":
                await held.start(tmp_path / name)
            yield held
        finally:
            for process in held.running:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def asked(commander: CommandDispatcher, num: str, once: IdempotencyKey | None = None) -> str:
    """Ask until a monitor takes it on; what comes of it."""
    while True:
        try:
            answered = await commander.carry_out("makecall", {"num": num}, "tester", "", once)
        except (NoMonitor, MonitorBusy, BusAway):
            await asyncio.sleep(0.1)
            continue
        except OutcomeUnknown:
            return "outcome_unknown"
        failure = answered.outcome.failure
        if failure is not None and failure.code == "too_late":  # it was held up past its lease
            continue
        return f"success {answered.outcome.reply}" if failure is None else failure.code


async def forgotten(bus: RealBus) -> None:
    """Redis has forgotten the requests, as it has some time after."""
    redis, keys = bus.client(), RequestKeys("pbx")
    for pattern in (keys.request("*"), keys.result("*"), keys.once("*")):
        for key in await redis.keys(pattern):
            await redis.delete(key)


async def nothing(bus: RealBus) -> None:
    """Redis is well."""


async def emptied(bus: RealBus) -> None:
    """Redis is emptied."""
    await flush(bus)


async def restarted(bus: RealBus) -> None:
    """Redis is killed, and starts with nothing."""
    bus.kill()
    bus.forget()
    await bus.start()


Misfortune = Callable[[RealBus], Awaitable[None]]


@pytest.mark.parametrize("misfortune", [nothing, restarted])
async def test_what_a_killed_leader_had_in_hand_is_known_as_unknown_and_never_done_again(
    pair: Pair, misfortune: Misfortune
) -> None:
    async with gateway(pair.bus.client()) as view:
        await asked(view.commander, "first")  # so that it is known to lead
        victim = await pair.leader()
        survivor = pair.other(victim)
        await pair.pbx.client().set("slow", "1")
        asking = [
            asyncio.create_task(asked(view.commander, num, once))
            for num, once in (("1", ONCE), ("2", None))
        ]

        async def in_hand() -> bool:
            return set(await pair.carried_out()) >= {"1", "2"}

        await until_async(in_hand)
        await until(lambda: pair.results(survivor).count("begun") == 2)
        victim.kill()
        await victim.wait()
        await misfortune(pair.bus)
        await pair.pbx.client().delete("slow")
        if misfortune is nothing:
            assert await asyncio.gather(*asking) == ["outcome_unknown"] * 2, (
                "the new leader says so"
            )
        await end(asking)
        assert await pair.leader(victim) is survivor
        await forgotten(pair.bus)
        assert await asked(view.commander, "1", ONCE) == "outcome_unknown"
        assert (await pair.carried_out()).count("1") == 1
        await until(
            lambda: (
                pair.results(survivor).count("outcome_unknown") >= 2
                and "begun" not in pair.results(survivor)
            )
        )


@pytest.mark.parametrize("misfortune", [emptied, restarted])
async def test_a_redis_that_is_emptied_while_both_are_well_takes_nothing_of_what_is_known(
    pair: Pair, misfortune: Misfortune
) -> None:
    led = await pair.leader()
    changes = KeyAdmin(pair.bus.client(), "pbx")
    async with gateway(pair.bus.client()) as view:
        await made(changes)
        first = await asked(view.commander, "1", ONCE)
        # One that has just started and read nothing is no standby yet.
        await until(lambda: "success" in pair.results(pair.other(led)))
        for _ in range(2):
            before = view.live.position
            await misfortune(pair.bus)
            await until(partial(newer, view, before))
            await holds(pair.bus, changes)
            assert await asked(view.commander, "1", ONCE) == first
        assert (await pair.carried_out()).count("1") == 1


async def test_redis_and_the_leader_lost_at_once_take_no_key_no_revocation_and_no_command_with_them(
    pair: Pair,
) -> None:
    led = await pair.leader()
    survivor = pair.other(led)
    changes = KeyAdmin(pair.bus.client(), "pbx")
    async with gateway(pair.bus.client()) as view:
        await made(changes)
        first = await asked(view.commander, "1", ONCE)
        await until(lambda: pair.holds_the_keys_of(survivor, led))
        await until(lambda: "success" in pair.results(survivor))
        led.kill()
        await led.wait()
        await restarted(pair.bus)
        assert await pair.leader(led) is survivor
        await holds(pair.bus, changes)
        assert await asked(view.commander, "1", ONCE) == first
        assert (await pair.carried_out()).count("1") == 1


async def test_a_monitor_that_never_held_the_keys_does_not_call_an_empty_table_whole(
    pair: Pair,
) -> None:
    led = await pair.leader()
    survivor = pair.other(led)
    changes = KeyAdmin(pair.bus.client(), "pbx")
    await made(changes)
    await until(lambda: pair.holds_the_keys_of(survivor, led))
    for process in (led, survivor):
        process.kill()
        await process.wait()
    db = sqlite3.connect(
        pair.files[survivor.pid]
    )  # as on a host made anew, which saw another one lead and no more
    db.executescript(
        "DELETE FROM keys; DELETE FROM notes; INSERT INTO notes VALUES ('pbx', 'others', 'seen');"
    )
    db.close()
    await restarted(pair.bus)
    newcomer = await pair.start(pair.files[survivor.pid].parent)
    assert await pair.leader() is newcomer
    async with gateway(pair.bus.client()) as view:
        assert (await asked(view.commander, "1")).startswith("success"), "it is at work"
        compared = await hgetalls(pair.bus) + 6

        async def has_compared() -> bool:
            return await hgetalls(pair.bus) > compared

        await until_async(has_compared)
        with pytest.raises(ConfigError, match="No monitor"):
            await changes.all()
    await pair.start(pair.files[led.pid].parent)
    await holds(pair.bus, changes)


async def made(changes: KeyAdmin) -> None:
    """Two keys, of which one is revoked again, in the leader's file."""

    async def make() -> bool:
        try:
            return await changes.make(WALL)
        except BusUnreachable:
            return False

    await until_async(make)
    assert await changes.make(GONE)
    assert await changes.revoke("gone")


async def holds(bus: RealBus, changes: KeyAdmin) -> None:
    """Wait until the table is whole again: the key is in it, and the revoked one is not."""
    await until_async(lambda: exists(bus, AccessKeys("pbx").ready))
    assert await changes.all() == [WALL]


def newer(view: PbxContext, before: Position | None) -> bool:
    """Whether the gateway has come further, as to the new epoch of a Redis that was emptied."""
    return view.live.position is not None and before is not None and view.live.position > before


async def hgetalls(bus: RealBus) -> int:
    """How often a table was read."""
    stats = await bus.client().info("commandstats")
    return int(stats.get("cmdstat_hgetall", {}).get("calls", 0))


async def exists(bus: RealBus, key: str) -> bool:
    return bool(await bus.client().exists(key))


async def test_a_command_that_cannot_be_written_down_is_not_done_and_goes_again_when_there_is_room(
    pair: Pair,
) -> None:
    async with gateway(pair.bus.client()) as view:
        await asked(view.commander, "first")
        led = await pair.leader()
        soft, hard = resource.prlimit(led.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(
            led.pid, resource.RLIMIT_FSIZE, (0, hard)
        )  # no file grows, as on a disk that is full
        for number in range(10):
            assert (
                await asked(view.commander, str(number), ONCE if number == 0 else None)
                == "not_recorded"
            )
        assert await pair.carried_out() == ["first"]
        assert await Lease(pair.bus.client(), SpaceKeys("pbx", "live"), "nobody").holder(), (
            "it follows the PBX still"
        )
        resource.prlimit(led.pid, resource.RLIMIT_FSIZE, (soft, hard))
        assert (await asked(view.commander, "0", ONCE)).startswith("success")
        assert await pair.carried_out() == ["first", "0"]
    assert pair.results(led)[-1] == "success"
