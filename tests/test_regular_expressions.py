"""Test that every regular expression takes linear time: no text can hold up a program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import gateway
import monitor
from tests.backtracking import growth

_PACKAGES = [Path(str(package.__file__)).parent for package in (monitor, gateway)]
ROOT = _PACKAGES[0].parent
_TRIED_EVERYWHERE = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
_CALLS = _TRIED_EVERYWHERE | {"compile", "match", "fullmatch"}
_JS_LITERAL = re.compile(  # "/>" is the end of an element in a template
    r"[=(,:!&|?{};\[] *(/(?![/*>])(?:[^\n/\\\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)[a-z]*"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression in the sources, and how it is used."""

    where: str
    pattern: str
    flags: int = 0
    search: bool = False
    full: bool = False


def python_expressions(source: str, where: str) -> Iterator[Expression]:
    """All of them in a module, ``pattern=`` of pydantic and msgspec too.

    Raises ValueError for one not written out.
    """
    tree = ast.parse(source)
    compiled_used = _uses(tree)
    texts = _imported(tree) | _assigned(tree)
    tables = {
        part.id: list(_strings(texts[table.id]))
        for loop in ast.walk(tree)
        if isinstance(loop, ast.For)
        for part in ast.walk(loop.target)
        if isinstance(part, ast.Name)
        for table in ast.walk(loop.iter)
        if isinstance(table, ast.Name) and table.id in texts
    }
    names = {id(value): name for name, value in texts.items()}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        at = f"{where}:{node.lineno}"
        for keyword in node.keywords:
            if keyword.arg == "pattern":
                yield Expression(at, _text(keyword.value, texts, at), search=True)
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            if node.func.attr not in _CALLS:
                continue
            used = (
                {node.func.attr}
                if node.func.attr != "compile"
                else compiled_used.get(names.get(id(node), ""), set())
            )
            named = node.args[0]
            listed = tables.get(named.id) if isinstance(named, ast.Name) else None
            for pattern in listed or [_text(named, texts, at)]:
                search = not used or bool(used & _TRIED_EVERYWHERE)
                yield Expression(
                    at, pattern, _flags(node), search, full=not used or "fullmatch" in used
                )


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
        if isinstance(target, ast.Name)
    }


def _imported(tree: ast.Module) -> dict[str, ast.expr]:
    """Texts of the modules of the project from which a module takes constants, by name."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            file = (ROOT / node.module.replace(".", "/")).with_suffix(".py")
            names = {alias.name for alias in node.names if alias.name.isupper()}
            if names and file.exists():
                found |= {
                    name: value
                    for name, value in _assigned(_parsed(file)).items()
                    if isinstance(value, ast.Constant | ast.JoinedStr)
                }
    return found


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _strings(node: ast.expr) -> Iterator[str]:
    return (
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


def _uses(tree: ast.Module) -> dict[str, set[str]]:
    """Name of a compiled expression → methods that are taken from it."""
    used: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr in _CALLS
        ):
            used.setdefault(node.value.id, set()).add(node.attr)
    return used


def _text(node: ast.expr, texts: dict[str, ast.expr], at: str) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=bytes(octets)):
            return octets.decode("latin-1")
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return _text(left, texts, at) + _text(right, texts, at)
        case ast.Name(id=name) if name in texts:
            return _text(texts[name], texts, at)
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, texts, at) for part in parts)
        case ast.FormattedValue(value=ast.Name() as value, conversion=-1, format_spec=None):
            return _text(value, texts, at)
    raise ValueError(f"{at}: a regular expression that is not written out cannot be judged")


def _flags(call: ast.Call) -> int:
    flags = 0
    for node in [*call.args[1:], *(keyword.value for keyword in call.keywords)]:
        for each in ast.walk(node):
            if (
                isinstance(each, ast.Attribute)
                and isinstance(each.value, ast.Name)
                and each.value.id == "re"
            ):
                flags |= getattr(re, each.attr)
    return flags


def all_python() -> list[Expression]:
    """All of the project's."""
    return [
        expression
        for package in _PACKAGES
        for file in sorted(package.rglob("*.py"))
        for expression in python_expressions(
            file.read_text(), str(file.relative_to(package.parent))
        )
    ]


def all_javascript() -> list[Expression]:
    """All of the pages' own."""
    static = _PACKAGES[1] / "static"
    files = [
        file
        for file in sorted(static.rglob("*.js"))
        if not {"vendor", "swagger-ui"} & set(file.parts)
    ]
    return [
        Expression(file.name, _as_python(found[1][1:-1]), search=True)
        for file in files
        for found in _JS_LITERAL.finditer(file.read_text())
    ]


def _as_python(pattern: str) -> str:
    """The same expression for Python: named groups, and classes of characters by property."""
    return re.sub(r"\\p{\w+}", r"\\w", pattern.replace("(?<", "(?P<"))


def test_every_regular_expression_is_linear() -> None:
    in_python, in_pages = all_python(), all_javascript()
    assert len(in_python) > 40
    assert len(in_pages) > 0
    found = {
        f"{each.where}: {each.pattern}": growth(
            each.pattern, each.flags, search=each.search, full=each.full
        )
        for each in (*in_python, *in_pages)
    }
    assert {where: how for where, how in found.items() if how != "linear"} == {}


@pytest.mark.parametrize(
    ("pattern", "search", "full", "expected"),
    [
        (r"(?s)(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*(\w+)", False, False, "exponential"),
        (r"(a+)+$", False, False, "exponential"),
        (r"(a|a)*b", False, False, "exponential"),
        (r"(a|ab|b)*c", False, False, "exponential"),
        (r"(\w+\s?)*$", False, False, "exponential"),
        (r"a*a*b", False, False, "polynomial"),
        (r"\s*\(x\)$", True, False, "polynomial"),
        (r"\.*$", True, False, "polynomial"),
        (r".*x.*", False, True, "polynomial"),
        (r"\d+", True, False, "linear"),
        (r"\d+", False, True, "linear"),
        (r"[a-z]+(\.[a-z]+)*", False, True, "linear"),
        (r"(?:a|b)*c", False, False, "linear"),
        (r"^\s*x$", True, False, "linear"),
        (r"(?s)[^/]+/?(.*)", False, True, "linear"),
    ],
)
def test_the_measure_knows_what_grows(
    pattern: str, search: bool, full: bool, expected: str
) -> None:
    assert growth(pattern, search=search, full=full) == expected
