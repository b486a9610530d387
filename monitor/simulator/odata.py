"""OData v4 expressions over rows that are dicts: ``$filter`` and ``$orderby``. Pure. The one door to odata-query.

The package's grammar is used; the evaluation is our own. A row may be any mapping from property names; how a name is
looked up is the caller's business (``get``), so that navigation works as well. Rules followed (OData 4.01 part 2,
section 5.1.1): a comparison with null by ``eq``/``ne`` is a plain one, by the others false; functions of null are null;
``and``, ``or``, ``not`` have three values; a row is taken if the result is true. Comparing values of different types is
an error, as in the real service. Not known here: arithmetic, parts of dates, geography.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from monitor.simulator.xapi_values import FUNCTIONS, ODataError, call, equal, instant, ordered, sort_key, truth

__all__ = ["Filter", "ODataError", "Row", "parse_filter", "parse_orderby", "plain", "split"]

Row: TypeAlias = Mapping[str, Any]
Get: TypeAlias = Callable[[Row, str], Any]
Expression: TypeAlias = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled ``$filter``. ``matches`` raises ODataError where values' types do not fit."""

    matches: Callable[[Row], bool]
    pinned: Mapping[str, object]
    """Properties that every matching row has with exactly this value: a row can be looked up instead of searched."""


def plain(row: Row, name: str) -> Any:
    """The usual look-up: the property itself, null where there is none."""
    return row.get(name)


def parse_filter(text: str, known: Collection[str] | None = None, get: Get = plain) -> Filter:
    """Compile a ``$filter``. ``known``: names of the properties that there are; None: any. Raises ODataError."""
    tree = _parse(text)
    evaluate = _Compiler(known, get).compile(tree)
    return Filter(lambda row: truth(evaluate(row)) is True, dict(_pinned(tree)))


def parse_orderby(
    text: str, known: Collection[str] | None = None, get: Get = plain
) -> Callable[[list[Any]], list[Any]]:
    """Compile an ``$orderby`` into a function that gives the rows sorted, null first. Both may raise ODataError."""
    keys: list[tuple[Expression, bool]] = []
    for item in split(text):
        words = item.rsplit(maxsplit=1)
        directed = len(words) == 2 and words[1].lower() in ("asc", "desc")
        evaluate = _Compiler(known, get).compile(_parse(words[0] if directed else item))
        keys.append((evaluate, directed and words[1].lower() == "desc"))
    return lambda rows: reduce(_sorted, reversed(keys), rows)


def split(text: str, separator: str = ",") -> list[str]:
    """Parts of a list, stripped; separators within parentheses or quotes do not count. Raises ODataError."""
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


class _Lexer(ODataLexer):
    """The package's lexer with words kept whole (``AllowLanOnly`` is no ``all``) and with typed enum literals."""

    tokens = ODataLexer.tokens
    ANY = r"any(?=\s*\()"  # type: ignore[assignment]  # rules are strings or methods, as the library's metaclass wants
    ALL = r"all(?=\s*\()"  # type: ignore[assignment]

    @_(r"(?:true|false)\b")  # type: ignore[name-defined,untyped-decorator]  # noqa: F821 - given by the metaclass
    def BOOLEAN(self, token: Any) -> Any:  # noqa: N802
        token.value = ast.Boolean(token.value)
        return token

    @_(r"null\b")  # type: ignore[name-defined,untyped-decorator]  # noqa: F821
    def NULL(self, token: Any) -> Any:  # noqa: N802
        token.value = ast.Null()
        return token

    @_(r"(?:Pbx\.\w+)?'(?:[^']|'')*'")  # type: ignore[name-defined,untyped-decorator]  # noqa: F821
    def STRING(self, token: Any) -> Any:  # noqa: N802
        token.value = ast.String(token.value[token.value.index("'") + 1 : -1].replace("''", "'"))
        return token


def _parse(text: str) -> Any:
    try:
        return ODataParser().parse(_lists_of_one(_Lexer().tokenize(text.strip())))
    except (exceptions.ODataException, ValueError, AttributeError, NotImplementedError) as error:
        raise ODataError(f"The expression '{text}' is not valid: {error}") from error


def _lists_of_one(tokens: Iterator[Any]) -> Iterator[Any]:
    """``in ('a')`` is valid OData, but the grammar wants ``in ('a',)``."""
    last: list[Any] = []
    for token in tokens:
        if token.type == ")" and [t.type for t in last[:2]] == ["IN", "("] and len(last) == 3:
            comma = type(token)()
            comma.type, comma.value, comma.lineno, comma.index = ",", ",", token.lineno, token.index
            yield comma
        if token.type != "WS":
            last = [*last[-2:], token]
        yield token


