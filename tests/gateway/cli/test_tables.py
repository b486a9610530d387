"""Test that tables on the command line show all that they hold."""

from __future__ import annotations

import pytest

from gateway.cli.tables import show

ROW = ("2026-03-04T08:15:30.250Z", "x" * 300 + " [/b] [red]é[/] :smile:")


def test_elsewhere_than_in_a_terminal_each_row_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show(("when", "with"), [ROW, ROW], "Nothing.", whole="when")
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in map(str.strip, lines)] == [list(ROW)] * 2
    show(("when", "with"), [], "Nothing.", whole="when")
    assert capsys.readouterr().out == "Nothing.\n"


def test_in_a_terminal_a_long_cell_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    show(("when", "with"), [ROW], "Nothing.", whole="when")
    out = capsys.readouterr().out
    assert (out.count("x"), out.count(ROW[0]), ":smile:" in out) == (300, 1, True)
