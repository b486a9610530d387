"""Test commands while their monitors are stopped and killed: real processes, Redis and signals.

Whatever happens, nothing is carried out twice, nothing that was refused is carried out, and a
success was carried out.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.commands.dispatcher import CommandDispatcher
from gateway.errors import BusAway, MonitorBusy, NoMonitor, OutcomeUnknown
from monitor.lease import Lease
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import RealBus, patient, until_async
from tests.test_commands import gateway

AT_ONCE = 12
ROUNDS = 3
Process = asyncio.subprocess.Process


@asynccontextmanager
async def monitors(bus: RealBus, count: int) -> AsyncIterator[list[Process]]:
    """Monitor processes that contest the lease."""
    running: list[Process] = []
    try:
        for _ in range(count):
            running.append(await started(bus))
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def started(bus: RealBus, *arguments: str) -> Process:
    """A monitor process that runs. ``arguments``: further ones of :mod:`tests.monitor.leading`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.monitor.leading",
        bus.url,
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
    )


async def leader(bus: RealBus, running: list[Process], other_than: int | None = None) -> Process:
    """Wait until one of them holds the lease; which. ``other_than``: a process id."""
    lease = Lease(patient(bus), SpaceKeys("pbx", "live"), "nobody")
    found: list[Process] = []

    async def holds() -> bool:
        pid = int(
            (await lease.holder() or "0").partition("/")[0]
        )  # its name begins with its process id
        found.extend(process for process in running if process.pid == pid != other_than)
        return bool(found)

    await until_async(holds)
    return found[0]


async def outcome(commander: CommandDispatcher, num: str) -> str:
    """What the caller is told."""
    try:
        answered = await commander.carry_out("makecall", {"num": num}, "tester", "")
    except (NoMonitor, MonitorBusy, BusAway):
        return "refused"
    except OutcomeUnknown:
        return "unknown"
    failure = answered.outcome.failure
    if failure is None:
        return "success"
    assert failure.kind in ("too late", "unavailable", "unknown")
    return "unknown" if failure.kind == "unknown" else "refused"


async def check(bus: RealBus, told: dict[str, str]) -> None:
    """Compare what was told with what was done."""
    async with patient(bus).pipeline() as pipe:
        pipe.execute_command("LRANGE", "carried out", 0, -1)
        (carried_out,) = await pipe.execute()
    done = Counter(num.decode() for num in carried_out)
    for num, word in told.items():
        assert done[num] <= 1, f"{num}, told {word}, was carried out {done[num]} times"
        assert word != "success" or done[num] == 1, (
            f"{num} was told a success and was not carried out"
        )
        assert word != "refused" or done[num] == 0, f"{num} was told a refusal and was carried out"


async def _stop(victim: Process, bus: RealBus, running: list[Process]) -> None:
    victim.send_signal(signal.SIGSTOP)
    await leader(bus, running, other_than=victim.pid)
    victim.send_signal(signal.SIGCONT)


async def _kill(victim: Process, bus: RealBus, running: list[Process]) -> None:
    victim.kill()
    await victim.wait()
    running.append(await started(bus))


@pytest.mark.parametrize("misfortune", [_stop, _kill], ids=["stopped and woken", "killed"])
async def test_commands_in_hand_are_never_carried_out_twice_nor_told_wrongly(
    valkey: RealBus,
    monkeypatch: pytest.MonkeyPatch,
    misfortune: Callable[[Process, RealBus, list[Process]], Awaitable[None]],
) -> None:
    monkeypatch.setattr("gateway.commands.dispatcher.FINISH_WITHIN_S", 3.0)
    told: dict[str, str] = {}
    async with monitors(valkey, 2) as running:
        await leader(valkey, running)
        async with gateway(valkey.client()) as view:
            for round_ in range(ROUNDS):
                while (await outcome(view.commander, f"{round_} first")) != "success":
                    continue  # so that a success is seen, whatever happens to the others
                nums = [f"{round_}-{number}" for number in range(AT_ONCE)]
                asking = [asyncio.create_task(outcome(view.commander, num)) for num in nums]
                await asyncio.sleep(random.uniform(0.0, 0.05))
                victim = await leader(valkey, running)
                await misfortune(victim, valkey, running)
                told |= dict(zip(nums, await asyncio.gather(*asking), strict=True))
    await check(valkey, told)
