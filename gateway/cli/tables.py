"""Tables as commands print them: with all that they hold, whoever wrote it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from monitor.shared.printable_text import printable

_WIDEST = 10_000
"""Columns where no terminal says how many there are: each row is a line."""


def show(titles: Sequence[str], rows: Sequence[Sequence[str]], none: str, whole: str) -> None:
    """Print the rows, or ``none`` if there are none. In a terminal long cells are folded, but of the column ``whole``.

    What stands in them is text, and no markup.
    """
    columns = (Column(title, overflow="fold", no_wrap=title == whole) for title in titles)
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDEST
    console.print(table if rows else none)
