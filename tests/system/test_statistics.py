"""Test the day's statistics over real sockets: subscribers and queries are told what happened."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.calls.ground_truth import TruthEnded
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, patient, until, until_async
from tests.system.compare import arrived
from tests.system.processes import Site, site, watching
from tests.system.stack import KEY, PBX, Subscriber

WITHIN = 60.0
CALLS = 24
ARRIVES = 1.5
"""Seconds within which what an answer told was surely counted, however busy the machine is."""


async def test_the_statistics_are_what_happened_also_if_a_monitor_is_killed_and_another_takes_over(
    valkey: RealBus, tmp_path: Path
) -> None:
    """Stop the traffic while nobody leads: then there is nothing that nobody could count."""
    settings = SimulatorSettings(extensions=40, queues=3, rate=600, speed=8, calls=CALLS)
    async with SimulatedPbx(settings) as pbx:
        pbx.traffic.pause()
        async with site(pbx, valkey, tmp_path) as place, watching(place) as held:
            await until(lambda: statistics(held) is not None, WITHIN)
            await play(pbx, CALLS // 2)
            await until(lambda: counted(held) in begun(pbx), WITHIN)
            await kept(valkey)
            await place.running[0].kill()
            await place.start("monitor")
            epoch = held.epoch
            await until(lambda: held.epoch > epoch and counted(held) in begun(pbx), WITHIN)
            await play(pbx, CALLS)
            pbx.traffic.resume()
            await pbx.traffic.finished()
            try:
                await until(lambda: counted(held) in begun(pbx) and outcomes_fit(held, pbx), WITHIN)
            except TimeoutError:
                raise AssertionError(
                    (statistics(held), begun(pbx), pbx.switchboard.ended())
                ) from None
            await answers_agree(place, held)


def statistics(held: Subscriber) -> dict[str, Any] | None:
    return held.state.get("pbxstats", {}).get("pbx")


def counted(held: Subscriber) -> int:
    found = statistics(held)
    return -1 if found is None else found["calls"]


def begun(pbx: SimulatedPbx) -> range:
    """How many calls there were.

    Those that were over before any answer could tell of them may be left out.
    """
    going_on, over = len(pbx.switchboard.truth()), pbx.switchboard.ended()
    return range(going_on + sum(map(told, over)), going_on + len(over) + 1)


def told(call: TruthEnded) -> bool:
    """Whether an answer that told of it was there in good time."""
    return arrived(call.shown_at, call.ended_at, ARRIVES)


def told_its_end(call: TruthEnded) -> bool:
    """Whether answers told in good time how it went on: else its outcome may be any."""
    last = (call.answer_shown_at, call.last_shown_at)
    return told(call) and any(arrived(at, call.ended_at, ARRIVES) for at in last)


async def play(pbx: SimulatedPbx, calls: int) -> None:
    """Until so many calls have begun; then everything stands still."""
    pbx.traffic.resume()
    await until(lambda: pbx.traffic.stats.started >= calls, WITHIN)
    pbx.traffic.pause()
    await pbx.traffic.quiet()


async def kept(valkey: RealBus) -> None:
    """Wait until what is counted has been kept once more for the next monitor."""
    redis, key = patient(valkey), SpaceKeys(PBX, "live").statistics
    before = await redis.get(key)
    await until_async(lambda: _differs(redis, key, before), WITHIN)


async def _differs(redis: Redis, key: str, before: object) -> bool:
    return await redis.get(key) not in (None, before)


def outcomes_fit(held: Subscriber, pbx: SimulatedPbx) -> bool:
    """Whether the calls are counted by how they really ended."""
    found = statistics(held)
    assert found is not None
    over = pbx.switchboard.ended()
    for word in ("answered", "missed", "abandoned", "unanswered"):
        mine = sum(found[kind][word] for kind in ("inbound", "outbound", "internal"))
        true = [call.outcome == word for call in over if told_its_end(call)]
        if not sum(true) <= mine <= sum(true) + len(over) - len(true):
            return False
    return True


async def answers_agree(place: Site, held: Subscriber) -> None:
    """The queries say what the stream says."""
    async with httpx.AsyncClient(base_url=f"{place.address}/webapi/{KEY}", timeout=60) as http:

        async def differing() -> list[str]:
            entities: list[tuple[str, dict[str, str], Any]] = [
                ("pbx.stats.get", {}, held.state["pbxstats"]["pbx"])
            ]
            entities += [
                ("queue.stats.get", {"num": num}, told)
                for num, told in held.state["queuestats"].items()
            ]
            entities += [
                ("ext.stats.get", {"num": num}, told)
                for num, told in held.state["extstats"].items()
            ]
            return [
                f"{query} {which}"
                for query, which, told in entities
                if (await http.get(f"/{query}", params=which)).json() != told
            ]

        try:  # a figure may be told a moment before or after it is asked for
            await until_async(lambda: _none(differing()), WITHIN)
        except TimeoutError:
            assert await differing() == []


async def _none(found: Awaitable[list[str]]) -> bool:
    return not await found
