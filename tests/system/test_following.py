"""A callmon that follows a callmon that follows a simulated PBX, over real sockets, while calls come and go.

Both must come to hold the same state, in all that the documented interface can carry. It carries no names of queues,
groups, IVRs and lines, nothing of lines but their numbers, and nothing of agents' skill groups; a call that came and
went between two reads is known only from the list of those that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from gateway.streamclient import Entities
from monitor import run as monitor_run
from monitor.config import MonitorSection, MonitorSettings, PbxSection
from monitor.model.instants import moment
from monitor.simulator.pbx import SimulatedPbx, SimulatorSettings
from tests.bus import Bus, fake_bus
from tests.system.stack import KEY, PBX, Subscriber, gateway, running, subscriber, until, watched

CALLS = 150
TOLERANCE = 2.0
"""Seconds by which what each of them saw by itself may be off."""

NOT_CARRIED: Mapping[str, frozenset[str]] = {
    "calls": frozenset({"queuedAt", "queues", "groups"}),
    "extensions": frozenset({"since", "talks", "monitored"}),
    "queues": frozenset({"name", "agents", "slaTime", "waiting"}),
    "groups": frozenset({"name", "strategy"}),
    "ivrs": frozenset({"name", "kind"}),
    "lines": frozenset({"name", "registered", "capacity", "externalNumber"}),
    "extgroups": frozenset({"num", "isDefault"}),
}


@asynccontextmanager
async def following(address: str, bus: Bus) -> AsyncIterator[Subscriber]:
    """A second callmon that follows the first, and a subscriber of it."""
    section = PbxSection(
        name=PBX, url=address, key=SecretStr(KEY), poll_interval=0.1, poll_idle=0.4, states_interval=0.5
    )
    settings = MonitorSettings(pbx=(section,), monitor=MonitorSection(name="second", lease=2.0))
    async with (
        running(asyncio.create_task(monitor_run.run(settings, bus.client()))),
        gateway(bus.client()) as second,
        subscriber(second) as held,
    ):
        yield held


def differences(first: Entities, second: Entities) -> list[str]:
    """In what the second differs from the first, of all that is carried."""
    return [what for topic in NOT_CARRIED for what in _topic(topic, first.get(topic, {}), second.get(topic, {}))]


def _topic(topic: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for id_ in first.keys() ^ second.keys():
        yield f"{topic} {id_} is only in the {'first' if id_ in first else 'second'}"
    for id_ in first.keys() & second.keys():
        for name in first[id_].keys() - NOT_CARRIED[topic]:
            if _in_order(first[id_][name]) != _in_order(second[id_][name]):
                yield f"{topic} {id_}.{name}: {first[id_][name]} != {second[id_][name]}"
    if topic == "queues":
        for id_ in first.keys() & second.keys():
            yield from _queue(first[id_], second[id_])
    if topic == "extensions":
        for id_ in first.keys() & second.keys():
            one, other = ([{**talk, "since": ""} for talk in side["talks"]] for side in (first[id_], second[id_]))
            if one != other:
                yield f"extension {id_} talks {one} != {other}"


def _queue(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    if {agent["num"] for agent in first["agents"]} != {agent["num"] for agent in second["agents"]}:
        yield f"queue {first['num']}: agents {first['agents']} != {second['agents']}"
    ones = {caller["callID"]: caller for caller in first["waiting"]}
    others = {caller["callID"]: caller for caller in second["waiting"]}
    if ones.keys() != others.keys():
        yield f"queue {first['num']}: waiting {first['waiting']} != {second['waiting']}"
    for id_ in ones.keys() & others.keys():
        off = abs((moment(ones[id_]["since"]) - moment(others[id_]["since"])).total_seconds())
        if {**ones[id_], "since": ""} != {**others[id_], "since": ""} or off > TOLERANCE:
            yield f"queue {first['num']}: {ones[id_]} != {others[id_]}"


def _in_order(value: Any) -> Any:
    """Lists of numbers without their order, which the interface does not tell."""
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


async def test_a_callmon_that_follows_a_callmon_comes_to_the_same_state() -> None:
    simulated = SimulatorSettings(extensions=60, queues=4, contacts=30, rate=1_500, speed=15, calls=CALLS)
    async with (
        SimulatedPbx(simulated) as pbx,
        fake_bus() as one,
        fake_bus() as other,
        watched(pbx, one) as first,
        gateway(one.client()) as address,
        following(address, other) as second,
    ):
        await until(lambda: first.connected and second.connected)
        assert second.state["system"]["pbx"]["source"] == "webapi"
        compared = 0
        while pbx.traffic.stats.over < CALLS:
            await asyncio.sleep(1.0)
            pbx.traffic.pause()
            await pbx.traffic.quiet()
            await same(first, second)
            compared += len(first.state["calls"])
            pbx.traffic.resume()
        await until(lambda: first.state["calls"] == {})
        await same(first, second)
        assert compared > 30, "too few calls were going on to prove anything"
        await until(lambda: first.state["ended"] == second.state["ended"], 10.0)


async def same(first: Subscriber, second: Subscriber) -> None:
    """Wait until both hold the same; say what differs if they do not come to."""
    try:
        await until(lambda: not differences(first.state, second.state), 8.0)
    except TimeoutError:
        assert differences(first.state, second.state) == []
