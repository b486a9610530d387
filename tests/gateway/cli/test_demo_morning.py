"""The hours before a demo: played through the monitor's own code, and taken over as usual."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, TypeVar

import fakeredis
import pytest
from msgspec import to_builtins
from pydantic import SecretStr

from gateway.cli.demo import company
from gateway.cli.demo_morning import leave_morning, place
from gateway.cli.wall_words import doing
from monitor import run as monitor_run
from monitor.config import FiguresSection, MonitorSettings, PbxSection
from monitor.shared.codec import decode_entity
from monitor.shared.entities.calls import Call, EndedCall
from monitor.shared.entities.directory import Extension, Queue
from monitor.shared.entities.statistics import QueueStats
from monitor.shared.entities.topics import System
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.time_zones import zone_info
from monitor.simulator.calls.ground_truth import TruthEnded
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from monitor.statistics.checkpoint_format import decode
from tests.bus import until
from tests.system.stack import PBX, gateway, running, subscriber

KEYS = SpaceKeys(PBX, "live")
_Kind = TypeVar("_Kind")


def simulated() -> SimulatedPbx:
    return SimulatedPbx(SimulatorSettings(extensions=30, queues=2, contacts=5, rate=30))


def section(pbx: SimulatedPbx) -> PbxSection:
    return PbxSection(
        name=PBX,
        url=pbx.url,
        client_id=pbx.client_id,
        client_secret=SecretStr(pbx.client_secret),
        figures=FiguresSection(time_zone=place(time.time())),
    )


async def test_state_and_figures_are_those_of_the_calls_that_were() -> None:
    redis = fakeredis.FakeAsyncRedis()
    began = time.time()
    async with simulated() as pbx:
        pbx.traffic.pause()
        await leave_morning(pbx, section(pbx), redis, 0.2)
        going_on = {truth.call_id: truth for truth in pbx.switchboard.truth()}
        ended = pbx.switchboard.ended()
        assert 250 < len(ended) + len(going_on) < 450
        assert len(going_on) > 3
        starts = [end.started_at for end in ended]
        assert began - 800 < min(starts) < began - 600 < began - 60 < max(starts) < time.time() + 1
        stored: Any = await redis.hgetall(KEYS.state("calls"))
        calls = {int(id_): decode_entity("calls", data) for id_, data in stored.items()}
        assert calls.keys() == going_on.keys()
        for id_, call in calls.items():
            assert isinstance(call, Call)
            assert call.state == going_on[id_].state
        kept: Any = await redis.get(KEYS.statistics)
        saved = decode(kept)
        counted = sum(one.calls for one in saved.tallies.traffic.values())
        assert _seen(ended) <= counted + len(saved.held.closed) <= len(ended)
        assert len(saved.held.open) == len(going_on)
        assert await redis.get(KEYS.lease) is None


async def test_a_monitor_takes_over_calls_and_figures() -> None:
    server = fakeredis.FakeServer()
    redis = fakeredis.FakeAsyncRedis(server=server)
    async with simulated() as pbx:
        pbx.traffic.pause()
        await leave_morning(pbx, section(pbx), redis, 0.1)
        truth = {str(call.call_id): call for call in pbx.switchboard.truth()}
        ended = pbx.switchboard.ended()
        least, most = _seen(ended) + len(truth), len(ended) + len(truth)
        watching = asyncio.create_task(
            monitor_run.run(MonitorSettings(pbx=(section(pbx),)), lambda _: redis)
        )
        bus = fakeredis.FakeAsyncRedis(server=server)
        async with running(watching), gateway(bus) as address, subscriber(address) as held:
            await until(lambda: held.connected and "calls" in _stats(held.state))
            assert least <= _stats(held.state)["calls"] <= most
            assert held.state["calls"].keys() == truth.keys()
            for id_, call in held.state["calls"].items():
                started = datetime.fromisoformat(call["startedAt"]).timestamp()
                assert abs(started - truth[id_].started_at) < 2.0
            assert _stats(held.state)["answered"] > most / 3


def _seen(ended: list[TruthEnded]) -> int:
    """How many lasted long enough to be seen between two reads."""
    return sum(end.ended_at - end.started_at > 1.5 for end in ended)


def _stats(state: Any) -> dict[str, Any]:
    found: dict[str, Any] = state.get("pbxstats", {}).get("pbx", {})
    return found


@pytest.mark.parametrize("hour", range(24))
def test_the_company_is_where_it_is_the_middle_of_the_day(hour: int) -> None:
    for month in (1, 7):
        now = datetime(2026, month, 4, hour, 30, tzinfo=UTC).timestamp()
        assert 11 <= datetime.fromtimestamp(now, zone_info(place(now))).hour < 18


@pytest.mark.parametrize("hours", [0.4, pytest.param(1.4, marks=pytest.mark.soak)])
async def test_the_wall_of_a_demo_is_that_of_a_busy_hour(hours: float) -> None:
    """At its start and, as the calls are the same, an hour later."""
    redis = fakeredis.FakeAsyncRedis()
    zone = place(time.time())
    async with SimulatedPbx(company(40, 4, None, 42, zone)) as pbx:
        pbx.traffic.pause()
        await leave_morning(pbx, section(pbx), redis, hours)
    (system,) = await _stored(redis, "system", System)
    assert system.time_zone == zone
    calls = await _stored(redis, "calls", Call)
    assert 6 < len(calls) < 40
    assert any(call.state == "Talking" for call in calls)
    queues = await _stored(redis, "queues", Queue)
    assert sum(len(queue.waiting) for queue in queues) < 8
    days = await _stored(redis, "queuestats", QueueStats)
    counted = sum(day.offered - day.short_abandoned for day in days)
    level = 100 * sum(day.answered_in_target for day in days) / counted
    assert 75 <= level <= 97
    assert counted > 150 * hours
    ended = await _stored(redis, "ended", EndedCall)
    missed = [call for call in ended if call.outcome in ("missed", "abandoned")]
    assert 0.02 < len(missed) / len(ended) < 0.2
    agents = {agent.num for queue in queues for agent in queue.agents}
    people = [one for one in await _stored(redis, "extensions", Extension) if one.num in agents]
    does = [doing(to_builtins(one)) for one in people]
    assert {"free", "talking", "away", "out"} <= set(does)
    assert does.count("free") > 2
    assert any(one.presence_since for one in people), "somebody had a break, and it is known when"


async def _stored(redis: Any, topic: str, kind: type[_Kind]) -> list[_Kind]:
    """The entities of a topic on Redis."""
    found: dict[bytes, bytes] = await redis.hgetall(KEYS.state(topic))
    made = [decode_entity(topic, data) for data in found.values()]
    return [entity for entity in made if isinstance(entity, kind)]
