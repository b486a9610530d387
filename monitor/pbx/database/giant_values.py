"""Judge the sizes that a statement writes for functions that make values of any size. Pure.

PostgreSQL has no bound for the memory of a session, only 1 GB for each value, and a statement may
make many. ``work_mem`` bounds sorts and hashes alone. A few functions make a giant of a number, at
once. So the rules are:

- The number must be written as digits where such a function takes it: ``lpad(dn, 10)``.
- All such sizes together must not make more than :data:`LARGEST_BYTES`. Widths are added to the
  length of the statement, as the statement holds the texts. What may take a text several times
  multiplies this, as one may take what another has made: the counts of ``repeat``, the fields of
  ``format``, the lengths of ``char(n)`` and ``bit(n)``, which hold for each element of an array.
- The text of ``format`` must be written there, without wide fields.
- ``array_fill``, and ``polygon`` with a number of points, are refused.

Other ways to a giant take data, time or many steps: joining texts again and again, ``replace`` with
long texts, aggregates over many rows. These have no number that could be judged: see SECURITY.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from monitor.pbx.database.allowed_functions import tokens

LARGEST_BYTES: Final = 16_777_216
"""Bytes that the sizes in a statement may come to: no answer may be larger."""
_REPEATED: Final = "repeat"
_PADDED: Final = frozenset({"lpad", "rpad"})
_PADDED_TYPES: Final = frozenset({"bit", "bpchar", "char", "character", "nchar"})
"""Types whose values are as long as their number says. As functions they take a length too."""
_WIDEST_FIELD: Final = 999
"""Characters of a field of ``format``, at most: three digits."""
_WIDE_FIELD: Final = re.compile(r"%(?:[0-9]+\$)?-*(?:\*|[0-9]{4})")
_DIGITS: Final = frozenset("0123456789")
_MOST_DIGITS: Final = 18
_LONGEST_CHARACTER_BYTES: Final = 4
"""Bytes of a character in UTF-8, at most."""
_BEGINS: Final = frozenset("([")
_ENDS: Final = frozenset(")],")
_TEXT: Final = "'"
_OTHER: Final = "?"


class GiantSize(Exception):
    """Signal in a sentence which size is not allowed, and what would be right."""


def check_sizes(sql: str) -> None:
    """Raise GiantSize if the statement could make a giant by the sizes that it writes."""
    length, times, formats, fields = len(sql.encode()), 1, 0, sql.count("%")
    for name, arguments in _calls(sql):
        if name == _REPEATED:
            times *= max(1, _size(name, arguments[1:2]))
        elif name in _PADDED:
            length += _LONGEST_CHARACTER_BYTES * _size(name, arguments[1:2])
        elif name in _PADDED_TYPES:
            times *= 1 + _size(name, arguments)
        elif name == "format":
            _check_format(sql, arguments)
            formats += 1
        elif name == "array_fill" or (name == "polygon" and len(arguments) > 1):
            raise GiantSize(f"The SQL may not call {name} with a size: write the value itself.")
        times = min(times, LARGEST_BYTES + 1)
    if formats:  # nested ones repeat a text most often if all have as many fields
        length += _WIDEST_FIELD * fields
        times *= max(1, -(-fields // formats)) ** formats
    if length * times > LARGEST_BYTES:
        raise GiantSize(
            f"The sizes in the SQL make more than {LARGEST_BYTES} bytes together: use smaller "
            "numbers, or fewer."
        )


def _size(name: str, arguments: list[str]) -> int:
    """Return the only one of these arguments as a number. Raises GiantSize if it is not one."""
    if len(arguments) != 1 or arguments[0][0] not in _DIGITS:
        right = f"{name}(20)" if name in _PADDED_TYPES else f"{name}(…, 20)"
        raise GiantSize(f"The size for {name} must stand there as a plain number: {right}.")
    return int(arguments[0])


def _check_format(sql: str, arguments: list[str]) -> None:
    if arguments[0] != _TEXT or "\\" in sql or _WIDE_FIELD.search(sql):
        raise GiantSize(
            "The text for format must stand there in one piece, and nowhere may be a backslash. "
            f"Its fields may be {_WIDEST_FIELD} characters wide at most: format('%-20s', …)."
        )


def _calls(sql: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each name before parentheses, with its arguments in the form of :func:`_extended`."""
    open_: list[tuple[str, list[str]]] = []
    before = ""
    for piece in tokens(sql):
        if open_ and piece not in _ENDS:
            arguments = open_[-1][1]
            arguments[-1] = _extended(arguments[-1], piece)
        if piece in _BEGINS:
            open_.append((before[1:] if piece == "(" else "", [""]))
        elif piece == "," and open_:
            open_[-1][1].append("")
        elif piece in _ENDS and open_:
            name, arguments = open_.pop()
            yield name, [argument or _OTHER for argument in arguments]
        before = piece


def _extended(argument: str, piece: str) -> str:
    """Return an argument with one more piece: digits, one text, or :data:`_OTHER`."""
    if piece in _DIGITS and (not argument or argument[0] in _DIGITS):
        return argument + piece if len(argument) < _MOST_DIGITS else _OTHER
    return piece if piece == _TEXT and not argument else _OTHER
