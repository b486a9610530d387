"""Who takes calls of queues."""

from __future__ import annotations

from monitor.simulator.pbx_data import templates_internal
from monitor.simulator.pbx_data.directory import Device, Directory


def test_an_agent_takes_calls_if_nothing_speaks_against_it() -> None:
    directory = Directory()
    user = directory.add("extension", templates_internal.user("100", "Tom", "Smith"))
    queue = templates_internal.queue("800", "Sales")
    directory.add("queue", queue | {"Agents": [{"Number": "100", "SkillGroup": "1"}]})
    assert directory.agents("800") == ["100"]
    assert directory.available_agents("800") == []
    directory.set_devices("100", [Device("100", "sip:100@127.0.0.1:5060", "phone")])
    assert directory.available_agents("800") == ["100"]
    for name, value in (
        ("Enabled", False),
        ("QueueStatus", "LoggedOut"),
        ("CurrentProfileName", "Away"),
    ):
        before = user[name]
        directory.update(user, {name: value})
        assert directory.available_agents("800") == []
        directory.update(user, {name: before})
    assert directory.agents("100") == []
