"""Turn rows into a terminal's cells: widths, cutting, colours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from gateway.cli.top.agent_status import Tone
from gateway.cli.top.rows import Cell, Column

GAP: Final = 1
"""Blank cells between two columns."""
STYLES: Final[dict[Tone, str]] = {
    "": "",
    "good": "#35d09d",
    "busy": "#3d93ff",
    "warn": "#fdf439",
    "alarm": "bold #ed4d29",
    "dim": "dim",
    "strong": "bold",
}


def heads(columns: Sequence[Column], room: int) -> list[Column]:
    """Return the columns as a table of ``room`` cells heads them.

    They have their whole titles if all of these have room, else the brief ones.
    """
    mark = 1  # the sorted column's
    whole = [replace(one, width=max(one.width, cell_len(one.title) + mark)) for one in columns]
    if sum(one.width for one in whole) + GAP * len(whole) <= room:
        return whole
    return [replace(one, title=one.brief or one.title) for one in columns]


def widths(columns: Sequence[Column], room: int) -> list[int]:
    """Return the width of each column for a table of ``room`` cells.

    Remaining cells go to the columns that grow, in equal parts.
    """
    found = [column.width for column in columns]
    left = room - sum(found) - GAP * len(columns)
    growing = [index for index, column in enumerate(columns) if column.grows]
    for place, index in enumerate(growing):
        found[index] += max(0, left) // len(growing) + (place < max(0, left) % len(growing))
    return found


def cut(text: str, width: int) -> str:
    """Return what fits into ``width`` cells, with an ellipsis if that is not all.

    Wide characters take two cells.
    """
    if cell_len(text) <= width:
        return text
    held = 0
    for index, char in enumerate(text):
        held += cell_len(char)
        if held > width - 1:
            return text[:index] + "…"
    return text


def drawn(cell: Cell, column: Column, width: int) -> Text:
    """Return a cell as the table shows it, with the gap after it."""
    return _aligned(cut(cell.text, width), STYLES[cell.tone], column, width)


def title(column: Column, width: int, mark: str) -> Text:
    """Return a column's head. ``mark``: the direction of the sorted column, else empty."""
    text = cut(column.title, width - len(mark)) + mark
    return _aligned(text, "bold", column, width)


def _aligned(text: str, style: str, column: Column, width: int) -> Text:
    blank = " " * (width - cell_len(text))
    return Text((blank + text if column.right else text + blank) + " " * GAP, style, no_wrap=True)
