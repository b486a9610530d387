"""Print tables for commands, with every cell shown in full and made safe for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from monitor.shared.printable_text import printable

_WIDEST = 10_000
"""Width in columns where no terminal tells its own, so that each row is one line."""


def show(titles: Sequence[str], rows: Sequence[Sequence[str]], none: str, whole: str) -> None:
    """Print the rows, or ``none`` if there are none.

    In a terminal long cells are folded, except in the column ``whole``. Cells are plain text;
    markup in them has no effect.
    """
    columns = (Column(title, overflow="fold", no_wrap=title == whole) for title in titles)
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDEST
    console.print(table if rows else none)
