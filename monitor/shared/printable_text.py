r"""Make text from others safe to show in a terminal or a log for people. Pure.

A caller's name, an address or a PBX's words may hold control characters. A terminal obeys them: it
sets its title, fills the clipboard, or moves up and writes over other lines. A line break makes a
new line in a log. So these characters, and those that turn the direction of writing, are shown as
``\uXXXX``, as JSON writes them too.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_OBEYED: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories: control, format, surrogates, line and paragraph separators."""
_JOINERS: Final = "\u200c\u200d"
"""Format characters that scripts and emoji need, and that do nothing else."""


def printable(text: str, keep: str = "") -> str:
    r"""Return the text with ``\uXXXX`` in place of characters that a terminal would obey.

    ``keep``: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(char) if char not in keep else char for char in text)


def _shown(char: str) -> str:
    if char.isprintable() or char in _JOINERS or unicodedata.category(char) not in _OBEYED:
        return char
    return "".join(f"\\u{int.from_bytes(unit, 'big'):04x}" for unit in _utf16(char))


def _utf16(char: str) -> list[bytes]:
    data = char.encode("utf-16-be", "surrogatepass")
    return [data[at : at + 2] for at in range(0, len(data), 2)]
