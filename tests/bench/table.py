"""Hold measurements as tables, for the terminal and for the README beside this file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its unit, and how it stands to its target."""

    what: str
    figure: str
    ratio: str = ""
    target: str = ""
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows under a heading, with a sentence or two on how they came to be."""

    title: str
    note: str
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        what: str,
        figure: str,
        *,
        ratio: float | None = None,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        """A row. ``ratio`` is to be at ``most``, or at ``least``, if these are given."""
        if ratio is None:
            self.rows.append(Row(what, figure))
            return
        target, reached = "", None
        if most is not None:
            target, reached = f"≤ {most:g}", ratio <= most
        elif least is not None:
            target, reached = f"≥ {least:g}", ratio >= least
        self.rows.append(Row(what, figure, f"{ratio:.2f}", target, reached))


def show(sheet: Sheet) -> None:
    """Print it."""
    table = Table(
        title=sheet.title,
        caption=sheet.note,
        title_justify="left",
        caption_justify="left",
        width=110,
    )
    table.add_column("")
    for heading in ("figure", "ratio", "target", ""):
        table.add_column(heading, justify="right")
    for row in sheet.rows:
        table.add_row(row.what, row.figure, row.ratio, row.target, _mark(row))
    Console(width=112).print(table)


def middle(runs: Sequence[Sheet]) -> Sheet:
    """Return the sheet whose every row is the median of the rows of that name in several runs."""
    named: dict[str, list[Row]] = {}
    for run in runs:
        for row in run.rows:
            named.setdefault(row.what, []).append(row)
    rows = [sorted(same, key=_size)[len(same) // 2] for same in named.values()]
    return Sheet(runs[0].title, runs[0].note, rows)


def _size(row: Row) -> float:
    """Return what a row is compared by: its ratio, otherwise the number that its figure shows."""
    found = _NUMBER.search(row.figure.replace(",", ""))
    return float(row.ratio.replace(",", "") or (found[0] if found else 0))


def rows_of(sheet: Sheet) -> list[str]:
    """Return the lines of its table for the README."""
    return [
        f"| {row.what} | {row.figure} | {row.ratio} | {row.target} | {_mark(row)} |"
        for row in sheet.rows
    ]


def _mark(row: Row) -> str:
    return "" if row.reached is None else "reached" if row.reached else "not reached"
