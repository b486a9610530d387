"""Test that the table of the documented commands is whole, and that its tests exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from gateway.operations.operation_table import COMMANDS
from tests.deploy.test_image import ROOT

PAGE = (ROOT / "deploy" / "commands.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
ADDED = ("all.pbx.get", "pbx.ended.get", "pbx.stats.get", "queue.stats.get", "ext.stats.get")
"""Commands of callmon's own."""
DOCUMENTED = 37
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def test_the_table_names_every_documented_command_once() -> None:
    names = [row[0].strip("`") for row in ROWS]
    assert (len(names), len(set(names))) == (DOCUMENTED, DOCUMENTED)
    assert set(names) == set(COMMANDS) - set(ADDED)
    assert all(f"`{name}`" in PAGE for name in ADDED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_command_has_the_documents_words_ours_and_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    assert "differs" not in row[2]
    assert "gap" not in row[2]
    named = TEST.findall(row[3])
    assert named
    assert row[3] == ", ".join(f"`{path}::{name}`" for path, name in named)


def test_every_test_that_the_page_names_exists() -> None:
    named = TEST.findall(PAGE)
    assert named
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not name.startswith("test_") or name not in names_in(path)
    ]
    assert missing == []


def test_every_parameter_of_a_command_is_in_its_row() -> None:
    for row in ROWS:
        for parameter in COMMANDS[row[0].strip("`")].parameters:
            if parameter.required:
                assert f"`{parameter.name}`" in row[1], (row[0], parameter.name)
