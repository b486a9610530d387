"""One line of ``callmon check``."""

from __future__ import annotations

from gateway.cli.check.finding import Finding


def test_what_is_wrong_is_said_in_place_of_the_detail() -> None:
    assert str(Finding("Redis", "answers")) == "ok    Redis: answers"
    assert str(Finding("Redis", "answers", "no right")) == "WRONG Redis: no right"


def test_lines_are_in_line() -> None:
    """The words begin in the same column, so that the wrong ones are seen."""
    fine, wrong = str(Finding("x", "y")), str(Finding("x", "y", "z"))
    assert fine.index("x") == wrong.index("x")
