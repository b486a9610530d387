"""Keep the figures of all sections in ``figures.json``, and write the README beside this file.

A section that is measured alone leaves the others as they were. The head of the README is a table
of what was set as a goal: its rows take their figures from the sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.table import Row, Sheet, rows_of

README: Final = Path(__file__).with_name("README.md")
FIGURES: Final = README.with_name("figures.json")
_NOTES: Final = README.with_name("notes.md")
_NOT_MEASURED: Final = "not measured"
_SUBSCRIBERS: Final = {"delivery": "1,000", "few": "200"}
_INTRODUCTION: Final = (
    "`make bench` measures all of this anew and writes this file; `make bench-quick` measures the "
    'ratios that matter most; `make bench ARGS="--runs 3 stops rush"` measures two sections, '
    "three times each. A ratio compares values that were measured in turn in one run; absolute "
    "values vary with the machine. Peers come from PyPI and npm with pinned versions; nchan and "
    "NATS are Debian's: `apt-get install nginx libnginx-mod-nchan nats-server`. A peer that is "
    "not installed is named and left out."
)


@dataclass(frozen=True, slots=True)
class Section:
    """Hold what one section of the benchmark found: medians of so many runs."""

    sheets: list[Sheet]
    runs: int = 1
    least_load: float = 0.0
    most_load: float = 0.0
    """Load averages of the machine between the runs, the least and the greatest."""
    machine: str = ""
    when: str = ""
    """Day of the measurement."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Name a row of a section: the first whose name has these words."""

    section: str
    row: str
    sheet: int = 0
    ratio: bool = False
    """True to show its ratio in place of its figure."""

    def find(self, sections: dict[str, Section]) -> Row | None:
        """Return the row; None if the section was not measured or has none of that name."""
        section = sections.get(self.section)
        if section is None or self.sheet >= len(section.sheets):
            return None
        rows = section.sheets[self.sheet].rows
        return next((row for row in rows if self.row in row.what), None)

    def show(self, sections: dict[str, Section]) -> str:
        """Return what stands in the table."""
        row = self.find(sections)
        return _NOT_MEASURED if row is None else row.ratio if self.ratio else row.figure


@dataclass(frozen=True, slots=True)
class Headline:
    """Hold a row of the table at the head. ``peer`` and ``limit`` are texts if nobody measures."""

    what: str
    before: str
    now: tuple[Figure, ...]
    goal: str
    peer: tuple[Figure, ...] | str = "–"
    limit: tuple[Figure, ...] | str = "–"
    reached: tuple[Figure, ...] = field(default=())
    """Rows with a target, if they are others than those that are shown."""

    def cells(self, sections: dict[str, Section]) -> list[str]:
        """Return the cells of the row."""
        shown = [_joined(each, sections) for each in (self.peer, self.limit)]
        now = _joined(self.now, sections)
        return [self.what, self.before, now, self.goal, *shown, self._mark(sections)]

    def _mark(self, sections: dict[str, Section]) -> str:
        found = [figure.find(sections) for figure in self.reached or self.now]
        marks = [row.reached for row in found if row is not None and row.reached is not None]
        return "" if not marks else "reached" if all(marks) else "not reached"


def _joined(figures: tuple[Figure, ...] | str, sections: dict[str, Section]) -> str:
    if isinstance(figures, str):
        return figures
    shown = [figure.show(sections) for figure in figures]
    return _NOT_MEASURED if set(shown) == {_NOT_MEASURED} else " / ".join(shown)


def _delivery(section: str, before: str) -> Headline:
    kind, size = section.split("-")
    return Headline(
        f"CPU time per delivery, {_SUBSCRIBERS[kind]} subscribers, {int(size):,} bytes; as a "
        "multiple of write(2)'s",
        before,
        (Figure(section, "callmon"), Figure(section, "write(2)", ratio=True)),
        "≤ 1.25 × write(2)",
        (Figure(section, "picows"), Figure(section, "nchan"), Figure(section, "NATS")),
        (Figure(section, "write(2)"),),
        (Figure(section, "write(2)"),),
    )


