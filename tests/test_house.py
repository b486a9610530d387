"""Test where modules lie and what they are called, so that the file list stays readable."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

from tests.conftest import ROOT

PACKAGES = ("monitor", "gateway")
MOST_MODULES = 17
"""In one folder."""
MOST_WITHOUT_TESTS = 0.1
"""Share of the modules that may lack a test file of their own name. Never to be raised."""
MOST_DECISIONS = 12
"""In one function of the tracker."""
LOGS = {"log", "logger", "_log", "_logger", "_always"}
"""Names of loggers: variables, attributes, and the function that makes a ProgramLog's logger."""
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
NO_BEGINNING = re.compile(r"(Of|What|Whether|Who|Whom|Whose|How|Why|When|Where|So)\b")
"""Words that begin no docstring: a verb does, or the noun that an attribute is."""
NO_EVENTS = {"gateway/stream_client/client.py", "monitor/commands/request_consumer.py:_warn"}
"""The module logs sentences with :mod:`logging` for programs that use it.

The function passes on an event.
"""


def _modules() -> list[Path]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return [
        file.relative_to(ROOT) for file in files if file.name not in ("__init__.py", "__main__.py")
    ]


@cache
def _trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each file, by its path."""
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
    }


def test_no_folder_holds_more_modules_than_can_be_looked_over() -> None:
    sizes = Counter(module.parent for module in _modules())
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_a_class_name_means_one_thing() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for place, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{place}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_docstring_begins_like_a_question() -> None:
    """Also those of attributes: strings that stand alone below an assignment."""
    found = []
    for place, tree in _trees().items():
        for node in ast.walk(tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))) if NO_BEGINNING.match(text):
                    found.append(f"{place}:{node.lineno}: {text[:40]}")
    assert found == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Raises CycleError, which names the circle. Imports for types alone count too."""
    graph = grimp.build_graph(*PACKAGES)
    sorter = TopologicalSorter(
        {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    )
    sorter.prepare()


def test_most_modules_have_a_test_file_of_their_name() -> None:
    modules = _modules()
    without = [m for m in modules if not (ROOT / "tests" / m.parent / f"test_{m.name}").exists()]
    assert len(without) <= len(modules) * MOST_WITHOUT_TESTS, sorted(map(str, without))


def test_every_log_event_has_a_name_that_can_be_searched() -> None:
    """The event is a constant in snake_case; facts are fields beside it."""
    events: list[str | None] = []
    wrong: list[str] = []
    for place, tree in _trees().items():
        for line, where, event in _logged(tree, place):
            if {place, where} & NO_EVENTS:
                continue
            events.append(event)
            if event is None or not re.fullmatch("[a-z][a-z0-9_]*", event):
                wrong.append(f"{place}:{line}: {event}")
    assert wrong == []
    assert len(events) > 80, "they are found at all"


def _logged(tree: ast.Module, place: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield line, function and event of each use of a log; the event is None if not constant."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    within = {
        id(inner): f"{place}:{function.name}"
        for function in functions
        for inner in ast.walk(function)
    }
    # A method of a log may be chosen first: say = log.warning if bad else log.info
    chosen = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _writes(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _writes(node.func, chosen):
            match node.args:
                case [ast.Constant(value=str(event)), *_]:
                    yield node.lineno, within.get(id(node), place), event
                case _:
                    yield node.lineno, within.get(id(node), place), None


def _writes(node: ast.expr, chosen: set[str]) -> bool:
    """Return whether calling this writes to a log."""
    match node:
        case ast.IfExp():
            return _writes(node.body, chosen) or _writes(node.orelse, chosen)
        case ast.Name():
            return node.id in chosen
        case ast.Attribute(attr="_warn"):
            return True
        case ast.Attribute(
            value=ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name))
        ):
            return node.attr in LEVELS and name in LOGS
        case _:
            return False


def test_no_rule_of_the_tracker_takes_more_decisions_than_can_be_followed() -> None:
    """Counted as radon counts: conditions within expressions too."""
    counts = {
        f"{place}:{node.name}": 1 + sum(map(_decisions, ast.walk(node)))
        for place, tree in _trees().items()
        if place.startswith("monitor/tracking/")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: count for name, count in counts.items() if count > MOST_DECISIONS} == {}


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.IfExp() | ast.For() | ast.While() | ast.ExceptHandler() | ast.Lambda():
            return 1
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=ifs):
            return 1 + len(ifs)
        case ast.Match(cases=cases):
            return len(cases)
    return 0
