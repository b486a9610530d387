"""Check a request's arguments against the parameters of its command. Pure.

Every value comes as text, from any part of the request. A refusal is a sentence that names the
parameter, what came and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias, assert_never

from gateway.errors import BadParameter, DuplicateParameter, MissingParameter, UnknownParameter

Kind: TypeAlias = Literal["dn", "dns", "phone", "destination", "whole", "text", "sql", "choice"]
"""``dn``: an internal number or, where a PBX has such, a name. ``dns``: several of these, comma-
separated, or none. ``phone``: a phone number in any notation. ``destination``: such a number, or
an internal one. ``whole``: a whole number from 0. ``text``: a line of text, which may be empty.
``sql``: text of several lines. ``choice``: one word, in any case."""

LARGEST = 2**53 - 1
"""Largest whole number: the largest on which JSON's readers agree."""
LONGEST_DN = 64
MOST_GIVEN = 64
"""Names and values in an address, a form or an object: more than any command takes."""
IGNORED = frozenset({"_", "contact", "timeout"})
"""Parameters that mean nothing here: jQuery's against caches, and those of newer builds of the
product behind the documented interface. Its clients must not fail for them."""
_STRIPPED = frozenset({"dn", "whole", "choice"})
"""Kinds whose values count without the spaces around them: the document's own templates have
such spaces."""
LARGEST_BODY_BYTES = 64 * 1024
"""Bytes of a request's body, at most. The longest thing that a command takes is an SQL query."""
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Parameter:
    """Describe one parameter of a command.

    ``allowed``: the words that a ``choice`` takes. ``longest``: characters. ``topic``: the topic
    of the entities whose numbers a ``dn`` or ``dns`` names; ``or_topics``: others that it may name
    as well. A limited key may name only what it sees.
    """

    name: str
    kind: Kind
    summary: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    longest: int = 1000
    topic: str = ""
    or_topics: tuple[str, ...] = ()

    @property
    def topics(self) -> tuple[str, ...]:
        """Return all topics of which it may name something."""
        return (self.topic, *self.or_topics) if self.topic else ()

    @property
    def takes(self) -> str:
        """Return in words what is allowed."""
        match self.kind:
            case "dn":
                return "a number such as 101"
            case "dns":
                return "numbers separated by commas, such as 101,102"
            case "phone":
                return "a phone number with at least one digit"
            case "destination":
                return "a phone number, or a number such as 101"
            case "whole":
                return f"a whole number from 0 to {LARGEST}"
            case "text":
                return f"text of at most {self.longest} characters without control characters"
            case "sql":
                return f"text of at most {self.longest} characters"
            case "choice":
                return "one of " + ", ".join(self.allowed)
            case _:
                assert_never(self.kind)

    def accepts(self, value: str) -> bool:
        """Return whether the value is allowed."""
        if len(value) > self.longest or not _clean(value, "\t\r\n" if self.kind == "sql" else ""):
            return False
        match self.kind:
            case "dn":
                return _is_dn(value)
            case "dns":
                return not value.strip() or all(_is_dn(part.strip()) for part in value.split(","))
            case "phone":
                return any(char.isascii() and char.isdigit() for char in value)
            case "destination":
                return any(char.isalnum() for char in value)
            case "whole":
                return (
                    value.isascii()
                    and value.isdigit()
                    and len(value) <= 16
                    and int(value) <= LARGEST
                )
            case "text" | "sql":
                return True
            case "choice":
                return value in self.allowed
            case _:
                assert_never(self.kind)


@dataclass(frozen=True, slots=True)
class Arguments:
    """Hold checked values by parameter's name, in the parameters' order.

    They are hashable, so that equal requests share an answer.
    """

    values: tuple[tuple[str, str], ...] = ()

    def text(self, name: str) -> str:
        """Return a required parameter's value."""
        return next(value for given, value in self.values if given == name)

    def whole(self, name: str) -> int:
        """Return a required whole number's value."""
        return int(self.text(name))

    def optional(self, name: str) -> str | None:
        """Return a parameter's value; None if it was not given."""
        return next((value for given, value in self.values if given == name), None)


NONE = Arguments()


def check(
    parameters: Sequence[Parameter], given: Iterable[tuple[str, str]], command: str
) -> Arguments:
    """Check a request's names and values, and return them as arguments for ``parameters``.

    Raises UnknownParameter, DuplicateParameter, MissingParameter or BadParameter. ``command``:
    its name, for the messages.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    values: dict[str, str] = {}
    for given_name, given_value in given:
        name = given_name.strip()
        if name not in by_name:
            if name in IGNORED:
                continue
            raise UnknownParameter(_unknown(name, tuple(by_name), command))
        if name in values:
            raise DuplicateParameter(f"{command}: the parameter {name!r} was given twice.")
        value = _usual(by_name[name], given_value)
        if value or not may_be_left_open(by_name[name]):
            values[name] = value
    for parameter in parameters:
        _check(parameter, values.get(parameter.name), command)
    return Arguments(tuple((name, values[name]) for name in by_name if name in values))


def quoted(text: str) -> str:
    """Return a client's text so that it may be shown to the client again.

    It is shortened, and unprintable characters are escaped.
    """
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return ascii(short) if not _clean(short) else repr(short)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that somebody may have meant; None if none is like it.

    Case does not matter.
    """
    if len(word) > LONGEST_DN:
        return None
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def may_be_left_open(parameter: Parameter) -> bool:
    """Return whether an empty value of this parameter means that it was not given.

    The document's own templates leave optional parameters so. An empty text or list is a value.
    """
    return not parameter.required and parameter.kind not in ("text", "sql", "dns")


def _usual(parameter: Parameter, value: str) -> str:
    """Return the value as the document writes it: no spaces around it, a word in its case."""
    if parameter.kind in _STRIPPED:
        value = value.strip(" ")
    if parameter.kind == "choice":
        return next((word for word in parameter.allowed if word == value.lower()), value)
    return value


def _check(parameter: Parameter, value: str | None, command: str) -> None:
    if value is None or (not value and parameter.required and parameter.kind != "dns"):
        if parameter.required:
            came = "is missing" if value is None else "is empty"
            raise MissingParameter(
                f"{command}: the parameter {parameter.name!r} {came}; it takes {parameter.takes}."
            )
        return
    if not parameter.accepts(value):
        raise BadParameter(
            f"{command}: {parameter.name} = {quoted(value)} was given, but it takes "
            f"{parameter.takes}."
        )


def _unknown(name: str, known: tuple[str, ...], command: str) -> str:
    if not known:
        return f"{command} takes no parameters, but {quoted(name)} was given."
    near = nearest(name, known)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"{command} has no parameter {quoted(name)}; it takes {', '.join(known)}.{hint}"


def _is_dn(value: str) -> bool:
    return 0 < len(value) <= LONGEST_DN and all(
        char.isalnum() or char in "_-.*#+" for char in value
    )


def _clean(value: str, allowed: str = "") -> bool:
    return all(
        (char >= " " and char != "\x7f" and not "\ud800" <= char <= "\udfff") or char in allowed
        for char in value
    )
