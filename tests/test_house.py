"""Where things lie and what they are called: rules that keep the file list readable."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

from tests.conftest import ROOT

PACKAGES = ("monitor", "gateway")
MOST_MODULES = 17
"""In one folder."""
MOST_WITHOUT_TESTS = 0.6
"""Share of the modules that may lack a test file of their own name; to be lowered to 0.2, never raised."""


def _modules() -> list[Path]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return [file.relative_to(ROOT) for file in files if file.name not in ("__init__.py", "__main__.py")]


def test_no_folder_holds_more_modules_than_can_be_looked_over() -> None:
    sizes = Counter(module.parent for module in _modules())
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_a_class_name_means_one_thing() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Raises CycleError, which names the circle. Imports for types alone count too."""
    graph = grimp.build_graph(*PACKAGES)
    sorter = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    sorter.prepare()


def test_most_modules_have_a_test_file_of_their_name() -> None:
    modules = _modules()
    without = [m for m in modules if not (ROOT / "tests" / m.parent / f"test_{m.name}").exists()]
    assert len(without) <= len(modules) * MOST_WITHOUT_TESTS, sorted(map(str, without))
