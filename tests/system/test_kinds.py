"""Test PBXs without Call Control, and with it for half of the phones, over real sockets."""

from __future__ import annotations

import asyncio

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import fake_bus, until
from tests.system.compare import NOT_TOLD_BY_ROWS, ended_differences
from tests.system.slowness import slowness
from tests.system.stack import watched
from tests.system.test_truth import STEP_S, Ended, equal, known

CALLS = 80


def simulated(switches: Switches | None = None) -> SimulatedPbx:
    return SimulatedPbx(
        SimulatorSettings(
            extensions=80,
            queues=4,
            rate=1_500,
            speed=12,
            longest_step=STEP_S,
            calls=CALLS,
            switches=switches or Switches(),
            without=NOT_TOLD_BY_ROWS,
        )
    )


def without_call_control(pbx: SimulatedPbx) -> None:
    """Take the right to Call Control from the API client."""
    client = pbx.directory.entity(pbx.client_id)
    assert client is not None
    pbx.directory.update(client, {"CallControlEnabled": False})


async def test_without_call_control_it_is_told_what_active_calls_names() -> None:
    async with simulated() as pbx, fake_bus() as bus:
        without_call_control(pbx)
        async with watched(pbx, bus) as held, slowness() as slow:
            ended = Ended()
            held.on_update(ended.take)
            await until(lambda: held.connected and held.state["system"]["pbx"]["unmonitored"] == 80)
            system = held.state["system"]["pbx"]
            assert system["source"] == "activecalls"
            assert "Without Call Control" in system["reason"]
            frozen = 0
            while pbx.traffic.stats.over < CALLS:
                await asyncio.sleep(1.0)
                pbx.traffic.pause()
                await pbx.traffic.quiet()
                await equal(pbx, held, known(pbx, slow, 2.5, call_control=False))
                frozen += len(pbx.switchboard.truth())
                pbx.traffic.resume()
            await until(lambda: held.state["calls"] == {})
            assert frozen > 20, "too few calls were going on to prove anything"
            assert (
                ended_differences(pbx, ended.held, known(pbx, slow, 2.5, call_control=False)) == []
            )
