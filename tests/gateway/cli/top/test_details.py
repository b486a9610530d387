"""What ENTER shows of a row: legs, callers, agents, a day."""

from __future__ import annotations

from gateway.cli.top.details import details
from gateway.stream_client import Entities
from tests.gateway.cli.top.scene import NOW


def test_details_of_a_call_show_its_legs(state: Entities) -> None:
    found = details("Calls", "7", state, NOW)
    assert found.title == "Call 7"
    assert "Waits in queue 800 for 1:05" in found.lines
    assert [row[0] for row in found.table] == ["Number", "10000", "800", "101"]
    assert found.table[1][4] == "+493012345 Юрий Иванов"
    del state["calls"]["7"]
    assert details("Calls", "7", state, NOW).lines == ("It has ended.",)


def test_details_of_a_queue_show_its_callers_its_day_and_its_agents(state: Entities) -> None:
    found = details("Queues", "800", state, NOW)
    assert found.lines[0] == "1. +493012345 Юрий Иванов, waits for 1:05"
    assert "Today: 42 offered, 36 answered, 3 abandoned, 1 more in less than 5 s" in found.lines
    assert "Service level: 78 % within 30 s" in found.lines
    assert [row[2] for row in found.table[1:]] == ["◐ Ringing", "● Talking", "× Logged out"]
    state["queues"]["800"]["waiting"], state["queuestats"] = [], {}
    assert details("Queues", "800", state, NOW).lines == ("Nobody waits.",)


def test_details_of_an_agent_show_his_day_and_his_talks(state: Entities) -> None:
    found = details("Agents", "101", state, NOW)
    assert any(line.startswith("Today: rung by 21, answered 17, missed 2") for line in found.lines)
    assert found.table[1][:2] == ("7", "Ringing")
    assert details("Agents", "104", state, NOW).table == ()
    assert details("Agents", "104", state, NOW).lines[0].startswith("× Logged out · "), (
        "as the table says"
    )
    assert details("Agents", "999", state, NOW).lines == ("It no longer exists.",)


def test_details_of_a_missed_call_say_when_whom_and_who_called_back(state: Entities) -> None:
    state["system"] = {"pbx": {"timeZone": "Asia/Tokyo"}}
    found = details("Missed", "4", state, NOW)
    assert found.title == "0301234567"
    assert found.lines == (
        "12:14:45 – 12:15:05 · Missed · Waited 0:20",
        "To: 600",
        "Spoken since: 12:15:56, 102",
    )
    hidden = details("Missed", "3", state, NOW)
    assert (hidden.title, hidden.lines[1:]) == (
        "Number withheld",
        ("To: Main number", "DID: Main number"),
    )
    assert details("Missed", "999", state, NOW).lines == ("It no longer exists.",)
