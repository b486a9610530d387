from __future__ import annotations

import pytest
from hypothesis import strategies as st

from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.directory import Directory, Dn
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.pbx_data.templates import trunk


def test_whoever_is_deleted_is_in_no_list_any_more() -> None:
    directory = make_directory(1, 20, 3)
    heard: list[str] = []
    directory.on_change(heard.append)
    agent = directory.agents("800")[0]
    directory.remove(agent)
    assert heard == [agent]
    assert directory.dn(agent) is None
    assert agent not in directory.extensions()
    assert agent not in directory.peers("callmon")
    assert all(agent not in directory.agents(queue) for queue in directory.queue_numbers())
    assert all(agent not in directory.members(group) for group in directory.ring_group_numbers())
    assert directory.devices(agent) == []
    with pytest.raises(KeyError):
        directory.remove(agent)


def test_a_deleted_trunk_takes_its_rules_and_dids_along() -> None:
    directory = make_directory(1, 20, 3)
    directory.remove("10000")
    assert {rule["TrunkDN"]["Number"] for rule in directory.inbound_rules.values()} == {"10001"}
    assert [row["Number"] for row in directory.did_numbers.values()] == ["+74951234567"]


def test_a_number_in_use_is_not_given_again() -> None:
    directory = make_directory(1, 20, 3)
    with pytest.raises(ValueError, match="100 is in use"):
        directory.add("queue", templates.blank("Queue", Number="100"))
    assert directory.first_free("extension") == "120"
    assert directory.first_free("queue") == "803"
    assert directory.first_free("externalline") == "10003"
    with pytest.raises(ValueError, match="no trunk"):
        directory.add_did("+1", "55555")


def test_a_range_that_is_used_up_has_no_free_number() -> None:
    directory = Directory(first_extension=98)
    directory.add("extension", templates.user("98"))
    assert directory.first_free("extension") == "99"
    directory.add("extension", templates.user("99"))
    assert directory.first_free("extension") is None


def test_a_number_stays_whatever_is_set() -> None:
    directory = make_directory(1, 20, 3)
    user = directory.entity("100")
    assert user is not None
    directory.update(user, {"Number": "999999", "Id": 7, "Mobile": "+1"})
    assert (user["Number"], user["Mobile"]) == ("100", "+1")
    assert user["Id"] != 7


def test_names_are_those_that_the_pbx_shows() -> None:
    assert templates.display_name("John", "Smith") == "Smith, John"
    assert templates.display_name("", "Smith") == "Smith"
    assert templates.display_name("John", "") == "John"
    directory = Directory()
    directory.add("externalline", trunk("10000", "skyetel"))
    assert directory.dn("10000") == Dn("10000", "externalline", "skyetel", 1)


_DIGITS = st.text("012", min_size=1, max_size=7)
