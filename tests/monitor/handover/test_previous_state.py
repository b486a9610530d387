"""Test what a new leader reads of the last leader's knowledge."""

from __future__ import annotations

import pytest

from monitor.handover import previous_state
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus
from tests.monitor.tracking.pbx_facts import NOON, Told

LIVE = SpaceKeys("pbx", "live")


@pytest.mark.parametrize(
    ("after", "found"), [(1.0, True), (-1.0, True), (previous_state.RECENT_S + 1, False)]
)
async def test_extensions_are_as_they_were_if_a_writer_was_there_just_before(
    bus: Bus, after: float, found: bool
) -> None:
    await _write(bus, NOON, heartbeats=0)
    state = await previous_state.read(bus.client(), LIVE, NOON + after)
    assert bool(state["extensions"]) is found
    assert set(state["calls"]) == {"7"}, "calls are known by what they are, however old"


async def test_a_heartbeat_is_a_sign_of_life_though_nothing_changed_and_no_statistics_were_kept(
    bus: Bus,
) -> None:
    await _write(bus, NOON, heartbeats=400)
    state = await previous_state.read(bus.client(), LIVE, NOON + 401)
    assert state["extensions"]
    assert await bus.client().exists(LIVE.statistics) == 0


async def test_a_sign_of_life_that_cannot_be_read_is_none(bus: Bus) -> None:
    await _write(bus, NOON, heartbeats=0)
    await bus.client().hset(LIVE.position, "at", "yesterday")
    state = await previous_state.read(bus.client(), LIVE, NOON)
    assert not state["extensions"]
    assert state["calls"]


async def _write(bus: Bus, at: float, *, heartbeats: int) -> None:
    """As a leader does: its state, a change, and the last of so many heartbeats."""
    pbx = Told()
    pbx.see("100", 1, 7, "Dialing", "101")
    now = [at]
    publisher = StatePublisher(bus.client(), LIVE, "leader", clock=lambda: now[0])
    await bus.client().set(LIVE.lease, "leader")
    await publisher.start_epoch(pbx.tracker.state)
    await publisher.publish((Edit("ivrs", "701", None, topics.Ivr("701", "Night")),))
    now[0] += heartbeats
    if heartbeats:
        await publisher.heartbeat()
    await publisher.aclose()
