"""What fits into the cells of a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.cli.top.cells import GAP, cut, drawn, heads, title, widths
from gateway.cli.top.rows import SHEETS, Cell, Column

CALLS, QUEUES, AGENTS, MISSED = SHEETS


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
        columns = heads(sheet.columns, 78)
        assert sum(column.width + GAP for column in columns) <= 78, sheet.name
        for column in columns:
            assert cell_len(column.title) <= column.width, (sheet.name, column.title)


def test_titles_are_whole_where_all_of_them_have_room() -> None:
    assert [column.title for column in heads(QUEUES.columns, 78)][4:9] == ["○", "◐", "●", "❙", "×"]
    columns = heads(QUEUES.columns, 158)
    assert [column.title for column in columns] == [column.title for column in QUEUES.columns]
    assert all(column.width > cell_len(column.title) for column in columns), "and the mark"


def test_the_head_of_the_column_that_is_sorted_by_says_which_way() -> None:
    column = CALLS.columns[2]
    assert title(column, 10, "▲").plain.startswith("From▲")
    assert title(column, 3, "▼").plain == "F…▼ "
    assert title(column, 10, "").plain.strip() == "From"
