"""Test that a subscriber holds what really happens, over real sockets, at high rate.

The traffic is frozen again and again; then the subscriber must come to hold exactly the simulated
PBX's own truth, and at the end every call that was must have ended as it did. The rules of joining
are tried much further, without sockets, in tests/monitor/tracking/test_tracker_simulator.py; here
it is events, reads, bus, gateway and stream together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.stream_client import Update
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import Bus, fake_bus, real_bus, until
from tests.system.compare import NOT_ALWAYS_TOLD, Known, differences, ended_differences
from tests.system.slowness import Slowness, slowness
from tests.system.stack import Subscriber, watched

CALLS = 110
EARLIER = 8
"""So many are under way when the monitor comes."""

SETTINGS = {
    "defaults": Switches(),
    "50 ms away": Switches(latency=0.05),
    "all the other way round": Switches(
        monitored="all",
        on_behalf_of=True,
        party_did=True,
        sequence="gaps",
        page_size=25,
        callees="joined",
        established="last",
        socket_at_expiry="stay",
        expires_in="minutes",
        duplicates=False,
        event_data=True,
        attended="new",
        latency=0.02,
    ),
    "attended transfer into the second call": Switches(survivor="second"),
    "half monitored": Switches(
        monitored="half", callees="target", sequence="process", latency=0.01
    ),
}


@dataclass(slots=True)
class Ended:
    """Every call that a subscriber was ever told to have ended."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, update: Update) -> None:
        """Gather from a snapshot or a change."""
        self.held |= (update.state if update.kind == "snapshot" else update.upsert).get("ended", {})


STEP_S = 0.01
"""Seconds of the wall clock that the traffic catches up at once.

However busy the machine is, every state of a call then lasts for many turns of the event loop: time
enough for its events, the reads after them and the reads of ActiveCalls."""


LONG = {"50 ms away", "half monitored"}
"""Settings that are left to the long tests."""


@pytest.mark.parametrize(
    "setting",
    [pytest.param(name, marks=[pytest.mark.soak] * (name in LONG)) for name in SETTINGS],
)
async def test_a_subscriber_holds_the_truth(setting: str) -> None:
    switches = SETTINGS[setting]
    # A read a quarter of a second must fall into each two seconds, on a busy machine too.
    speed, calls = (2, CALLS // 3) if switches.survivor == "second" else (20, CALLS)
    async with fake_bus() if setting == "defaults" else real_bus() as bus:
        await _follow(switches, bus, speed, calls)


async def _follow(switches: Switches, bus: Bus, speed: int, calls: int) -> None:
    """Follow so many calls of a PBX whose time passes ``speed`` times as fast."""
    settings = SimulatorSettings(
        extensions=120,
        queues=4,
        rate=120 * speed,
        speed=speed,
        longest_step=STEP_S,
        calls=calls,
        switches=switches,
        without=NOT_ALWAYS_TOLD if switches.monitored == "half" else frozenset(),
        odd_names=True,
    )
    async with SimulatedPbx(settings) as pbx:
        await until(lambda: len(pbx.switchboard.truth()) >= EARLIER)
        pbx.traffic.pause()  # else it depends on the machine how much is over before the first look
        await pbx.traffic.quiet()
        async with watched(pbx, bus) as held, slowness() as slow:
            await _follow_calls(pbx, held, slow, calls)


async def _follow_calls(pbx: SimulatedPbx, held: Subscriber, slow: Slowness, calls: int) -> None:
    ended = Ended()
    held.on_update(ended.take)
    await until(lambda: held.connected)
    earlier = {call.call_id for call in pbx.switchboard.truth()}  # their beginnings nobody saw
    pbx.traffic.resume()
    frozen = 0
    while pbx.traffic.stats.over < calls:
        await asyncio.sleep(1.5)
        pbx.traffic.pause()
        await pbx.traffic.quiet()
        await equal(pbx, held, known(pbx, slow), earlier)
        frozen += len(pbx.switchboard.truth())
        pbx.traffic.resume()
    await equal(pbx, held, known(pbx, slow), earlier)
    await until(lambda: held.state["calls"] == {})
    assert frozen > 30, "too few calls were going on to prove anything"
    assert ended_differences(pbx, ended.held, known(pbx, slow), but=earlier) == []
    assert len(ended.held) >= calls * 0.85


def known(
    pbx: SimulatedPbx, slow: Slowness, tolerance: float = 1.5, *, call_control: bool = True
) -> Known:
    """The PBX tells the time in whole seconds.

    How well they are placed depends on how soon answers come.
    """
    late = 2 * pbx.switches.latency + slow.worst
    return Known.of(pbx, tolerance + late, 0.5 + late, call_control=call_control)


async def equal(
    pbx: SimulatedPbx,
    held: Subscriber,
    known: Known,
    unseen: Container[int] = (),
    within: float = 60.0,
) -> None:
    """Wait until the subscriber holds the truth; say what differs if it does not come to."""
    try:
        await until(lambda: not differences(pbx, held.state, known, unseen), within)
    except TimeoutError:
        assert differences(pbx, held.state, known, unseen) == []
