"""Test that every subscriber holds the truth within seconds after any part is killed.

Monitor and gateway are processes, Redis is a real server, the kill is a kill. Nothing but the
victim is started again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.stream_client import Update
from monitor.simulator.server import SimulatedPbx
from tests.bus import RealBus, free_port, until
from tests.system.compare import Known, differences, knowable
from tests.system.processes import Site, watching
from tests.system.stack import KEY, Subscriber, subscriber

WITHIN = 60.0
"""Seconds in which everything must be right again: generous, as the machines are shared.

It takes a few.
"""


async def test_a_monitor_killed_and_started_again(pbx: SimulatedPbx, place: Site) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        epoch = held.epoch
        await place.running[0].kill()
        await until(lambda: held.stale, WITHIN)
        await place.start("monitor")
        await until(lambda: held.epoch > epoch and not held.stale, WITHIN)
        await right(pbx, held)


async def test_a_standby_takes_over_from_a_killed_monitor(pbx: SimulatedPbx, place: Site) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        epoch = held.epoch
        await place.start("monitor")
        await place.running[0].kill()
        await until(lambda: held.epoch > epoch, WITHIN)
        await right(pbx, held)


async def test_a_monitor_that_is_told_to_end_gives_its_lease_to_the_standby(
    pbx: SimulatedPbx, place: Site
) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        epoch = held.epoch
        await place.start("monitor")
        assert await place.running[0].terminate() == 0
        await until(lambda: held.epoch > epoch, WITHIN)
        await right(pbx, held)


@asynccontextmanager
async def a_few_calls(pbx: SimulatedPbx) -> AsyncIterator[None]:
    """Let a few calls begin, and no more while the context is entered.

    Whoever was away for long gets a snapshot, as the change would be too large for a frame.
    """
    begun = pbx.traffic.stats.started
    await until(lambda: pbx.traffic.stats.started >= begun + 5, WITHIN)
    pbx.traffic.pause()
    try:
        yield
    finally:
        pbx.traffic.resume()


async def test_a_gateway_killed_and_started_again_while_another_serves_on(
    pbx: SimulatedPbx, steady: Site
) -> None:
    async with watching(steady) as held, second_gateway(steady) as other:
        await right(pbx, held)
        await right(pbx, other)
        kinds: list[str] = []
        other.on_update(lambda update: kinds.append(update.kind))
        await steady.running[1].kill()
        snapshots = Snapshots(held)
        async with a_few_calls(pbx):
            await steady.start("gateway", "--port", str(steady.port))
            await until(lambda: held.client.resumed > 0, WITHIN)
        await right(pbx, held)
        assert snapshots.count == 0, "the log reaches back to where it was"
        await right(pbx, other)
        assert "change" in kinds
        assert "snapshot" not in kinds, (
            "the other gateway's subscriber must not have noticed anything"
        )


async def test_a_gateway_that_is_told_to_end_sends_its_subscribers_away_and_ends(
    pbx: SimulatedPbx, steady: Site
) -> None:
    async with watching(steady) as held:
        await right(pbx, held)
        line = await raw_subscriber(steady)
        assert await steady.running[1].terminate() == 0
        await line.wait_closed()
        assert (line.close_code, line.close_reason) == (4200, '{"retry_in":[1,10]}')
        snapshots = Snapshots(held)
        async with a_few_calls(pbx):
            await steady.start("gateway", "--port", str(steady.port))
            await until(lambda: held.client.resumed > 0, WITHIN)
        await right(pbx, held)
        assert snapshots.count == 0, "the log reaches back to where it was"


@pytest.mark.parametrize("kept", [True, False], ids=["with its data", "emptied"])
async def test_redis_killed_and_started_again(
    pbx: SimulatedPbx, valkey: RealBus, place: Site, kept: bool
) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        if kept:
            await valkey.save()
        valkey.kill()
        await until(lambda: held.stale, WITHIN)
        async with httpx.AsyncClient(base_url=place.address, timeout=60) as http:
            answer = await http.get(f"/webapi/{KEY}/pbx.calls.get")
            assert answer.status_code == 200, "the last state is served on"
            assert "Callmon-Stale-Since" in answer.headers, "and called stale"
        await valkey.start()
        await until(lambda: not held.stale, WITHIN)
        await right(pbx, held)


async def test_the_pbx_restarted_with_other_calls(pbx: SimulatedPbx, place: Site) -> None:
    async with watching(place) as held:
        await right(pbx, held)
        before = set(held.state["calls"])
        connections: list[str] = []
        held.on_update(lambda _: connections.append(held.state["system"]["pbx"]["connection"]))
        await pbx.restart(down=2.0)
        await until(lambda: "lost" in connections and connections[-1] == "connected", WITHIN)
        await right(pbx, held)
        assert before, "there were calls, and they are gone: ids begin anew"


class Snapshots:
    """Counts the snapshots that a subscriber is sent from now on."""

    def __init__(self, held: Subscriber) -> None:
        self.count = 0
        held.on_update(self._take)

    def _take(self, update: Update) -> None:
        self.count += update.kind == "snapshot"


async def right(pbx: SimulatedPbx, held: Subscriber) -> None:
    """Freeze the traffic and wait until the subscriber holds the truth; then let it go on."""
    await until(lambda: held.connected and len(pbx.switchboard.truth()) > 3, WITHIN)
    known = Known.of(
        pbx, tolerance=60.0
    )  # a monitor that was away for a while cannot know each moment
    traffic = pbx.traffic
    traffic.pause()
    await traffic.quiet()
    try:
        await until(lambda: not _wrong(pbx, held, known), WITHIN)
    except TimeoutError:
        raise AssertionError("\n".join(_wrong(pbx, held, known))) from None
    finally:
        traffic.resume()


def _wrong(pbx: SimulatedPbx, held: Subscriber, known: Known) -> list[str]:
    """Differences but for what only somebody who watched a call from its beginning can know."""
    return knowable(differences(pbx, held.state, known))


async def raw_subscriber(place: Site) -> ClientConnection:
    """A line to the site's gateway that has subscribed; it takes all that comes, however much."""
    address = place.address.replace("http", "ws", 1)
    return await connect(f"{address}/webapi/{KEY}/stream?topics=calls", max_queue=None)


@asynccontextmanager
async def second_gateway(place: Site) -> AsyncIterator[Subscriber]:
    """Another gateway of the same site, with a subscriber."""
    port = free_port()
    await place.start("gateway", "--port", str(port))
    async with subscriber(f"http://127.0.0.1:{port}") as held:
        yield held
