"""Test two monitors and two gateways with many PBXs: each process is killed, stopped, started."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from monitor.simulator.server import SimulatedPbx
from tests.bus import RealBus, until
from tests.system.many_sites import (
    PACE,
    WITHIN,
    ManySites,
    Pace,
    Watch,
    all_right,
    light_pbxs,
    many_sites,
    reached,
)


class Story:
    """What happens to the processes, one thing after the other; after each all states are right.

    ``within``: seconds for each.
    """

    def __init__(
        self, place: ManySites, pbxs: list[SimulatedPbx], watches: list[Watch], within: float
    ) -> None:
        self._place, self._pbxs, self._watches = place, pbxs, watches
        self._within = within
        self._began = self._then = time.monotonic()
        self._leaders: dict[str, int] = {}
        """Who led when it was last asked in vain: shown if a test fails."""

    async def right(self, what: str) -> None:
        """All states are right after this."""
        await all_right(self._pbxs, self._watches, self._within)
        now, leaders = time.monotonic(), dict(await self._place.leaders())
        print(f"{now - self._began:7.1f} s, took {now - self._then:5.1f} s: {what}; {leaders}")
        self._then = now

    async def led(self, *names: str) -> None:
        """Wait until these monitors lead all PBXs, and each of them some."""
        async with asyncio.timeout(self._within):
            while (leaders := await self._place.leaders()).keys() != set(names):
                self._leaders = dict(leaders)
                await asyncio.sleep(0.2)

    async def the_first_monitor_and_gateway(self) -> None:
        """They are killed and started."""
        place = self._place
        await self.led("a", "b")
        await self.right("both monitors lead")
        await place.running["a"].kill()
        await self.led("b")
        await self.right("a was killed")
        await place.monitor("a")
        await place.running["left"].kill()
        await place.gateway("left")
        await self.right("a gateway was killed and started")
        await self.led("a", "b")
        await self.right("a was started")

    async def the_second_monitor_and_gateway(self) -> None:
        """They are stopped and started."""
        place = self._place
        led_by = await place.led_by()
        moving = {watch.name: watch for watch in self._watches if led_by[watch.name] == "b"}
        epochs = {name: watch.subscriber.epoch for name, watch in moving.items()}
        assert await place.running["b"].terminate() == 0
        await self.led("a")
        # What a new leader begins with comes after its lease.
        await until(
            lambda: all(watch.subscriber.epoch > epochs[name] for name, watch in moving.items()),
            self._within,
        )
        await self.right("b was stopped")
        await self.a_pbx_dies()
        await place.monitor("b")
        assert await place.running["right"].terminate() == 0
        await place.gateway("right")
        await self.right("a gateway was stopped and started")

    async def the_first_monitor_stands_still(self) -> None:
        """It is stopped past its leases, and goes on."""
        a = self._place.running["a"].process
        await self.led("a", "b")
        a.send_signal(signal.SIGSTOP)
        await self.led("b")
        await self.right("a stands still")
        a.send_signal(signal.SIGCONT)
        await self.led("a", "b")
        await self.right("a goes on")

    async def a_pbx_dies(self) -> None:
        """One PBX hangs; the others' subscribers are told nothing but their changes.

        Only one monitor runs, so that no PBX moves for another reason.
        """
        victim = self._pbxs[0]
        ill = [watch for watch in self._watches if watch.name == "pbx0"]
        others = [watch for watch in self._watches if watch.name != "pbx0"]
        for watch in others:
            watch.begin()
        before = {id(watch): watch.subscriber.updates for watch in others}
        victim.faults.hang()
        victim.faults.drop_sockets()
        await until(lambda: not any(watch.subscriber.connected for watch in ill), self._within)
        await until(
            lambda: all(watch.subscriber.updates > before[id(watch)] for watch in others),
            self._within,
        )
        troubles = [trouble for watch in others for trouble in watch.end()]
        victim.faults.calm()
        assert troubles == []
        await self.right("a PBX died and came back")


@asynccontextmanager
async def play(
    directory: Path,
    bus: RealBus,
    count: int,
    pace: Pace = PACE,
    within: float = WITHIN,
) -> AsyncIterator[Story]:
    """Two monitors, two gateways and this many PBXs, each with a subscriber."""
    async with AsyncExitStack() as stack:
        pbxs = await stack.enter_async_context(light_pbxs(count, pace))
        place = await stack.enter_async_context(many_sites(directory, bus, reached(pbxs), pace))
        for monitor in ("a", "b"):
            await place.monitor(monitor)
        watches: list[Watch] = []
        names = [pbx.name for pbx in place.pbxs]
        for gateway, served in (("left", names[::2]), ("right", [names[0], *names[1::2]])):
            await place.gateway(gateway)
            watches += await stack.enter_async_context(place.subscribers(gateway, served))
        yield Story(place, pbxs, watches, within)
        for process in place.running.values():
            assert await process.terminate() == 0


async def test_each_process_may_be_killed_stopped_and_started_and_no_pbx_minds_another(
    valkey: RealBus, tmp_path: Path
) -> None:
    async with play(tmp_path, valkey, 12) as story:
        await story.the_first_monitor_and_gateway()
        await story.the_second_monitor_and_gateway()


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_the_same_with_200_pbxs_and_a_monitor_that_stands_still(
    valkey: RealBus, tmp_path: Path
) -> None:
    pace = Pace(rate=1.0, poll_idle=10.0, lease=10.0, heartbeat=5.0)
    async with play(tmp_path, valkey, 200, pace, within=600.0) as story:
        await story.the_first_monitor_and_gateway()
        await story.the_second_monitor_and_gateway()
        await story.the_first_monitor_stands_still()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"CPU of monitors and gateways {spent.ru_utime + spent.ru_stime:.0f} s, ", end="")
    print(f"the largest one took {spent.ru_maxrss / 1024:.0f} MiB")
