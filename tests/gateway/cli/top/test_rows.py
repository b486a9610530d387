"""Test what ``callmon top`` makes of entities: rows, their order, what fits a column, details."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.cli.top.agent_status import doing
from gateway.cli.top.cells import GAP, cut, drawn, title, widths
from gateway.cli.top.details import details
from gateway.cli.top.rows import SHEETS, Cell, Column, Row, caller, duration, ends, reached, shown
from gateway.docs.example_data import extension_stats, pbx_stats, queue_stats
from gateway.stream_client import Entities
from monitor.shared.entities.topics import (
    Agent,
    Call,
    CallState,
    Extension,
    Leg,
    Queue,
    Talk,
    WaitingCaller,
)
from monitor.shared.timestamps import from_unix, moment
from tests.gateway import entities

NOW = moment(entities.START).timestamp() + 65.0
LATER = from_unix(NOW - 5.0)
CALLS, QUEUES, AGENTS = SHEETS


def plain(entity: Any) -> dict[str, Any]:
    """As the stream sends it."""
    found: dict[str, Any] = msgspec.to_builtins(entity)
    return found


def extension(num: str, **more: Any) -> dict[str, Any]:
    made: Extension = msgspec.structs.replace(
        entities.extension(num), registered=True, enabled=1, **more
    )
    return plain(made)


@pytest.fixture
def state() -> Entities:
    """A caller who waits while an agent rings, and two who talk."""
    line = Leg(
        "10000", "externalline", "+493012345", "Connected", name="trunk", party_name="Юрий Иванов"
    )
    waits: Call = msgspec.structs.replace(
        entities.call(7, queues=("800",), state="Routing"),
        legs=(
            line,
            Leg("800", "queue", "+493012345", "Connected"),
            Leg("101", "extension", "+493012345", "Ringing"),
        ),
        owner=line,
        queue="800",
        queued_at=entities.START,
        direction="FromExternal",
    )
    inside: Call = msgspec.structs.replace(entities.call(12, ("102", "103")), direction="Internal")
    queue: Queue = msgspec.structs.replace(
        entities.queue("800"),
        name="Sales",
        agents=(Agent("101", "Ann"), Agent("102", "Ben", "2"), Agent("104", "Dan")),
        logged_in=("101", "102"),
        waiting=(WaitingCaller(7, "+493012345", "Юрий Иванов", entities.START),),
    )
    talk = Talk(12, "Talking", entities.START, "103", "Kim", external=False)
    rung = Talk(7, "Ringing", entities.START, "", "", external=True, queue="800")
    return {
        "calls": {"7": plain(waits), "12": plain(inside)},
        "queues": {"800": plain(queue)},
        "extensions": {
            "101": extension("101", activity="Ringing", talks=(rung,)),
            "102": extension("102", activity="Talking", talks=(talk,)),
            "104": extension("104", q_global_status="LoggedIn"),  # but to none of his queues
            "105": extension("105"),
        },
        "queuestats": {"800": plain(queue_stats())},
        "extstats": {"101": plain(extension_stats())},
        "pbxstats": {"pbx": plain(pbx_stats())},
    }


def texts(rows: list[Row]) -> dict[str, list[str]]:
    return {row.id: [cell.text for cell in row.cells] for row in rows}


def test_a_call_says_who_calls_whom_and_for_how_long(state: Entities) -> None:
    assert texts(CALLS.rows(state, NOW)) == {
        "7": ["7", "→ in", "+493012345 Юрий Иванов", "101", "800", "In queue", "1:05", "1:05"],
        "12": ["12", "· int", "102", "103", "", "Talking", "", "1:05"],
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
        "800": ["800", "Sales", "1", "1:05", "0", "1", "1", "1", "42", "36", "3", "78 %"]
    }
    assert QUEUES.rows(state, NOW)[0].cells[4].tone == "alarm", "somebody waits and nobody is free"
    del state["queuestats"]
    assert texts(QUEUES.rows(state, NOW))["800"][-4:] == ["", "", "", "–"]


def test_an_agent_says_what_he_does_and_with_whom(state: Entities) -> None:
    rows = texts(AGENTS.rows(state, NOW))
    assert rows["101"][2:5] == ["◐ Ringing", "1:05", "anonymous"]
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


@pytest.mark.parametrize(
    ("more", "logged_in", "what"),
    [
        ({}, None, "free"),
        ({"activity": "Talking"}, None, "talking"),
        ({"activity": "Dialing"}, None, "talking"),
        ({"activity": "Ringing"}, None, "ringing"),
        ({"registered": False}, None, "out"),
        ({"enabled": 0}, None, "out"),
        ({"q_global_status": "LoggedOut"}, None, "out"),
        ({"q_global_status": "LoggedOut"}, True, "free"),
        ({}, False, "out"),
        ({"fwd_name": "Away", "available": False}, None, "away"),
        ({"fwd_name": "Custom 1", "available": True}, None, "free"),
    ],
)
def test_what_an_extension_does(more: dict[str, Any], logged_in: bool | None, what: str) -> None:
    fields = {"q_global_status": "LoggedIn", "fwd_name": "Available", "available": True} | more
    made: Extension = msgspec.structs.replace(
        entities.extension("101"), **{"registered": True, "enabled": 1} | fields
    )
    assert doing(plain(made), logged_in) == what


def test_a_call_of_which_nothing_is_known_has_words_too() -> None:
    bare = plain(entities.call(1))
    assert (caller(bare), reached(bare)) == ("anonymous", "")
    hidden = plain(
        msgspec.structs.replace(
            entities.call(1), legs=(Leg("10000", "externalline", "", "Ringing"),)
        )
    )
    assert (caller(hidden), reached(hidden)) == ("anonymous", "anonymous")
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
    assert [row.id for row in shown(calls, "in queue", 0)] == ["7"]
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


@given(st.text(max_size=40), st.integers(1, 20))
def test_what_is_cut_fits(text: str, width: int) -> None:
    found = cut(text, width)
    assert cell_len(found) <= width
    assert found == text or found.endswith("…")


@given(st.text(max_size=40), st.integers(1, 20), st.booleans())
def test_every_cell_of_a_column_is_as_wide(text: str, width: int, right: bool) -> None:
    column = Column("Title", width, right=right)
    assert cell_len(drawn(Cell(text), column, width).plain) == width + GAP


@given(st.integers(1, 300))
def test_columns_fill_the_room_and_never_shrink_below_what_they_need(room: int) -> None:
    for sheet in SHEETS:
        found = widths(sheet.columns, room)
        least = sum(column.width + GAP for column in sheet.columns)
        assert sum(found) + GAP * len(found) == max(room, least)
        assert all(
            width >= column.width for width, column in zip(found, sheet.columns, strict=True)
        )


def test_all_sheets_fit_into_a_terminal_of_80_columns_with_its_scrollbar() -> None:
    for sheet in SHEETS:
        assert sum(column.width + GAP for column in sheet.columns) <= 78, sheet.name


def test_the_head_of_the_column_that_is_sorted_by_says_which_way() -> None:
    assert title(CALLS, 2, 10, 2, reverse=False).plain.startswith("From▲")
    assert title(CALLS, 2, 10, 2, reverse=True).plain.startswith("From▼")
    assert title(CALLS, 2, 10, 3, reverse=True).plain.strip() == "From"


def test_details_of_a_call_show_its_legs(state: Entities) -> None:
    found = details("Calls", "7", state, NOW)
    assert found.title == "Call 7"
    assert "Waits in queue 800 for 1:05" in found.lines
    assert [row[0] for row in found.table] == ["DN", "10000", "800", "101"]
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
