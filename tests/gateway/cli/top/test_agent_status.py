"""What agents do, told from the stream's entities."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.cli.top.agent_status import agents, lasts_since, tally, told
from gateway.cli.wall_words import doing, talk_of
from gateway.stream_client import Entities
from monitor.shared.entities.topics import (
    Extension,
    Talk,
)
from tests.gateway import entities
from tests.gateway.cli.top.scene import extension, plain

NOON = "2026-03-04T12:00:00.000Z"


@pytest.mark.parametrize(
    ("more", "logged_in", "what"),
    [
        ({}, None, "free"),
        ({"activity": "Talking"}, None, "talking"),
        ({"activity": "Dialing"}, None, "talking"),
        ({"activity": "Waiting"}, None, "talking"),
        ({"activity": "Listening"}, None, "talking"),
        ({"activity": "Ringing"}, None, "ringing"),
        ({"registered": False}, None, "out"),
        ({"enabled": 0}, None, "out"),
        ({"q_global_status": "LoggedOut"}, None, "out"),
        ({"q_global_status": "LoggedOut"}, True, "free"),
        ({}, False, "out"),
        ({"fwd_name": "Away", "available": False}, None, "away"),
        ({"fwd_name": "Away", "available": False}, False, "away"),
        ({"fwd_name": "Away", "available": False, "registered": False}, None, "out"),
        ({"fwd_name": "Away", "available": True}, False, "out"),
        ({"fwd_name": "Custom 1", "available": True}, None, "free"),
    ],
)
def test_what_an_extension_does(more: dict[str, Any], logged_in: bool | None, what: str) -> None:
    fields = {"q_global_status": "LoggedIn", "fwd_name": "Available", "available": True} | more
    made: Extension = msgspec.structs.replace(
        entities.extension("101"), **{"registered": True, "enabled": 1} | fields
    )
    assert doing(plain(made), logged_in) == what


def test_agents_are_those_of_queues_and_else_everybody(state: Entities) -> None:
    assert agents(state) == {"101": True, "102": True, "104": False}
    state["queues"] = {}
    assert agents(state) == dict.fromkeys(("101", "102", "104", "105"))
    assert agents({}) == {}


def test_a_queues_agents_are_counted_by_what_they_do_there(state: Entities) -> None:
    queue = state["queues"]["800"]
    assert tally(queue, state["extensions"]) == {
        "free": 0, "ringing": 1, "talking": 1, "away": 0, "out": 1
    }  # fmt: skip
    del state["extensions"]["104"]
    assert sum(tally(queue, state["extensions"]).values()) == 2, "who is no extension is left out"


def talk(activity: str, queue: str = "", since: str = NOON) -> Talk:
    return Talk(1, activity, since, "102", "", external=False, queue=queue)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("activity", "talks", "found"),
    [
        ("Talking", (talk("Ringing"), talk("Talking")), 1),
        ("Talking", (talk("Talking", "800"), talk("Talking")), 1),
        ("Talking", (talk("Talking", "800"),), 0),
        ("Talking", (talk("Ringing"),), None),
        ("Idle", (), None),
    ],
)
def test_the_talk_that_counts_is_of_the_activity_and_with_a_person_first(
    activity: str, talks: tuple[Talk, ...], found: int | None
) -> None:
    one = extension("101", activity=activity, talks=talks)
    assert talk_of(one) == (None if found is None else one["talks"][found])


@pytest.mark.parametrize(
    ("more", "what", "words"),
    [
        ({}, "free", "○ Free"),
        ({"activity": "Talking", "talks": (talk("Talking"),)}, "talking", "● Talking"),
        ({"activity": "Talking", "talks": (talk("Talking", "800"),)}, "talking", "● In queue"),
        ({"activity": "Waiting", "talks": (talk("Waiting", "800"),)}, "talking", "● In queue"),
        ({"activity": "Waiting", "talks": (talk("Waiting"),)}, "talking", "● Waiting"),
        ({"activity": "Listening", "talks": (talk("Listening"),)}, "talking", "● Listening"),
        ({"activity": "Dialing"}, "talking", "● Dialing"),
        ({"fwd_name": "At lunch"}, "away", "❙ At lunch"),
        ({}, "out", "× Logged out"),
    ],
)
def test_what_an_extension_does_has_words(more: dict[str, Any], what: str, words: str) -> None:
    assert told(extension("101", **more), what)[0] == words


def test_a_telephone_that_is_away_is_offline_and_not_logged_out() -> None:
    one = extension("101")
    one["registered"] = False
    assert told(one, "out")[0] == "× Offline"


def test_a_state_lasts_from_its_newest_cause() -> None:
    rings = extension("101", activity="Ringing", talks=(talk("Ringing"),), since=entities.START)
    assert lasts_since(rings, "ringing") == NOON
    assert lasts_since(extension("101", since=NOON), "talking") == NOON
    free = extension("101", since=entities.START, presence_since=NOON)
    assert lasts_since(free, "free") == NOON
    assert lasts_since(extension("101", since=NOON), "out") is None, "that is no login's time"
