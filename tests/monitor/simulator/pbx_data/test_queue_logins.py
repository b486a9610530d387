"""Who takes calls of queues."""

from __future__ import annotations

from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.directory import Device, Directory
from monitor.simulator.pbx_data.queue_logins import QueueLogins, takes_calls


def test_an_agent_takes_calls_if_nothing_speaks_against_it() -> None:
    directory = Directory()
    user = directory.add("extension", templates.user("100", "Tom", "Smith"))
    queue = templates.blank("Queue", Number="800", Name="Sales")
    directory.add("queue", queue | {"Agents": [{"Number": "100", "SkillGroup": "1"}]})
    assert directory.agents("800") == ["100"]
    assert directory.available_agents("800") == []
    directory.set_devices("100", [Device("100", "sip:100@127.0.0.1:5060", "phone")])
    assert directory.available_agents("800") == ["100"]
    for name, value in (("Enabled", False), ("QueueStatus", "LoggedOut")):
        before = user[name]
        directory.update(user, {name: value})
        assert directory.available_agents("800") == []
        directory.update(user, {name: before})
    directory.update(user, {"CurrentProfileName": "Away"})
    assert directory.available_agents("800") == ["100"], "a profile counts by what it does"
    assert directory.agents("100") == []


def test_a_login_is_to_one_queue_and_of_one_agent_alone() -> None:
    logins = QueueLogins()
    assert logins.logged_in("800", "100"), "who was never logged out is logged in"
    logins.set("800", "100", logged_in=False)
    logins.set("800", "100", logged_in=False)
    assert not logins.logged_in("800", "100")
    assert logins.logged_in("801", "100")
    assert logins.logged_in("800", "101")
    logins.set("800", "101", logged_in=False)
    logins.set("800", "100", logged_in=True)
    assert logins.logged_in("800", "100")
    assert not logins.logged_in("800", "101")


def test_a_profile_in_force_takes_a_member_out_of_ring_groups() -> None:
    directory = Directory()
    user = directory.add("extension", templates.user("100", "Tom", "Smith"))
    group = templates.blank("RingGroup", Number="600", Name="Desk")
    directory.add("ringgroup", group | {"Members": [{"Number": "100"}]})
    for row in user["ForwardingProfiles"]:
        row["DisableRingGroupCalls"] = row["Name"] == "Away"
    assert directory.rung_members("600") == ["100"]
    directory.update(user, {"CurrentProfileName": "Away"})
    assert (directory.rung_members("600"), directory.members("600")) == ([], ["100"])


def test_nobody_takes_no_calls() -> None:
    assert not takes_calls(None)
