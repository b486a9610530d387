"""Read telephone numbers as people, address books and trunks write them. Pure.

Three questions are answered here, for all of the product: is a number withheld, what is to be
dialled, and do two texts name the same subscriber. Texts come with spaces, brackets, dashes of any
kind, the marks of right-to-left text, digits of other scripts, ``tel:`` and SIP addresses,
extensions after the number, and sometimes two numbers in one field.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LONGEST: Final = 200
"""Characters of a text that are looked at; no number is that long."""
_WITHHELD: Final = frozenset(
    (
        "anonymous",
        "blocked",
        "hidden",
        "private",
        "restricted",
        "unavailable",
        "unknown",
        "withheld",
        "anonymous.invalid",
        "private number",
        "id unavailable",
    )
)
_SEPARATORS: Final = re.compile(r"[\s().\[\]/\-_‐-―⁃−﹘﹣－·]+")
_USUAL: Final = re.compile(r"(\+?)[\d .()/\-]+")
_DROPPED: Final = str.maketrans("", "", " .()/-")
_TRUNK_ZERO: Final = re.compile(r"^((?:\+|00)[ ]?\d{1,3}[\s.\-]*)\(0\)")
_EXTENSION: Final = re.compile(
    r"(?<=\d)[ ,.]{0,3}(?:;ext=|x|ext\.?|extension|доб\.?)[ .:]{0,2}\d{1,8}$"
)
_SCHEME: Final = re.compile(r"^(?:tel|sips?|callto):", re.IGNORECASE)
_SEVERAL: Final = re.compile(r"[,;/|\n]")
_WHOLE: Final = 6
"""Digits that a part of a text must have to be a number of its own."""
_CALLING_CODE: Final = re.compile(
    r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3}"
)
"""The calling codes of ITU-T E.164: one, two or three digits, none the beginning of another."""
_SHORTEST: Final = 6
"""Digits of a national number that may be compared with one in another notation."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """Hold a number, taken apart. ``country``: the calling code; empty if the text has none."""

    country: str
    national: str
    """The digits after the calling code; else all digits as they are written."""


def is_withheld(text: str) -> bool:
    """Return whether a caller's number is withheld: the text is empty or says so."""
    word = text.strip().strip("<>\"'").casefold()
    return word in _WITHHELD or word.partition("@")[0] in _WITHHELD or not word


def plain(text: str) -> str:
    """Return the number in a text without its notation; a text that is not a number as it is.

    ``+49 (0)30 1234567`` and ``tel:+49-30-1234567`` are ``+49301234567``. ``*62`` and ``#9`` stay.
    An extension after the number is left out. Of a SIP address the user part counts.
    """
    text = text[:LONGEST]
    if text.isdigit() and text.isascii():
        return text
    cleaned = _cleaned(text)
    if cleaned.isascii() and (usual := _USUAL.fullmatch(cleaned)) and "(0)" not in cleaned:
        return usual[1] + cleaned[usual.end(1) :].translate(_DROPPED)
    number = _SEPARATORS.sub("", _TRUNK_ZERO.sub(r"\1", _EXTENSION.sub("", cleaned)))
    if number and all(
        char in "0123456789*#" or (char == "+" and not at) for at, char in enumerate(number)
    ):
        return number
    return cleaned


def several(text: str) -> tuple[str, ...]:
    """Return the numbers in a text that holds more than one, else the whole text."""
    if _SEVERAL.search(text) is None:
        return (text,)
    parts = [part.strip() for part in _SEVERAL.split(_cleaned(text))]
    whole = [part for part in parts if _is_number(part)]
    return tuple(whole) if len(whole) > 1 else (text,)


def parse(text: str) -> PhoneNumber | None:
    """Take a number apart; return None for a text that holds no number."""
    return _parse(text[:LONGEST])  # cut before the cache: it would keep the whole text


@lru_cache(maxsize=4_096)
def _parse(text: str) -> PhoneNumber | None:
    number = plain(text)
    digits = number.lstrip("+")
    if not digits.isascii() or not digits.isdigit():
        return None
    if number.startswith("+"):
        return _international(digits)
    if digits.startswith("00") and len(digits) > _SHORTEST + 2:
        return _international(digits[2:])
    return PhoneNumber("", digits)


def same_subscriber(one: PhoneNumber, other: PhoneNumber) -> bool:
    """Return whether two numbers reach the same subscriber, as far as their notation tells.

    Two numbers with calling codes must be equal. If one has none, its digits must be the other's
    national number, with or without the digit that is dialled before it in a country (0, 8, 1), or
    the whole number without its ``+``.
    """
    if one == other:
        return True
    if one.country and other.country:
        return False
    if one.country:
        return other.national in _national_forms(one)
    if other.country:
        return one.national in _national_forms(other)
    shorter, longer = sorted((one.national, other.national), key=len)
    return len(shorter) >= _SHORTEST and shorter in _without_prefix(longer)


def keys(number: PhoneNumber) -> frozenset[str]:
    """Return texts of which two numbers of one subscriber have at least one in common."""
    if number.country:
        return frozenset((number.national, number.country + number.national))
    return frozenset((number.national, *_without_prefix(number.national)))


def _national_forms(number: PhoneNumber) -> frozenset[str]:
    national = number.national
    if len(national) < _SHORTEST:
        return frozenset()
    forms = {national, f"0{national}", number.country + national}
    if number.country in ("7", "1"):
        forms.add(("8" if number.country == "7" else "1") + national)
    return frozenset(forms)


def _without_prefix(digits: str) -> frozenset[str]:
    """Return the digits without the one that is dialled first inside a country."""
    prefixed = digits.startswith("0") or (len(digits) == 11 and digits[0] in "18")
    return frozenset((digits[1:],)) if prefixed and len(digits) > _SHORTEST else frozenset()


def _international(digits: str) -> PhoneNumber | None:
    code = _CALLING_CODE.match(digits)
    if code is None or code.end() == len(digits):
        return None
    return PhoneNumber(code[0], digits[code.end() :])


def _cleaned(text: str) -> str:
    """Return the text without marks that nobody sees, with ASCII digits, without its scheme."""
    seen = text[:LONGEST].strip()
    if not (seen.isascii() and seen.isprintable()):
        seen = "".join(
            str(unicodedata.decimal(char)) if char.isdecimal() else " " if char.isspace() else char
            for char in seen
            if unicodedata.category(char) not in ("Cf", "Cc") or char.isspace()
        ).strip()
    scheme = _SCHEME.match(seen)
    if scheme:
        seen = seen[scheme.end() :].partition("@")[0]
    return seen.replace("＋", "+")


def _is_number(part: str) -> bool:
    number = plain(part)
    return number.lstrip("+").isdigit() and len(number) >= _WHOLE
