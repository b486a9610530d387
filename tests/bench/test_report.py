"""Test that the benchmarks' README says what was measured, and who was left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import brokers, full, report
from tests.bench.report import HEADLINES, Figure, Headline, Section
from tests.bench.table import Sheet, middle


def _sheet(*milliseconds: float) -> Sheet:
    sheet = Sheet("Stops", "They are short.")
    for number, each in enumerate(milliseconds):
        sheet.add(f"stop {number}", f"{each:g} ms", ratio=each, most=30)
    sheet.add("memory", f"{1_000 + milliseconds[0]:,.0f} MiB")
    return sheet


def test_the_readme_shows_the_figures_that_are_kept() -> None:
    sections = report.load()
    notes = Path(report.__file__).with_name("notes.md").read_text(encoding="utf-8")
    written = report.README.read_text(encoding="utf-8")
    assert written == report.text(sections, list(full.SECTIONS), notes)


@pytest.mark.parametrize("headline", HEADLINES, ids=[each.what for each in HEADLINES])
def test_each_row_at_the_head_finds_its_figures(headline: Headline) -> None:
    sections = report.load()
    parts = (headline.now, headline.limit, headline.reached)  # a peer may not be installed
    for figure in (each for part in parts if not isinstance(part, str) for each in part):
        assert figure.section in full.SECTIONS
        assert figure.find(sections) is not None or figure.section not in sections, figure


def test_each_row_of_several_runs_is_its_own_median() -> None:
    runs = [_sheet(40, 1), _sheet(9, 3), _sheet(10, 2)]
    runs[1].add("late", "2")
    found = middle(runs)
    assert [(row.figure, row.reached) for row in found.rows] == [
        ("10 ms", True),
        ("2 ms", True),
        ("1,010 MiB", None),
        ("2", None),
    ]


def test_a_goal_is_reached_if_all_its_rows_are() -> None:
    sections = {"stops": Section([_sheet(40, 1)])}
    rows = Figure("stops", "stop 0"), Figure("stops", "stop 1")
    assert Headline("", "", rows, "").cells(sections)[2:] == [
        "40 ms / 1 ms",
        "",
        "–",
        "–",
        "not reached",
    ]
    assert Headline("", "", rows[1:], "").cells(sections)[-1] == "reached"
    assert Headline("", "", (Figure("rush", "p50"),), "").cells(sections)[2] == "not measured"


def test_a_server_that_is_not_installed_is_named_with_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "sbin"))
    monkeypatch.setattr(brokers, "_PLACES", str(tmp_path / "sbin"))
    assert brokers.missing() == {
        brokers.NCHAN: "nginx and libnginx-mod-nchan",
        brokers.NATS: "nats-server",
    }
    for name in ("sbin/nginx", "sbin/nats-server", "lib/nginx/modules/ngx_nchan_module.so"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    assert brokers.missing() == {}
