"""A company with agents enough for its queues."""

from __future__ import annotations

import pytest

from monitor.simulator.pbx_data.call_centre import staff
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory


def company(extensions: int, queues: int = 4, seed: int = 42) -> Directory:
    directory = make_directory(seed, extensions, queues, contacts=5)
    staff(directory, seed)
    return directory


@pytest.mark.parametrize(("extensions", "fewest"), [(2, 2), (5, 2), (40, 7), (300, 50)])
def test_queues_have_as_many_agents_as_suit_the_company(extensions: int, fewest: int) -> None:
    directory = company(extensions)
    for queue in directory.queue_numbers():
        agents = directory.agents(queue)
        assert len(agents) == len(set(agents)) >= fewest
        assert len(agents) < 0.5 * extensions + fewest


def test_agents_are_people_and_not_places_or_machines() -> None:
    directory = company(300)
    places = {"Front desk", "Meeting room 4", "Warehouse", "Workshop", "AI Receptionist"}
    names = {
        user["FirstName"]
        for queue in directory.queue_numbers()
        for user in directory.users.values()
        if user["Number"] in directory.agents(queue)
    }
    assert len(names) > 30
    assert not names & places


def test_the_same_seed_chooses_the_same_agents() -> None:
    one, other, third = company(40), company(40), company(40, seed=43)
    agents = [[d.agents(queue) for queue in d.queue_numbers()] for d in (one, other, third)]
    assert agents[0] == agents[1] != agents[2]


def test_only_a_small_queue_rings_all_its_agents_at_once() -> None:
    for extensions, strategies in ((40, {"RingAll", "Hunt"}), (300, {"Hunt"})):
        queues = company(extensions).queues.values()
        assert {queue["PollingStrategy"] for queue in queues} == strategies


def test_lines_are_named_for_where_they_lead() -> None:
    directory = make_directory(42, 40, 4, without=("bracket_names",))
    staff(directory, 42)
    names = {rule["RuleName"] for rule in directory.inbound_rules.values()}
    assert {"Sales line", "Support line", "Orders line", "Main number"} <= names


def test_a_company_without_queues_or_people_stays_as_it_is() -> None:
    assert company(3, queues=0).queue_numbers() == []
    assert company(0).agents("800") == []
