"""Replace numbers and names by others, the same ones always by the same. Pure.

Rules:

- A number keeps its length and all characters that are not digits. Each digit is moved on by one to
  nine. By how much depends on the digits behind it and on the salt. So no digit stays, and
  different numbers stay different. Two numbers with a common ending have a common ending of the
  same length afterwards: finding contacts by the end of a number works as before.
- A number that is a DN stays; any other number never becomes a DN. (If every substitute of a short
  number is a DN, the number is moved on by another rule, and might then meet another such number.)
- In a text, each word becomes another word of the same kinds of letters, so that capitals, scripts
  and lengths stay. Runs of digits are treated as numbers. ``Smith, John`` and ``John Smith`` have
  the same words afterwards too. The PBX's own words stay: those for callers who hide their number,
  ``MakeCall`` for its service, and those of SIP addresses.
- Without the salt, nothing leads back. The salt is made for one recording and not kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_NUMBER: Final = re.compile(r"[+*#]{0,2}[0-9(][0-9 ()./*#-]*")
"""A telephone number as people and trunks write it."""
_RUN: Final = re.compile(r"[+*#]?[0-9][0-9*#]*")
"""A number inside a text, without spaces: a space may stand between two numbers."""
_OWN_WORDS: Final = frozenset(
    (
        *("anonymous", "restricted", "unavailable", "private", "withheld", "unknown", "blocked"),
        *("makecall", "sip", "sips", "tel", "ext"),
    )
)
"""The PBX's own words in place of a number or around it. They are not names; masked, they would
become some."""
_CACHED: Final = 200_000
_WALK: Final = 1_000


class Mask:
    """Compute the substitutes of one recording.

    ``salt``: secret, some 16 bytes. ``dns``: the PBX's own numbers, which stay.
    """

    def __init__(self, salt: bytes, dns: Iterable[str] = ()) -> None:
        self._salt = salt
        self._dns = set(dns)
        self._words: dict[str, str] = {}

    def learn(self, dn: str) -> None:
        """Note a DN; it stays from now on."""
        self._dns.add(dn)

    def is_dn(self, text: str) -> bool:
        """Return whether this is a known DN."""
        return text in self._dns

    def value(self, text: str) -> str:
        """Return the substitute for a number, or for a text if it is not a number."""
        return self.number(text) if _NUMBER.fullmatch(text) else self.text(text)

    def number(self, text: str) -> str:
        """Return the substitute for a number; other characters stay in their place."""
        digits = "".join(char for char in text if "0" <= char <= "9")
        if not digits or text in self._dns or digits in self._dns:
            return text
        others = iter(self._other(digits))
        return "".join(next(others) if "0" <= char <= "9" else char for char in text)

    def text(self, text: str) -> str:
        """Return the substitute for a text, number by number and word by word.

        A DN at its beginning stays, even if it has letters.
        """
        first, space, rest = text.partition(" ")
        kept, text = (first + space, rest) if first in self._dns else ("", text)
        out, at = [kept], 0
        for found in _RUN.finditer(text):
            out += [self._plain(text[at : found.start()]), self.number(found[0])]
            at = found.end()
        return "".join((*out, self._plain(text[at:])))

    def _other(self, digits: str) -> str:
        """Return another number of the same length. It is not a DN if such a number exists."""
        other = digits
        for _ in range(_WALK):
            other = self._moved(other, b"number")
            if other == digits:
                break  # a ring in which all others are DNs
            if other not in self._dns:
                return other
        for turn in range(_WALK):
            other = self._moved(digits, b"ring %d" % turn)
            if other not in self._dns:
                return other
        return other

    def _moved(self, digits: str, kind: bytes) -> str:
        out = []
        for at in range(len(digits)):
            tail = digits[at + 1 :].encode()
            out.append(str((int(digits[at]) + 1 + self._hash(kind, tail)[0] % 9) % 10))
        return "".join(out)

    def _plain(self, text: str) -> str:
        out, word = [], ""
        for char in text:
            if unicodedata.category(char)[0] in "LMN":
                word += char
                continue
            out += [self._word(word), char]
            word = ""
        return "".join((*out, self._word(word)))

    def _word(self, word: str) -> str:
        if not word or word.casefold() in _OWN_WORDS:
            return word
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= _CACHED:
                self._words.clear()
            stream = b"".join(
                self._hash(b"word %d" % at, word.encode()) for at in range(len(word) // 16 + 1)
            )
            moves = (int.from_bytes(stream[at * 2 : at * 2 + 2], "big") for at in range(len(word)))
            known = self._words[word] = "".join(
                _moved(char, by) for char, by in zip(word, moves, strict=True)
            )
        return known

    def _hash(self, kind: bytes, data: bytes) -> bytes:
        return hmac.digest(self._salt, kind + b"\0" + data, hashlib.sha256)


def _moved(char: str, by: int) -> str:
    """Return another character of the same kind."""
    kind = _kind(char)
    return kind[(kind.index(char) + 1 + by % (len(kind) - 1)) % len(kind)] if len(kind) > 1 else "x"


@lru_cache(maxsize=4096)
def _kind(char: str) -> str:
    """Return the characters near this one that have its category.

    For a capital letter these are capitals of its script, for example.
    """
    category, code = unicodedata.category(char), ord(char)
    near = ""
    for size in (64, 256, 1024):
        first = code - code % size
        near = "".join(
            c for c in map(chr, range(first, first + size)) if unicodedata.category(c) == category
        )
        if len(near) > 1:
            break
    return near
