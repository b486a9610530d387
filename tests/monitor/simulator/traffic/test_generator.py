"""Test that the traffic is reproducible, varied and robust, and leaves no trace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import KINDS, Kind
from monitor.simulator.calls.ground_truth import TruthEnded
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from tests.monitor.simulator.exchange_bench import NOON, Client

_DIRECTORY_SEED = 5


@dataclass
class Day:
    """Traffic in a time of its own, the switchboard's clock with it."""

    directory: Directory
    switchboard: Switchboard
    traffic: TrafficGenerator
    client: Client

    def only(self) -> SimulatedCall:
        (call,) = self.switchboard.calls.values()
        return call


def day(
    rate: float = 60.0,
    *,
    seed: int = 1,
    limit: int | None = None,
    kinds: tuple[Kind, ...] = KINDS,
    extensions: int = 60,
    speed: float = 1.0,
    without: tuple[str, ...] = (),
    switches: Switches | None = None,
) -> Day:
    directory = make_directory(_DIRECTORY_SEED, extensions, 3, contacts=20)
    holder: list[TrafficGenerator] = []
    switchboard = Switchboard(
        directory, switches or Switches(), lambda: NOON + (holder[0].now if holder else 0.0)
    )
    client = Client(switchboard)
    traffic = TrafficGenerator(
        *(switchboard, directory, seed, rate, speed),
        limit=limit,
        mix=dict.fromkeys(kinds, 1.0),
        without=without,
    )
    holder.append(traffic)
    return Day(directory, switchboard, traffic, client)


def run_to_the_end(today: Day) -> list[TruthEnded]:
    today.traffic.advance(6000.0)
    assert today.switchboard.calls == {}
    return today.switchboard.ended()


def test_the_same_seed_and_directory_give_the_same_calls_whatever_the_steps_of_time() -> None:
    first, second, other = day(limit=200), day(limit=200), day(limit=200, seed=2)
    first.traffic.advance(6000.0)
    for _ in range(6000):
        second.traffic.advance(1.0)
    other.traffic.advance(6000.0)
    assert len(first.switchboard.ended()) >= 200
    assert first.switchboard.ended() == second.switchboard.ended()
    assert first.switchboard.ended() != other.switchboard.ended()


def test_calls_made_by_a_program_are_rung_answered_and_ended() -> None:
    today = day(0.0)
    today.traffic.advance(1.0)
    usable = [n for n in today.directory.extensions() if len(today.directory.devices(n)) == 2]
    outcome = today.switchboard.makecall(usable[0], None, "+15155550123", None, {})
    assert outcome.finalstatus == "Success"
    call = today.only()
    words: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(400):
        today.traffic.advance(0.5)
        truth = next(
            (truth for truth in today.switchboard.truth() if truth.call_id == call.id), None
        )
        if truth is None:
            break
        word = (truth.state, tuple(leg.status for leg in truth.legs))
        if not words or words[-1] != word:
            words.append(word)
    assert words[0] == ("Routing", ("Ringing",))
    assert call.over
    assert today.traffic.stats.ordered == 1


def test_without_traffic_an_ordered_call_stays_as_it_is() -> None:
    directory = make_directory(_DIRECTORY_SEED, 20, 2, contacts=0)
    switchboard = Switchboard(directory, Switches(), lambda: NOON)
    number = next(n for n in directory.extensions() if directory.devices(n))
    switchboard.makecall(number, directory.devices(number)[0].device_id, "+15155550123", None, {})
    assert [truth.state for truth in switchboard.truth()] == ["Routing"]


def test_a_rate_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        day(-1.0)


async def test_running_pausing_and_stopping() -> None:
    today = day(6000.0, speed=100.0, limit=100)
    enough = asyncio.Event()
    today.switchboard.listen(lambda _: enough.set() if today.traffic.stats.started > 20 else None)
    running = asyncio.create_task(today.traffic.run())
    async with asyncio.timeout(120):
        await enough.wait()
        today.traffic.pause()
        await today.traffic.quiet()
        frozen = (today.traffic.now, today.switchboard.truth())
        for _ in range(100):
            await asyncio.sleep(0)
        assert (today.traffic.now, today.switchboard.truth()) == frozen
        today.traffic.resume()
        await today.traffic.finished()
        assert (today.traffic.stats.started, today.traffic.stats.over, today.switchboard.calls) == (
            100,
            100,
            {},
        )
        today.traffic.stop()
        await running


async def test_a_paused_traffic_can_be_stopped() -> None:
    today = day(600.0)
    running = asyncio.create_task(today.traffic.run())
    today.traffic.pause()
    async with asyncio.timeout(60):
        await today.traffic.quiet()
        today.traffic.stop()
        await running
