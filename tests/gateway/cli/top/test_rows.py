"""Test rows of ``callmon top``: what they say, their order, and how they are found."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.top.rows import SHEETS, Cell, Row, caller, duration, ends, reached, shown
from gateway.stream_client import Entities
from monitor.shared.entities.topics import (
    Call,
    CallState,
    Leg,
    Talk,
)
from tests.gateway import entities
from tests.gateway.cli.top.scene import LATER, NOW, extension, plain

CALLS, QUEUES, AGENTS, MISSED = SHEETS


def texts(rows: list[Row]) -> dict[str, list[str]]:
    return {row.id: [cell.text for cell in row.cells] for row in rows}


def test_a_call_says_who_calls_whom_and_for_how_long(state: Entities) -> None:
    assert texts(CALLS.rows(state, NOW)) == {
        "7": [*("7", "→", "+493012345 Юрий Иванов", "101", "800", "Ringing", "1:05", "1:05")],
        "12": ["12", "·", "102", "103", "", "Talking", "", "1:05"],
    }


def test_every_state_of_a_call_has_room_in_its_column(state: Entities) -> None:
    column = next(place for place, column in enumerate(CALLS.columns) if column.title == "State")
    for word in get_args(CallState):
        state["calls"]["12"]["state"] = word
        assert (
            0 < len(texts(CALLS.rows(state, NOW))["12"][column]) <= CALLS.columns[column].width
        ), word


def test_a_queue_says_who_waits_how_its_agents_are_and_how_its_day_is(state: Entities) -> None:
    assert texts(QUEUES.rows(state, NOW)) == {
        "800": [
            *("800", "Sales", "1", "1:05", "0", "1", "1", "0", "1"),
            *("36/42", "3", "78 %", "91 %"),
        ]
    }
    assert QUEUES.rows(state, NOW)[0].cells[4].tone == "alarm", "somebody waits and nobody is free"
    del state["queuestats"]
    assert texts(QUEUES.rows(state, NOW))["800"][-4:] == ["", "", "–", "–"]


def test_an_agent_says_what_he_does_and_with_whom(state: Entities) -> None:
    rows = texts(AGENTS.rows(state, NOW))
    assert rows["101"][2:5] == ["◐ Ringing", "1:05", "Number withheld"]
    assert rows["101"][6:] == ["17", "2", duration(2912.0 + 301.5)]
    assert rows["102"][2:5] == ["● Talking", "1:05", "103 Kim"]
    assert rows["104"][2] == "× Logged out"
    assert "105" not in rows, "who is in no queue is no agent"
    waits = plain(
        Talk(13, "Talking", entities.START, "801", "Support", external=False, queue="801")
    )
    ben = state["extensions"]["102"]
    ben["talks"] = [waits, *ben["talks"]]
    assert texts(AGENTS.rows(state, NOW))["102"][2:5] == ["● Talking", "1:05", "103 Kim"], (
        "a person comes first"
    )
    ben["talks"] = [waits]
    assert texts(AGENTS.rows(state, NOW))["102"][2:5] == ["● In queue", "1:05", "801 Support"]
    state["extensions"]["104"]["registered"] = False
    assert texts(AGENTS.rows(state, NOW))["104"][2] == "× Offline"
    state["queues"] = {}
    assert "105" in texts(AGENTS.rows(state, NOW)), (
        "but where there are no queues everybody is shown"
    )


def test_a_missed_call_says_when_who_whom_and_what_happened_the_newest_first(
    state: Entities,
) -> None:
    state["system"] = {"pbx": {"timeZone": "Asia/Tokyo"}}  # 9 hours before UTC
    assert texts(MISSED.rows(state, NOW)) == {
        "1": ["12:15", "0301234567", "101 Ann", "Missed", "0:20"],
        "2": ["12:15", "0301234567", "Sales", "Abandoned in queue", "0:15"],
        "3": ["12:15", "Number withheld", "Main number", "Abandoned in menu", "0:20"],
        "4": ["12:15", "0301234567", "600", "Spoken since", "0:20"],
    }
    assert MISSED.newest_first
    del state["pbxstats"]
    assert set(texts(MISSED.rows(state, NOW))) == {"1", "2", "3", "4"}, "since midnight there"
    state["system"]["pbx"]["timeZone"] = "Nowhere/At_all"
    assert len(MISSED.rows(state, NOW)) >= 4, "this machine's zone is the last resort"


@pytest.mark.parametrize(
    ("more", "lasts"),
    [
        ({"since": entities.START}, "1:05"),
        ({"since": entities.START, "presence_since": LATER}, "0:05"),
        ({"since": LATER, "presence_since": entities.START}, "0:05"),
        ({"since": entities.START, "q_global_status": "LoggedOut"}, ""),
        (
            {"since": LATER, "presence_since": entities.START, "q_global_status": "LoggedOut"},
            "1:05",
        ),
        ({"presence_since": LATER, "fwd_name": "Away", "available": False}, "0:05"),
    ],
)
def test_an_agents_time_is_that_of_his_state(more: dict[str, Any], lasts: str) -> None:
    fields = {"q_global_status": "LoggedIn", "fwd_name": "Available", "available": True} | more
    rows = texts(AGENTS.rows({"extensions": {"101": extension("101", **fields)}}, NOW))
    assert rows["101"][3] == lasts


def test_a_call_of_which_nothing_is_known_has_words_too() -> None:
    bare = plain(entities.call(1))
    assert (caller(bare), reached(bare)) == ("Number withheld", "")
    hidden = plain(
        msgspec.structs.replace(
            entities.call(1), legs=(Leg("10000", "externalline", "", "Ringing"),)
        )
    )
    assert (caller(hidden), reached(hidden)) == ("Number withheld", "Number withheld")
    several = plain(entities.call(1, ("101", "102", "103")))
    assert reached(several) == "102 +1"


def test_a_call_to_outside_that_was_passed_on_is_read_from_the_near_end_to_the_far_one() -> None:
    line, has_it = (
        Leg("10000", "externalline", "+1555", "Connected"),
        Leg("101", "extension", "", "Connected"),
    )
    call: Call = msgspec.structs.replace(
        entities.call(1), legs=(line, has_it), owner=line, direction="Outbound"
    )
    assert ends(plain(call)) == ("101", "+1555")
    assert ends(plain(msgspec.structs.replace(call, direction="Inbound"))) == ("+1555", "101")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0:00"),
        (59.9, "0:59"),
        (60.0, "1:00"),
        (3599.0, "59:59"),
        (3600.0, "1:00:00"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rows_are_found_by_what_they_show_whatever_the_case_and_sorted_by_any_column(
    state: Entities,
) -> None:
    calls = CALLS.rows(state, NOW)
    assert [row.id for row in shown(calls, "ИВАНОВ", 0)] == ["7"]
    assert [row.id for row in shown(calls, "ringing", 0)] == ["7"]
    assert [row.id for row in shown(calls, "internal", 0)] == ["12"], "a sign has a word"
    assert shown(calls, "no such", 0) == []
    assert [row.id for row in shown(calls, "", 0)] == ["7", "12"]
    assert [row.id for row in shown(calls, "", 0, reverse=True)] == ["12", "7"]
    assert [row.id for row in shown(calls, "", 2)] == ["7", "12"], "+4930… comes before 102"
    numbers = [Row(number, (Cell(number, "", len(number)),)) for number in ("1000", "99", "101")]
    assert [row.id for row in shown(numbers, "", 0)] == ["99", "101", "1000"]


@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3)), max_size=30),
    st.booleans(),
)
def test_sorting_loses_nobody_and_keeps_the_order_of_equals(
    cells: list[tuple[str, int]], reverse: bool
) -> None:
    rows = [
        Row(str(n), (Cell(str(n), "", n), Cell(text, "", number)))
        for n, (text, number) in enumerate(cells)
    ]
    found = shown(rows, "", 1, reverse=reverse)
    assert {row.id for row in found} == {row.id for row in rows}
    for one, other in pairwise(found):
        first, second = one.cells[1].key, other.cells[1].key
        assert first >= second if reverse else first <= second
        assert first != second or one.cells[0].number < other.cells[0].number
