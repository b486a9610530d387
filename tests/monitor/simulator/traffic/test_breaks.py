"""Agents of a call centre who take breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import MIX, Kind
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.call_centre import staff
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator


@dataclass
class Watched:
    """A call centre, and what its agents were seen to do."""

    directory: Directory
    traffic: TrafficGenerator
    changed: list[tuple[float, str]]


def centre(rate: float, mix: Mapping[Kind, float] = MIX) -> Watched:
    directory = make_directory(42, 40, 3, contacts=5)
    staff(directory, 42)
    holder: list[TrafficGenerator] = []
    switchboard = Switchboard(directory, Switches(), lambda: holder[0].now if holder else 0.0)
    traffic = TrafficGenerator(switchboard, directory, 1, rate, mix=mix, call_centre=True)
    holder.append(traffic)
    watched = Watched(directory, traffic, [])
    directory.on_change(lambda number: watched.changed.append((traffic.now, number)))
    return watched


def away(directory: Directory) -> set[str]:
    users = directory.users.values()
    return {user["Number"] for user in users if user["CurrentProfileName"] != "Available"}


def out(directory: Directory) -> set[str]:
    return {
        user["Number"] for user in directory.users.values() if user["QueueStatus"] != "LoggedIn"
    }


def test_agents_go_and_come_back_a_few_at_a_time() -> None:
    watched = centre(0.0)
    directory, traffic = watched.directory, watched.traffic
    agents = {agent for queue in directory.queue_numbers() for agent in directory.agents(queue)}
    all_day = away(directory), out(directory)
    assert all_day[0] <= all_day[1], "an absence logs out of the queues"
    seen: tuple[set[str], set[str]] = set(), set()
    for _ in range(480):
        traffic.advance(60.0)
        assert len(away(directory)) <= max(len(agents) // 6, len(all_day[0]))
        seen[0].update(away(directory) - all_day[0])
        seen[1].update(out(directory) - all_day[1] - away(directory))
    assert len(seen[0]) > len(agents) / 2
    assert len(seen[1]) > 3
    assert seen[0] | seen[1] <= agents
    assert all_day[0] <= away(directory)
    assert all_day[1] <= out(directory)
    counts = [sum(number == one for _, number in watched.changed) for one in seen[0]]
    assert sum(counts) > 2 * len(counts), "they come back and go again"


def test_no_queue_rings_a_phone_whose_owner_is_away() -> None:
    watched = centre(20.0, {"queue": 1.0})
    directory, traffic = watched.directory, watched.traffic
    rested: set[str] = set()
    for _ in range(1800):
        traffic.advance(2.0)
        resting = away(directory)
        assert not {n for n in resting if traffic._switchboard.busy(n)}
        rested |= resting
    assert len(rested) > 5
    assert traffic.stats.started > 1000


def test_the_same_seed_gives_the_same_breaks() -> None:
    one, other = centre(20.0), centre(20.0)
    one.traffic.advance(3600.0)
    for _ in range(3600):
        other.traffic.advance(1.0)
    assert one.changed
    assert one.changed == other.changed