HEADLINES: Final = (
    _delivery("delivery-200", "not measured"),
    _delivery("delivery-1000", "not measured"),
    _delivery("delivery-4000", "1.06 to 1.10 × write(2) in C, 5,000 subscribers"),
    _delivery("few-200", "not measured"),
    _delivery("few-4000", "not measured"),
    Headline(
        "first / middle / last of 1,000 subscribers, 4,000 bytes",
        "not measured",
        (Figure("delivery-4000", "callmon", 1),),
        "–",
        (Figure("delivery-4000", "picows", 1),),
        (Figure("delivery-4000", "write(2)", 1),),
    ),
    Headline(
        "first / middle / last of 200 subscribers, 4,000 bytes",
        "not measured",
        (Figure("few-4000", "callmon", 1),),
        "–",
        (Figure("few-4000", "picows", 1), Figure("few-4000", "NATS", 1)),
        (Figure("few-4000", "write(2)", 1),),
    ),
    Headline(
        "500 quiet PBXs on one gateway: ready, memory",
        "26 PBXs; 30 were never ready",
        (Figure("many-pbxs-gateway", "ready"), Figure("many-pbxs-gateway", "memory")),
        "< 5 s, ≤ 200 MiB",
    ),
    Headline(
        "500 quiet PBXs on one monitor: ready, memory",
        "not measured",
        (Figure("many-pbxs-monitor", "ready"), Figure("many-pbxs-monitor", "memory")),
        "< 5 s, ≤ 200 MiB",
    ),
    Headline(
        "longest stop of the event loop at 2,400 calls a minute, monitor / gateway",
        "122 / 153 ms",
        (Figure("stops", "monitor: longest stop"), Figure("stops", "gateway: longest stop")),
        "≤ 30 / 30 ms",
        limit=(Figure("stops", "monitor: longest coll"), Figure("stops", "gateway: longest coll")),
    ),
    Headline(
        "500 subscribers at once, whole snapshots: stop / memory",
        "856 ms / +738 MiB",
        (Figure("newcomers", "MB: longest stop"), Figure("newcomers", "MB: memory")),
        "≤ 60 ms / +150 MiB",
    ),
    Headline(
        "500 subscribers at once, each filtered: stop / CPU",
        "744 ms / –",
        (Figure("newcomers", "extension: longest"), Figure("newcomers", "extension: CPU")),
        "≤ 30 ms / 1 s",
    ),
    Headline(
        "bytes on the wire with compression / CPU time of a delivery",
        "100 %",
        (
            Figure("compression", "bytes, compressed", ratio=True),
            Figure("compression", "CPU time, compressed", ratio=True),
        ),
        "≤ 0.28 / ≤ 1.05",
    ),
    Headline(
        "memory of an idle connection (13.7 KiB by hand, see below)",
        "17.3 KiB",
        (Figure("crowd", "resident memory"),),
        "≤ 10 KiB",
        "Node ws 8.2, nchan 10.2 KiB, by hand",
    ),
    Headline(
        "states known only from ActiveCalls, p50 / p99; part of the monitor's CPU time",
        "111 / 210 ms; 23 %",
        (
            Figure("queues", "ActiveCalls, p50"),
            Figure("queues", "ActiveCalls, p99"),
            Figure("queues", "ActiveCalls' part"),
        ),
        "60 / 150 ms; ≤ 15 %",
    ),
    Headline(
        "queue calls with their queue within 300 ms / never",
        "62 % within 1 s / 23 %",
        (Figure("queues", "within 300 ms"), Figure("queues", "never")),
        "≥ 99 % / 0",
    ),
    Headline(
        "REST, 10 calls: GET / a page of another origin / POST",
        "12 to 14 / 133 to 141 µs",
        (
            Figure("queries", "callmon gateway"),
            Figure("queries", "another origin"),
            Figure("queries", "POST"),
        ),
        "≤ 50 µs for all",
        (Figure("queries", "bare route"),),
        reached=(Figure("queries", "slowest of our forms"),),
    ),
    Headline(
        "a rush, extension states: p99 / greatest",
        "– / 4,009 ms with queues",
        (Figure("rush", "extension states: p99"), Figure("rush", "extension states: greatest")),
        "greatest ≤ 250 ms",
        limit="50 ms to the PBX",
    ),
)


def load() -> dict[str, Section]:
    """Return the sections that were measured until now."""
    if not FIGURES.exists():
        return {}
    return msgspec.json.decode(FIGURES.read_bytes(), type=dict[str, Section])


def add(name: str, section: Section) -> None:
    """Keep what a section found, in place of what it found before."""
    sections = load()
    sections[name] = section
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(sections), indent=1) + b"\n")


def write(order: Sequence[str]) -> None:
    """Write the README: the head, all sections in this order, what is known of ways given up."""
    sections = load()
    README.write_text(text(sections, order, _NOTES.read_text(encoding="utf-8")), encoding="utf-8")


def text(sections: dict[str, Section], order: Sequence[str], notes: str) -> str:
    """Return the README."""
    machines = sorted({section.machine for section in sections.values()})
    lines = ["# Benchmarks", "", _INTRODUCTION, "", f"Machine: {'; '.join(machines)}.", ""]
    lines += _head(sections)
    for name in order:
        if name in sections:
            lines += _section(name, sections[name])
    lines += ["", "## What was tried", "", notes.strip()]
    return "\n".join(lines) + "\n"


def _head(sections: dict[str, Section]) -> list[str]:
    lines = [
        "| what | before | now | goal | best peer | bare limit | |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    return lines + [f"| {' | '.join(each.cells(sections))} |" for each in HEADLINES]


def _section(name: str, section: Section) -> list[str]:
    lines: list[str] = []
    runs = f"Median of {section.runs} runs" if section.runs > 1 else "One run"
    load = (
        f"{section.least_load:.0f} to {section.most_load:.0f}" if section.most_load else "unknown"
    )
    for sheet in section.sheets:
        lines += ["", f"## {sheet.title}", "", sheet.note, ""]
        lines += [f"{runs} of `{name}`, {section.when}; load average of the machine: {load}.", ""]
        lines += ["| | figure | ratio | target | |", "|---|--:|--:|--:|---|", *rows_of(sheet)]
    return lines
