"""Evaluate OData v4 expressions over dict rows: ``$filter`` and ``$orderby``. Pure.

The grammar is in :mod:`monitor.simulator.xapi.odata.grammar`. A row may be any mapping from
property names. The caller's ``get`` looks names up, so navigation works as well. Rules followed
(OData 4.01 part 2, section 5.1.1):

- ``eq`` and ``ne`` compare with null as with any value. Other comparisons with null are false.
- Functions of null are null.
- ``and``, ``or`` and ``not`` have three values. A row is taken if the result is true.
- Comparing values of different types is an error, as in the real service.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias, assert_never

from monitor.simulator.xapi.odata.grammar import (
    Comparison,
    FunctionCall,
    Junction,
    Literal,
    Member,
    Name,
    Negation,
    Node,
    OneOf,
    Quantifier,
    parse,
)
from monitor.simulator.xapi.odata.operators import ODataError, call, equal, ordered, sort_key, truth

__all__ = ["ODataError", "ODataFilter", "Row", "parse_filter", "parse_orderby", "plain", "split"]

Row: TypeAlias = Mapping[str, Any]
Get: TypeAlias = Callable[[Row, str], Any]
Expression: TypeAlias = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class ODataFilter:
    """Hold a compiled ``$filter``. ``matches`` raises ODataError if values' types do not fit."""

    matches: Callable[[Row], bool]
    pinned: Mapping[str, object]
    """Properties for which every matching row has exactly this value.

    With them a row can be looked up instead of searched."""


def plain(row: Row, name: str) -> Any:
    """Return the property itself, or None if it is missing. This is the usual look-up."""
    return row.get(name)


def parse_filter(text: str, known: Collection[str] | None = None, get: Get = plain) -> ODataFilter:
    """Compile a ``$filter``. Raises ODataError.

    ``known``: names of the existing properties; None: any name.
    """
    tree = parse(text)
    evaluate = _Compiler(known, get).compile(tree)
    return ODataFilter(lambda row: truth(evaluate(row)) is True, dict(_pinned(tree)))


def parse_orderby(
    text: str, known: Collection[str] | None = None, get: Get = plain
) -> Callable[[list[Any]], list[Any]]:
    """Compile an ``$orderby`` into a function that returns the rows sorted, null first.

    Both may raise ODataError.
    """
    keys: list[tuple[Expression, bool]] = []
    for item in split(text):
        words = item.rsplit(maxsplit=1)
        directed = len(words) == 2 and words[1].lower() in ("asc", "desc")
        evaluate = _Compiler(known, get).compile(parse(words[0] if directed else item))
        keys.append((evaluate, directed and words[1].lower() == "desc"))
    return lambda rows: reduce(_sorted, reversed(keys), rows)


def split(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a list, stripped. Raises ODataError.

    Separators within parentheses or quotes do not count.
    """
    parts, depth, quoted, start = [], 0, False, 0
    for position, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and depth == 0 and letter == separator:
            parts.append(text[start:position].strip())
            start = position + 1
    if quoted or depth:
        raise ODataError(f"Unbalanced quotes or parentheses in '{text}'.")
    parts.append(text[start:].strip())
    if not all(parts):
        raise ODataError(f"An item is empty in '{text}'.")
    return parts


def _sorted(rows: list[Any], key: tuple[Expression, bool]) -> list[Any]:
    evaluate, descending = key
    try:
        return sorted(rows, key=lambda row: sort_key(evaluate(row)), reverse=descending)
    except TypeError as error:
        raise ODataError("The values of the $orderby expression cannot be compared.") from error


def _pinned(node: Node) -> Iterator[tuple[str, object]]:
    match node:
        case Junction(word="and", operands=operands):
            for operand in operands:
                if isinstance(operand, Comparison):
                    yield from _pinned(operand)
        case Comparison(word="eq", left=Name(name=name), right=Literal(value=value)) if type(
            value
        ) in (str, int):
            yield name, value
        case _:
            return


_VARIABLE: Final = "$it/"


class _Compiler:
    """Compile expressions into functions. ``variables``: those of the surrounding lambdas."""

    def __init__(
        self, known: Collection[str] | None, get: Get, variables: frozenset[str] = frozenset()
    ) -> None:
        self._known = known
        self._get = get
        self._variables = variables

    def compile(self, node: Node) -> Expression:
        try:
            return self._compile(node)
        except RecursionError as error:
            raise ODataError("The expression is nested too deeply.") from error

    def _compile(self, node: Node) -> Expression:
        match node:
            case Name(name=name):
                return self._name(name)
            case Member(owner=owner, name=name):
                return self._member(owner, name)
            case Comparison(word=word, left=left, right=right):
                return _comparison(word, self.compile(left), self.compile(right))
            case OneOf(left=left, values=values):
                inner = self.compile(left)
                return lambda row: any(equal(inner(row), value) for value in values)
            case Junction():
                return self._junction(node)
            case Negation(operand=operand):
                negated = self.compile(operand)
                return lambda row: None if (value := truth(negated(row))) is None else not value
            case FunctionCall(function=function, arguments=arguments):
                return _call(function, [self.compile(argument) for argument in arguments])
            case Quantifier():
                return self._quantifier(node)
            case Literal(value=constant):
                return lambda _: constant
        assert_never(node)

    def _name(self, name: str) -> Expression:
        get = self._get
        if name in self._variables:
            return lambda row: row[_VARIABLE + name]
        if self._known is not None and name not in self._known:
            raise ODataError(f"Could not find a property named '{name}'.")
        if get is plain:
            return lambda row: row.get(name)
        return lambda row: get(row, name)

    def _member(self, owner: Node, name: str) -> Expression:
        inner, get = self.compile(owner), self._get

        def member(row: Row) -> Any:
            value = inner(row)
            return get(value, name) if isinstance(value, Mapping) else None

        return member

    def _junction(self, node: Junction) -> Expression:
        parts = [self.compile(operand) for operand in node.operands]
        stop = node.word == "or"

        def junction(row: Row) -> bool | None:
            result: bool | None = not stop
            for part in parts:
                value = truth(part(row))
                if value is stop:
                    return stop
                result = None if value is None else result
            return result

        return junction

    def _quantifier(self, node: Quantifier) -> Expression:
        rows, name = self.compile(node.owner), node.variable
        if node.body is None:
            return lambda row: bool(rows(row))
        inner = _Compiler(self._known, self._get, self._variables | {name}).compile(node.body)
        combine = any if node.word == "any" else all
        return lambda row: combine(
            inner({**row, _VARIABLE + name: item}) is True for item in rows(row) or ()
        )


def _call(name: str, parts: list[Expression]) -> Expression:
    return lambda row: call(name, [part(row) for part in parts])


def _comparison(word: str, left: Expression, right: Expression) -> Expression:
    match word:
        case "eq":
            return lambda row: equal(left(row), right(row))
        case "ne":
            return lambda row: not equal(left(row), right(row))
        case _:
            return lambda row: ordered(word, left(row), right(row))
