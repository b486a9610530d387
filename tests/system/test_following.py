"""Follow a callmon that follows a callmon that follows a simulated PBX, over real sockets.

Both must come to hold the same state, in all that the documented interface can carry. It carries no
names of queues, groups, IVRs and lines, nothing of lines but their numbers, and nothing of agents'
skill groups; a call that came and went between two reads is known only from the list of those that
ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from gateway.stream_client import Entities
from monitor import run as monitor_run
from monitor.config import MonitorSection, MonitorSettings, PbxSection
from monitor.shared.timestamps import moment
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import Bus, fake_bus, only, until, until_async
from tests.system.stack import (
    KEY,
    PBX,
    Subscriber,
    gateway,
    monitoring,
    running,
    subscriber,
    watched,
)

CALLS = 70
SCOPES = frozenset({"read", "contacts", "control", "admin", "sql"})
TOLERANCE = 2.0
"""Seconds by which what each of them saw by itself may be off."""

NOT_CARRIED: Mapping[str, frozenset[str]] = {
    "calls": frozenset({"queuedAt", "queues", "groups"}),
    "extensions": frozenset({"since", "talks", "monitored", "inRingGroups"}),
    "queues": frozenset({"name", "agents", "slaTime", "waiting"}),
    "groups": frozenset({"name", "strategy"}),
    "ivrs": frozenset({"name", "kind"}),
    "lines": frozenset({"name", "registered", "capacity", "externalNumber"}),
    "extgroups": frozenset({"num", "isDefault"}),
}


@asynccontextmanager
async def following(address: str, bus: Bus) -> AsyncIterator[None]:
    """The monitor of a second callmon, which follows the first."""
    section = PbxSection(
        name=PBX,
        url=address,
        key=SecretStr(KEY),
        poll_interval=0.1,
        poll_idle=0.4,
        states_interval=0.5,
        directory_interval=5.0,
    )
    settings = MonitorSettings(
        pbx=(section,), monitor=MonitorSection(name="second", lease_duration=2.0)
    )
    async with running(asyncio.create_task(monitor_run.run(settings, only(bus.client())))):
        yield


def differences(first: Entities, second: Entities) -> list[str]:
    """In what the second differs from the first, of all that is carried."""
    return [
        what
        for topic in NOT_CARRIED
        for what in _topic(topic, first.get(topic, {}), second.get(topic, {}))
    ]


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
            one, other = (
                [{**talk, "since": ""} for talk in side["talks"]]
                for side in (first[id_], second[id_])
            )
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
    return (
        sorted(value)
        if isinstance(value, list) and all(isinstance(item, str) for item in value)
        else value
    )


async def test_a_callmon_that_follows_a_callmon_comes_to_the_same_state() -> None:
    simulated = SimulatorSettings(
        extensions=60, queues=4, contacts=30, rate=1_500, speed=15, calls=CALLS
    )
    async with (
        SimulatedPbx(simulated) as pbx,
        fake_bus() as one,
        fake_bus() as other,
        watched(pbx, one) as first,
        gateway(one.client()) as address,
    ):
        pbx.traffic.pause()
        # The first must know its PBX before it is asked: zone and presence are told as it has them
        # then.
        await until(lambda: zone_of(first) == "Europe/Berlin")
        async with (
            following(address, other),
            gateway(other.client()) as second_address,
            subscriber(second_address) as second,
        ):
            await until(lambda: first.connected and second.connected)
            assert second.state["system"]["pbx"]["source"] == "webapi"
            await until(lambda: zone_of(second) == zone_of(first))
            pbx.traffic.resume()
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
            await until(lambda: first.state["ended"] == second.state["ended"])


async def test_a_command_to_the_second_is_carried_out_at_the_pbx_and_read_at_once() -> None:
    simulated = SimulatorSettings(extensions=12, queues=2, contacts=5, traffic=False)
    async with (
        SimulatedPbx(simulated) as pbx,
        fake_bus() as one,
        fake_bus() as other,
        monitoring(pbx, one.client()),
        gateway(one.client(), scopes=SCOPES) as first,
        following(first, other),
        gateway(other.client(), scopes=SCOPES) as second,
        httpx.AsyncClient(base_url=f"{second}/webapi/{KEY}", timeout=60.0) as http,
    ):
        await until_async(lambda: _serves(http))
        state = (await http.get("/all.ext.get")).json()
        number = state["nums"][0]
        done = await http.post("/ext.fwd.set", data={"num": number, "status": "Away"})
        assert (done.status_code, done.json()) == (200, {"result": True})
        assert (await http.get("/ext.state.get", params={"num": number})).json()[
            "fwdName"
        ] == "Away"
        user = pbx.directory.entity(number)
        assert user is not None
        assert user["CurrentProfileName"] == "Away"
        made = (
            await http.post("/contact.new", data={"firstname": "Pat", "phone": "+7 999"})
        ).json()
        assert (await http.get("/contact.get", params={"id": made["id"]})).json()[
            "firstname"
        ] == "Pat"
        refused = await http.post("/ext.fwd.set", data={"num": number, "status": "Nowhere"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_status")
        sql = await http.post("/query", json={"query": "select 1"})
        assert sql.json()["error"]["code"] == "sql_not_configured", "as the first one says"


async def test_who_follows_a_callmon_that_has_lost_its_pbx_says_so_too() -> None:
    async with (
        SimulatedPbx(SimulatorSettings(extensions=12, queues=2, contacts=5, traffic=False)) as pbx,
        fake_bus() as one,
        fake_bus() as other,
        monitoring(pbx, one.client()),
        gateway(one.client()) as first,
        following(first, other),
        gateway(other.client()) as second_address,
        subscriber(second_address) as second,
    ):
        await until(lambda: second.connected)
        await pbx.faults.refuse()

        def lost() -> bool:
            system = second.state["system"]["pbx"]
            return system["connection"] == "lost" and "nothing of its PBX" in system["reason"]

        await until(lost)
        await pbx.faults.accept()
        await until(lambda: second.connected)


async def _serves(http: httpx.AsyncClient) -> bool:
    """Whether there are extensions and contacts."""
    extensions = await http.get("/all.ext.get")
    contacts = await http.get("/contact.find", params={"num": "1", "min_len": "0"})
    return extensions.status_code == contacts.status_code == 200 and bool(extensions.json()["nums"])


def zone_of(held: Subscriber) -> str | None:
    """Time zone by which its statistics of the day are counted."""
    zone: str | None = held.state.get("pbxstats", {}).get("pbx", {}).get("zone")
    return zone


async def same(first: Subscriber, second: Subscriber) -> None:
    """Wait until both hold the same; say what differs if they do not come to."""
    try:
        await until(lambda: not differences(first.state, second.state))
    except TimeoutError:
        assert differences(first.state, second.state) == []