def _pinned(node: Any) -> Iterator[tuple[str, object]]:
    match node:
        case ast.BoolOp(op=ast.And()):
            for part in _operands(node):
                if not isinstance(part, ast.BoolOp):
                    yield from _pinned(part)
        case ast.Compare(
            comparator=ast.Eq(), left=ast.Identifier(name=name), right=ast.String() | ast.Integer() as literal
        ):
            yield name, literal.py_val
        case _:
            return


_VARIABLE: Final = "$it/"
_WORDS: Final = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}


class _Compiler:
    """Makes functions of expressions. ``variables``: those of the lambdas around."""

    def __init__(self, known: Collection[str] | None, get: Get, variables: frozenset[str] = frozenset()) -> None:
        self._known = known
        self._get = get
        self._variables = variables

    def compile(self, node: Any) -> Expression:
        try:
            return self._compile(node)
        except RecursionError as error:
            raise ODataError("The expression is nested too deeply.") from error

    def _compile(self, node: Any) -> Expression:
        match node:
            case ast.Identifier():
                return self._identifier(".".join((*node.namespace, node.name)))
            case ast.Attribute(owner=owner, attr=name):
                return self._attribute(owner, name)
            case ast.Compare(comparator=comparator, left=left, right=right):
                return _comparison(comparator, self._compile(left), self._compile(right))
            case ast.BoolOp():
                return self._junction(node)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._compile(operand)
                return lambda row: None if (value := truth(inner(row))) is None else not value
            case ast.Call(func=function, args=arguments):
                return self._call(function.name, [self._compile(argument) for argument in arguments])
            case ast.CollectionLambda(owner=owner, operator=quantifier, lambda_=body):
                return self._quantifier(owner, quantifier, body)
            case _:
                value = _literal(node)
                return lambda _: value

    def _identifier(self, name: str) -> Expression:
        get = self._get
        if name in self._variables:
            return lambda row: row[_VARIABLE + name]
        if self._known is not None and name not in self._known:
            raise ODataError(f"Could not find a property named '{name}'.")
        if get is plain:
            return lambda row: row.get(name)
        return lambda row: get(row, name)

    def _attribute(self, owner: Any, name: str) -> Expression:
        inner, get = self._compile(owner), self._get

        def attribute(row: Row) -> Any:
            value = inner(row)
            return get(value, name) if isinstance(value, Mapping) else None

        return attribute

    def _junction(self, node: Any) -> Expression:
        parts = [self._compile(operand) for operand in _operands(node)]
        stop = isinstance(node.op, ast.Or)

        def junction(row: Row) -> bool | None:
            result: bool | None = not stop
            for part in parts:
                value = truth(part(row))
                if value is stop:
                    return stop
                result = None if value is None else result
            return result

        return junction

    def _call(self, name: str, parts: list[Expression]) -> Expression:
        if name not in FUNCTIONS:
            raise ODataError(f"The function '{name}' is not supported.")
        return lambda row: call(name, [part(row) for part in parts])

    def _quantifier(self, owner: Any, quantifier: Any, body: Any) -> Expression:
        rows = self._compile(owner)
        if body is None:
            return lambda row: bool(rows(row))
        name: str = body.identifier.name
        inner = _Compiler(self._known, self._get, self._variables | {name}).compile(body.expression)
        combine = any if isinstance(quantifier, ast.Any) else all
        return lambda row: combine(inner({**row, _VARIABLE + name: item}) is True for item in rows(row) or ())


def _operands(node: Any) -> list[Any]:
    """All operands of a chain of the same word, in order: chains may be hundreds long."""
    found, left = [node.right], node.left
    while isinstance(left, ast.BoolOp) and left.op == node.op:
        found.append(left.right)
        left = left.left
    return [left, *reversed(found)]


def _comparison(comparator: Any, left: Expression, right: Expression) -> Expression:
    match comparator:
        case ast.Eq():
            return lambda row: equal(left(row), right(row))
        case ast.NotEq():
            return lambda row: not equal(left(row), right(row))
        case ast.In():
            return lambda row: any(equal(left(row), value) for value in right(row))
        case _:
            word = _WORDS[type(comparator)]
            return lambda row: ordered(word, left(row), right(row))


def _literal(node: Any) -> Any:
    match node:
        case ast.Null():
            return None
        case ast.Integer() | ast.Float() | ast.Boolean() | ast.String():
            return node.py_val
        case ast.DateTime(val=text):
            return instant(text)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Integer() | ast.Float() as number):
            return -number.py_val
        case ast.List(val=items):
            return [_literal(item) for item in items]
        case _:
            raise ODataError(f"'{type(node).__name__}' is not supported in an expression.")
