"""Show one table of ``callmon top`` and update it cell by cell."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.events import Resize
from textual.widgets import DataTable
from textual.widgets.data_table import RowDoesNotExist

from gateway.cli.top.cells import GAP, drawn, heads, title, widths
from gateway.cli.top.rows import Cell, Row, Sheet, shown
from gateway.cli.wall_words import translated
from gateway.stream_client import Entities


class SheetView(DataTable[Text]):
    """Show the rows of one sheet. ``find``: the text that rows are filtered by."""

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(cursor_type="row", zebra_stripes=True, cell_padding=0)
        self.sheet = sheet
        self.find = ""
        self._by, self._reverse = 0, sheet.newest_first
        self._widths: list[int] = []
        self._cells: dict[str, tuple[Cell, ...]] = {}
        """Cells that stand in each row, in the order of the rows."""
        self._last: tuple[Entities, float] | None = None

    @property
    def entity(self) -> str | None:
        """Return the id of the entity under the cursor, or None."""
        at = self._key_at_cursor()
        return None if at is None else at[0]

    @property
    def nothing(self) -> str:
        """Return why there are no rows; empty if there are any."""
        if self._cells:
            return ""
        return (
            translated("Nothing contains “{find}”.", find=self.find)
            if self.find
            else self.sheet.empty
        )

    def draw(self, state: Entities, now: float) -> None:
        """Show this state as of ``now``."""
        self._last = state, now
        if not self.size.width:
            return  # not on the screen
        if not self._widths:
            self._lay_out()
        rows = shown(self.sheet.rows(state, now), self.find, self._by, reverse=self._reverse)
        at = self._key_at_cursor()
        self._bring_in_line(rows)
        self._put_cursor(at)

    def sort_by_next(self) -> None:
        """Sort by the next column, its smallest value first."""
        self._by, self._reverse = (self._by + 1) % len(self.sheet.columns), False
        self._lay_out()

    def turn_round(self) -> None:
        """Reverse the sort order."""
        self._reverse = not self._reverse
        self._lay_out()

    def on_resize(self, _event: Resize) -> None:
        """Fit the columns to the new width."""
        self._widths = []
        if self._last is not None:
            self.draw(*self._last)

    def _lay_out(self) -> None:
        at = self._key_at_cursor()
        self.clear(columns=True)
        self._cells = {}
        room = self.size.width - self.styles.scrollbar_size_vertical
        columns = heads(self.sheet.columns, room)
        self._widths = widths(columns, room)
        for index, (column, width) in enumerate(zip(columns, self._widths, strict=True)):
            mark = ("▼" if self._reverse else "▲") if index == self._by else ""
            self.add_column(title(column, width, mark), width=width + GAP, key=str(index))
        if self._last is not None and at is not None:
            self.draw(*self._last)
            self._put_cursor(at)

    def _bring_in_line(self, rows: list[Row]) -> None:
        wanted = {row.id: row.cells for row in rows}
        for id_ in self._cells.keys() - wanted.keys():
            self.remove_row(id_)
        for id_, cells in wanted.items():
            before = self._cells.get(id_)
            if before is None:
                self.add_row(
                    *(self._drawn(index, cell) for index, cell in enumerate(cells)), key=id_
                )
                continue
            for index, cell in enumerate(cells):
                if cell.text != before[index].text or cell.tone != before[index].tone:
                    self.update_cell(id_, str(index), self._drawn(index, cell))
        stay = [id_ for id_ in self._cells if id_ in wanted]
        new = [id_ for id_ in wanted if id_ not in self._cells]
        if stay + new != list(wanted):
            self._put_in_order(wanted)
        self._cells = wanted

    def _put_in_order(self, wanted: dict[str, Any]) -> None:
        places = {id_: place for place, id_ in enumerate(wanted)}
        ids = iter([str(row.key.value) for row in self.ordered_rows])
        self.sort(
            "0", key=lambda _cell: places[next(ids)]
        )  # sort() calls it once per row, in their present order

    def _drawn(self, index: int, cell: Cell) -> Text:
        return drawn(cell, self.sheet.columns[index], self._widths[index])

    def _key_at_cursor(self) -> tuple[str, int] | None:
        """Return the id of the row under the cursor and its place, or None."""
        if not self.row_count:
            return None
        place = min(self.cursor_row, self.row_count - 1)
        return str(self.ordered_rows[place].key.value), place

    def _put_cursor(self, at: tuple[str, int] | None) -> None:
        if at is None or not self.row_count:
            return
        try:
            place = self.get_row_index(at[0])
        except RowDoesNotExist:
            place = min(at[1], self.row_count - 1)
        if place != self.cursor_row:
            self.move_cursor(row=place, animate=False, scroll=False)
