"""Test that the truth is reckoned from the journal alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ALLOWED = ("monitor.simulator.calls.acts", "tests.truth")
JOURNAL = ("monitor.simulator.pbx_data.dn",)
"""What the journal may import: the names of the kinds of DN."""
ROOT = Path(__file__).parents[2]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""


def _foreign(path: Path, allowed: tuple[str, ...]) -> list[str]:
    return [
        module
        for module in _imports(path)
        if module.partition(".")[0] not in sys.stdlib_module_names
        and not any(module == name or module.startswith(f"{name}.") for name in allowed)
    ]


def test_the_truth_imports_the_journal_and_nothing_else_of_callmon() -> None:
    modules = [path for path in Path(__file__).parent.glob("*.py") if "test_" not in path.name]
    assert {path.name for path in modules} >= {"calls.py", "figures.py"}
    assert {path.name: _foreign(path, ALLOWED) for path in modules} == {
        path.name: [] for path in modules
    }


def test_the_journal_imports_the_kinds_of_dn_and_nothing_else() -> None:
    for module in (*ALLOWED[:1], *JOURNAL):
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        assert _foreign(path, JOURNAL) == []
