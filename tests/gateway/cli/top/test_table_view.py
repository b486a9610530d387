"""A table of ``callmon top`` that follows the state cell by cell, on a screen of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.app import App, ComposeResult

from gateway.cli.top.rows import SHEETS
from gateway.cli.top.table_view import SheetView
from gateway.stream_client import Entities
from tests.gateway import entities
from tests.gateway.cli.top.scene import NOW, plain

CALLS = SHEETS[0]


class _Screen(App[None]):
    """Nothing but the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.view = SheetView(CALLS)

    def compose(self) -> ComposeResult:
        yield self.view


@asynccontextmanager
async def drawn(*numbers: int, size: tuple[int, int] = (100, 20)) -> AsyncIterator[SheetView]:
    screen = _Screen()
    async with screen.run_test(size=size) as pilot:
        await pilot.pause()
        draw(screen.view, *numbers)
        yield screen.view


def calls(*numbers: int) -> Entities:
    return {"calls": {str(number): plain(entities.call(number, ("101",))) for number in numbers}}


def draw(view: SheetView, *numbers: int) -> None:
    view.draw(calls(*numbers), NOW)


def shown(view: SheetView) -> list[str]:
    """The ids of the rows, from the top."""
    return [str(row.key.value) for row in view.ordered_rows]


def first_cells(view: SheetView) -> list[str]:
    """What stands in the first column."""
    return [view.get_row(row.key)[0].plain.strip() for row in view.ordered_rows]


async def test_rows_come_go_and_stay_in_order() -> None:
    async with drawn(7, 12) as view:
        assert shown(view) == first_cells(view) == ["7", "12"]
        draw(view, 7, 12, 9)
        assert shown(view) == first_cells(view) == ["7", "9", "12"]
        draw(view, 9)
        assert shown(view) == first_cells(view) == ["9"]
        draw(view)
        assert (shown(view), view.nothing, view.entity) == ([], CALLS.empty, None)


async def test_a_cell_that_changed_is_drawn_anew() -> None:
    async with drawn(7) as view:
        state = calls(7)
        state["calls"]["7"]["state"] = "Routing"
        view.draw(state, NOW)
        [column] = [n for n, column in enumerate(CALLS.columns) if column.title == "State"]
        [cell] = [cell for row in view.rows for cell in view.get_row(row)[column : column + 1]]
        assert cell.plain.strip() == CALLS.rows(state, NOW)[0].cells[column].text


@pytest.mark.parametrize(
    ("left", "at"),
    [((7, 9, 12, 5), "9"), ((7, 12), "12"), ((7,), "7"), ((30, 40, 50), "40")],
    ids=str,
)
async def test_the_cursor_stays_on_its_row_and_else_at_its_place(
    left: tuple[int, ...], at: str
) -> None:
    async with drawn(7, 9, 12) as view:
        view.move_cursor(row=1)
        assert view.entity == "9"
        draw(view, *left)
        assert view.entity == at


async def test_another_order_keeps_the_rows_and_the_cursor() -> None:
    async with drawn(7, 9, 12) as view:
        view.move_cursor(row=0)
        view.turn_round()
        assert shown(view) == first_cells(view) == ["12", "9", "7"]
        assert view.entity == "7"
        for _ in CALLS.columns:
            view.sort_by_next()
            assert sorted(shown(view), key=int) == ["7", "9", "12"]
            assert view.entity == "7"
        assert shown(view) == ["7", "9", "12"], "by the first column again, and not turned round"


async def test_what_is_looked_for_is_shown_alone_and_that_there_is_none_is_said() -> None:
    async with drawn(7, 12) as view:
        view.find = "12"
        draw(view, 7, 12)
        assert shown(view) == ["12"]
        view.find = "no such"
        draw(view, 7, 12)
        assert (shown(view), view.nothing) == ([], "Nothing contains “no such”.")


async def test_columns_fit_a_terminal_that_becomes_wider() -> None:
    screen = _Screen()
    async with screen.run_test(size=(90, 20)) as pilot:
        await pilot.pause()
        draw(screen.view, 7)
        before = sum(column.width for column in screen.view.ordered_columns)
        await pilot.resize_terminal(140, 20)
        await pilot.pause()
        assert sum(column.width for column in screen.view.ordered_columns) == before + 50
        assert shown(screen.view) == ["7"]


def test_a_view_that_is_on_no_screen_draws_nothing_and_remembers_it() -> None:
    view = SheetView(CALLS)
    draw(view, 7)
    assert view.row_count == 0
    assert view.entity is None
