"""Parse OData v4 expressions into a tree. Pure.

From the weakest binding to the strongest: ``or``, ``and``, ``eq`` ``ne``, ``gt`` ``ge`` ``lt``
``le``, ``not``, ``in`` (OData 4.01 part 2, section 5.1.1.17). Words may be written in any case. Not
supported: arithmetic, dates without a time, GUIDs, durations, geography.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from monitor.simulator.xapi.odata.operators import FUNCTIONS, ODataError, instant

_MAX_SHOWN: Final = 200
"""Maximum characters of an expression that an error about it shows."""
_TOKEN: Final = re.compile(
    r"""(?P<operator>\s+(?i:and|or|eq|ne|gt|ge|lt|le|in)\s+)
    |(?P<not>(?i:not)(?:\s+|(?=\()))
    |(?P<string>(?:Pbx\.\w+)?'(?:[^']|'')*')
    |(?P<instant>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,12})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)
    |(?P<float>[+-]?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
    |(?P<integer>[+-]?[0-9]+)
    |(?P<word>[_a-zA-Z](?:\.?\w){0,127})
    |(?P<mark>\s*[,:]\s*|\s*\)|\(\s*|/)""",
    re.VERBOSE,
)
_LITERALS: Final[dict[str, Callable[[str], object]]] = {
    "string": lambda text: text[text.index("'") + 1 : -1].replace(
        "''", "'"
    ),  # an enum's value is a string here
    "instant": instant,
    "float": float,
    "integer": int,
}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ARGUMENTS: Final = {
    "tolower": {1},
    "toupper": {1},
    "trim": {1},
    "length": {1},
    "substring": {2, 3},
}
"""Number of arguments that a function may take. Functions not listed take two."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Represent a constant. ``value``: str, int, float, bool, datetime or None."""

    value: object


@dataclass(frozen=True, slots=True)
class Name:
    """Represent a property, or the variable of a lambda."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """Represent a property of another property's value: ``owner/name``."""

    owner: Name | Member
    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Represent a comparison. ``word``: ``eq``, ``ne``, ``gt``, ``ge``, ``lt`` or ``le``."""

    word: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class OneOf:
    """Represent ``left in (values)``."""

    left: Node
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Represent a chain of operands with the same word. ``word``: ``and`` or ``or``."""

    word: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """Represent ``not operand``."""

    operand: Node


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Represent a function call. The number of arguments has been checked."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Quantifier:
    """Represent ``owner/word(variable: body)``. ``word``: ``any`` or ``all``.

    Without a body, ``any`` is true if ``owner`` has any rows.
    """

    owner: Name | Member
    word: str
    variable: str
    body: Node | None


Node: TypeAlias = (
    Literal | Name | Member | Comparison | OneOf | Junction | Negation | FunctionCall | Quantifier
)


def parse(text: str) -> Node:
    """Return the tree of an expression. Raises ODataError."""
    try:
        return _Parser(text.strip()).whole()
    except RecursionError as error:
        raise ODataError("The expression is nested too deeply.") from error
    except ValueError as error:  # a number of thousands of digits
        raise ODataError(f"A number is not valid: {error}") from error


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str


class _Parser:
    """Parse the tokens of an expression. Each method takes the tokens of one rule.

    Chains are loops, so that they may be thousands of operands long.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = 0

    def whole(self) -> Node:
        node = self._either()
        if self._next().kind != "end":
            self._refuse()
        return node

    def _split(self) -> list[_Lexeme]:
        tokens, at = [], 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                raise ODataError(
                    f"Syntax error: character '{self._text[at]}' is not valid at position {at}."
                )
            at = found.end()
            kind, text = found.lastgroup, found[0].strip()
            tokens.append(_Lexeme(kind, text.lower() if kind == "operator" else text))
        return [*tokens, _Lexeme("end", "")]

    # the tokens

    def _next(self) -> _Lexeme:
        return self._tokens[self._at]

    def _taken(self, kind: str, *texts: str) -> str | None:
        """Take the next token if it has this kind and text, and return its text; else None."""
        token = self._next()
        if token.kind != kind or (texts and token.text not in texts):
            return None
        self._at += 1
        return token.text

    def _mark(self, mark: str) -> None:
        if self._taken("mark", mark) is None:
            self._refuse()

    def _word(self) -> str:
        word = self._taken("word")
        return self._refuse() if word is None else word

    def _refuse(self) -> NoReturn:
        found = self._next()
        what = f"'{found.text}'" if found.kind != "end" else "the end"
        raise ODataError(f"Syntax error: {what} was not expected in '{self._text[:_MAX_SHOWN]}'.")

    # the rules

    def _either(self) -> Node:
        return self._chain("or", self._every)

    def _every(self) -> Node:
        return self._chain("and", self._equality)

    def _chain(self, word: str, operand: Callable[[], Node]) -> Node:
        operands = [operand()]
        while self._taken("operator", word) is not None:
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Junction(word, tuple(operands))

    def _equality(self) -> Node:
        return self._comparisons(("eq", "ne"), self._relation)

    def _relation(self) -> Node:
        return self._comparisons(("gt", "ge", "lt", "le"), self._negation)

    def _comparisons(self, words: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        node = operand()
        while (word := self._taken("operator", *words)) is not None:
            node = Comparison(word, node, operand())
        return node

    def _negation(self) -> Node:
        count = 0
        while self._taken("not") is not None:
            count += 1
        node = self._membership()
        for _ in range(count):
            node = Negation(node)
        return node

    def _membership(self) -> Node:
        node = self._operand()
        if self._taken("operator", "in") is None:
            return node
        self._mark("(")
        values = [self._literal()]
        while self._taken("mark", ",") is not None:
            values.append(self._literal())
        self._mark(")")
        return OneOf(node, tuple(values))

    def _literal(self) -> object:
        token = self._next()
        if token.kind == "word" and token.text.lower() in _CONSTANTS:
            self._at += 1
            return _CONSTANTS[token.text.lower()]
        if token.kind not in _LITERALS:
            self._refuse()
        self._at += 1
        return _LITERALS[token.kind](token.text)

    def _operand(self) -> Node:
        if self._taken("mark", "(") is not None:
            node = self._either()
            self._mark(")")
            return node
        if self._next().kind != "word" or self._next().text.lower() in _CONSTANTS:
            return Literal(self._literal())
        name = self._word()
        return self._path(Name(name)) if self._taken("mark", "(") is None else self._call(name)

    def _path(self, owner: Name | Member) -> Node:
        node = owner
        while self._taken("mark", "/") is not None:
            name = self._word()
            if name.lower() in ("any", "all") and self._taken("mark", "(") is not None:
                return self._quantifier(node, name.lower())
            node = Member(node, name)
        return node

    def _quantifier(self, owner: Name | Member, word: str) -> Node:
        if word == "any" and self._taken("mark", ")") is not None:
            return Quantifier(owner, word, "", None)
        variable = self._word()
        self._mark(":")
        body = self._either()
        self._mark(")")
        return Quantifier(owner, word, variable, body)

    def _call(self, function: str) -> Node:
        if function not in FUNCTIONS:
            raise ODataError(f"The function '{function}' is not supported.")
        arguments = [self._either()]
        while self._taken("mark", ",") is not None:
            arguments.append(self._either())
        self._mark(")")
        if len(arguments) not in _ARGUMENTS.get(function, {2}):
            raise ODataError(f"No function signature for '{function}' matches the arguments.")
        return FunctionCall(function, tuple(arguments))
