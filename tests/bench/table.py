"""Write the measurements as a table for the terminal and for the README beside this file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

README = Path(__file__).with_name("README.md")

_INTRODUCTION = (
    "`make bench` measures all of this anew and writes this file; `make bench-quick` measures the "
    "ratios that matter most. A ratio compares values that were measured in turn in one run; "
    "absolute values vary with the machine."
)


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
        most: float = 0.0,
        least: float = 0.0,
    ) -> None:
        """A row. ``ratio`` is to be at ``most``, or at ``least``, if these are given."""
        if ratio is None:
            self.rows.append(Row(what, figure))
            return
        target = f"≤ {most:g}" if most else f"≥ {least:g}" if least else ""
        reached = (ratio <= most if most else ratio >= least) if target else None
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


def write(sheets: list[Sheet], machine: str, tried: str) -> None:
    """Write the README: all sheets of a run; ``tried``: what is known of the ways given up."""
    lines = [
        "# Benchmarks",
        "",
        _INTRODUCTION,
        "",
        f"Machine: {machine}.",
    ]
    for sheet in sheets:
        lines += [
            "",
            f"## {sheet.title}",
            "",
            sheet.note,
            "",
            "| | figure | ratio | target | |",
            "|---|--:|--:|--:|---|",
        ]
        lines += [
            f"| {row.what} | {row.figure} | {row.ratio} | {row.target} | {_mark(row)} |"
            for row in sheet.rows
        ]
    lines += ["", "## What was tried", "", tried.strip()]
    README.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _mark(row: Row) -> str:
    return "" if row.reached is None else "reached" if row.reached else "not reached"
